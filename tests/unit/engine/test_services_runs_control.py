"""What a client may do with a run it has: submit outputs, cancel, read, list, modify, delete its thread."""

from pathlib import Path
from typing import Any

import pytest

from local_assistants.engine import requests
from local_assistants.engine.errors import InvalidRequest, NotFound, ThreadBusy
from local_assistants.engine.objects import Run
from local_assistants.engine.ports import PageQuery
from tests.support.clock import START
from tests.support.engine import (
    CODE,
    FUNCTION,
    OLDEST_FIRST,
    House,
    ScriptedTool,
    answering,
    calls,
    house,
    names,
)
from tests.support.runs import HANG, TWO_CALLS


async def waiting(home: House) -> Run:
    """A run that waits for the outputs of call_1 and call_2."""
    return await home.finish(await home.ask(tools=[FUNCTION]))


# --- submit ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        ["call_1"],
        ["call_2"],
        [],
        ["call_1", "call_9"],
        ["call_1", "call_2", "call_9"],
        ["call_1", "call_1"],
        ["call_1", "call_2", "call_2"],
    ],
    ids="+".join,
)
async def test_outputs_have_to_be_exactly_those_asked_for(tmp_path: Path, given: list[str]) -> None:
    """Partial, unknown, doubled: refused with both lists, and the run keeps waiting."""
    async with house(tmp_path, [TWO_CALLS, {"text": "ok"}]) as home:
        run = await waiting(home)
        outputs = [{"tool_call_id": call, "output": "x"} for call in given]
        body = requests.SubmitOutputs.model_validate({"tool_outputs": outputs})
        with pytest.raises(InvalidRequest) as refused:
            await home.services.runs.submit(run.thread_id, run.id, body)
        assert await home.get(run) == run
        _, after = await home.submit(run, {"call_1": "1", "call_2": "2"})
        done = await home.finish(run, after)

    expected = f"Expected tool outputs for call_ids ['call_1', 'call_2'], got {given}"
    assert (400, expected, None) == (
        refused.value.status,
        refused.value.message,
        refused.value.param,
    )
    assert "completed" == done.status


@pytest.mark.parametrize("status", ["in_progress", "cancelled", "completed", "expired"])
async def test_outputs_are_refused_when_nobody_waits_for_them(tmp_path: Path, status: str) -> None:
    """With the status in the text; also the second time."""
    turns = [{"text": "done"}] if status == "completed" else [HANG]
    async with house(tmp_path, turns) as home:
        run = await home.ask()
        await home.until(run, "thread.message.delta")
        if status == "cancelled":
            await home.services.runs.cancel(run.thread_id, run.id)
        if status == "expired":
            await home.virtual.advance(600)
        if status != "in_progress":
            await home.finish(run)
        with pytest.raises(InvalidRequest) as refused:
            await home.submit(run, {"call_1": "x"})

    assert f'Runs in status "{status}" do not accept tool outputs.' == refused.value.message


async def test_outputs_are_not_taken_twice(tmp_path: Path) -> None:
    """The second submit finds the run at work."""
    async with house(tmp_path, [TWO_CALLS, HANG]) as home:
        run = await waiting(home)
        outputs = {"call_1": "1", "call_2": "2"}
        _, after = await home.submit(run, outputs)
        await home.until(run, "thread.run.in_progress", after)
        with pytest.raises(InvalidRequest, match='Runs in status "in_progress" do not accept'):
            await home.submit(run, outputs)


async def test_a_resumed_stream_begins_with_the_completed_step(tmp_path: Path) -> None:
    """Then queued and in_progress; run.created is not told again."""
    async with house(tmp_path, [TWO_CALLS, {"text": "ok"}]) as home:
        run = await waiting(home)
        _, after = await home.submit(run, {"call_1": "1", "call_2": "2"})
        told = names(await home.events(run, after))

    assert ["run.step.completed", "run.queued", "run.in_progress", "run.step.created"] == told[:4]
    assert "run.completed" == told[-1]


# --- cancel ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("turn", "status"),
    [
        ({"text": "done"}, "completed"),
        ({"error": {"message": "boom"}}, "failed"),
        ({"text": "one two three"}, "incomplete"),
        (HANG, "cancelled"),
        (HANG, "expired"),
    ],
)
async def test_a_run_that_is_over_cannot_be_cancelled(
    tmp_path: Path, turn: dict[str, Any], status: str
) -> None:
    """400, with its status."""
    async with house(tmp_path, [turn]) as home:
        run = await home.ask(max_completion_tokens=2)
        if turn is HANG:
            await home.until(run, "thread.message.delta")
            if status == "expired":
                await home.virtual.advance(600)
            else:
                await home.services.runs.cancel(run.thread_id, run.id)
        done = await home.finish(run)
        with pytest.raises(InvalidRequest) as refused:
            await home.services.runs.cancel(run.thread_id, run.id)
        assert done == await home.get(run)

    assert status == done.status
    assert f"Cannot cancel run with status '{status}'." == refused.value.message


async def test_a_cancelling_run_cannot_be_cancelled_again(tmp_path: Path) -> None:
    """The first request stands; it locks the thread until the work has stopped."""
    async with house(tmp_path, [calls("add", {})]) as home:
        run = await waiting(home)
        await home.services.worker.stop()
        await home.services.runs.cancel(run.thread_id, run.id)
        with pytest.raises(InvalidRequest, match=r"Cannot cancel run with status 'cancelling'\."):
            await home.services.runs.cancel(run.thread_id, run.id)
        with pytest.raises(ThreadBusy):
            await home.message(run.thread_id, "More")


# --- read, list, modify ----------------------------------------------------------------------------


async def test_a_run_of_another_thread_is_not_found(tmp_path: Path) -> None:
    """Nor are its steps."""
    async with house(tmp_path) as home:
        run = await home.finish(await home.ask())
        other = await home.thread()
        (step,) = await home.steps(run)
        for attempt in (
            home.services.runs.get(other.id, run.id),
            home.services.runs.cancel(other.id, run.id),
            home.services.runs.modify(other.id, run.id, requests.ModifyMetadata()),
            home.services.steps.list(other.id, run.id, OLDEST_FIRST),
        ):
            with pytest.raises(NotFound, match="No run found with id 'run_1'"):
                await attempt
        with pytest.raises(NotFound, match="No run step found with id 'step_1'"):
            await home.services.steps.get(other.id, run.id, step.id)


async def test_metadata_of_a_run_may_change_while_it_works(tmp_path: Path) -> None:
    """The map is replaced as a whole, null leaves it, and the run's end keeps it."""
    async with house(tmp_path, [HANG]) as home:
        run = await home.ask(metadata={"a": "1"})
        await home.until(run, "thread.message.delta")
        modify = home.services.runs.modify
        await modify(run.thread_id, run.id, requests.ModifyMetadata(metadata={"b": "2"}))
        await modify(run.thread_id, run.id, requests.ModifyMetadata())
        await home.services.runs.cancel(run.thread_id, run.id)
        done = await home.finish(run)

    assert ("cancelled", {"b": "2"}) == (done.status, done.metadata)


async def test_runs_and_steps_are_listed_newest_first(tmp_path: Path) -> None:
    """Steps in wire form."""
    tool = ScriptedTool("code_interpreter", answering("42"))
    async with house(
        tmp_path, [calls("code_interpreter", {}), {"text": "ok"}], tools=[tool]
    ) as home:
        first = await home.finish(await home.ask(tools=[CODE]))
        second = await home.finish(await home.run(first.thread_id, first.assistant_id))
        runs = await home.services.runs.list(first.thread_id, PageQuery())
        steps = await home.services.steps.list(first.thread_id, first.id, PageQuery())

    assert [second.id, first.id] == [run.id for run in runs.data]
    assert ["step_2", "step_1"] == [step["id"] for step in steps.data]
    assert ("step_2", "step_1", False) == (steps.first_id, steps.last_id, steps.has_more)


async def test_deleting_a_thread_takes_all_with_it(tmp_path: Path) -> None:
    """Messages, runs, steps, journal and transcript; tools forget it; files and assistants stay."""
    tool = ScriptedTool("code_interpreter", answering("42"))
    turns = [calls("code_interpreter", {}), {"text": "ok"}]
    async with house(tmp_path, turns, tools=[tool]) as home:
        file = await home.file("a.csv", "a")
        run = await home.finish(await home.ask(tools=[CODE]))
        await home.services.threads.delete(run.thread_id)
        left = [
            *await home.journal(run),
            *await home.transcript(run.thread_id),
            *await home.steps(run),
        ]
        with pytest.raises(NotFound, match="No thread found"):
            await home.get(run)
        with pytest.raises(NotFound, match="No thread found"):
            await home.services.messages.list(run.thread_id, PageQuery())
        await home.services.files.get(file.id)
        await home.services.assistants.get(run.assistant_id)

    assert [] == left
    assert [run.thread_id] == tool.forgotten


async def test_times_are_whole_seconds_of_the_clock(tmp_path: Path) -> None:
    """Whatever fraction the clock shows."""
    async with house(tmp_path) as home:
        await home.virtual.advance(0.75)
        run = await home.finish(await home.ask())
        wire = run.to_wire()

    assert [START, START, START] == [
        wire[name] for name in ("created_at", "started_at", "completed_at")
    ]
