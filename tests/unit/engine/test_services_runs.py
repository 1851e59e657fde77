"""What a client may ask of runs, and what it is told when it may not."""

from pathlib import Path
from typing import Any

import pytest

from local_assistants.engine import requests
from local_assistants.engine.errors import InvalidRequest, ModelNotFound, NotFound, ThreadBusy
from local_assistants.engine.objects import Run
from local_assistants.engine.ports import PageQuery
from tests.support.clock import START
from tests.support.engine import (
    CODE,
    FUNCTION,
    MODEL,
    OLDEST_FIRST,
    House,
    ScriptedTool,
    answering,
    calls,
    house,
    names,
)

HANG: dict[str, Any] = {"text": "Hello th", "hang": True}
TWO_CALLS = calls("add", {"a": 1}, {"a": 2})


async def waiting(home: House) -> Run:
    """A run that waits for the outputs of call_1 and call_2."""
    return await home.finish(await home.ask(tools=[FUNCTION]))


# --- locks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["in_progress", "requires_action"])
async def test_a_run_that_is_not_over_locks_its_thread(tmp_path: Path, status: str) -> None:
    """No second run, no message, no deletion; 400 in the original's words. Reading and metadata are free."""
    async with house(tmp_path, [HANG if status == "in_progress" else TWO_CALLS]) as home:
        run = await home.ask(tools=[FUNCTION])
        await home.until(run, f"thread.run.{status}")
        thread = run.thread_id
        texts: list[str] = []
        for attempt in (
            home.run(thread, run.assistant_id),
            home.message(thread, "More"),
            home.services.threads.delete(thread),
        ):
            with pytest.raises(ThreadBusy) as refused:
                await attempt
            texts.append(refused.value.message)
            assert (400, None, None) == (
                refused.value.status,
                refused.value.param,
                refused.value.code,
            )
        modified = await home.services.threads.modify(
            thread, requests.ModifyThread(metadata={"k": "v"})
        )
        listed = len(await home.messages(run))

    assert [
        f"Thread {thread} already has an active run {run.id}.",
        f"Can't add messages to {thread} while a run {run.id} is active.",
        f"Can't delete {thread} while a run {run.id} is active.",
    ] == texts
    assert {"k": "v"} == modified.metadata
    assert listed >= 1


async def test_a_finished_run_frees_its_thread(tmp_path: Path) -> None:
    """And other threads were never locked."""
    async with house(tmp_path) as home:
        run = await home.finish(await home.ask())
        await home.message(run.thread_id, "And?")
        again = await home.finish(await home.run(run.thread_id, run.assistant_id))
        prompt = home.backend.requests[1].messages

    assert "completed" == again.status
    assert ["Hi", "Hello.", "And?"] == [message.text for message in prompt]


async def test_a_refused_run_leaves_nothing_behind(tmp_path: Path) -> None:
    """Its additional messages are not added either."""
    async with house(tmp_path, [HANG]) as home:
        run = await home.ask()
        with pytest.raises(ThreadBusy):
            await home.run(
                run.thread_id,
                run.assistant_id,
                additional_messages=[{"role": "user", "content": "lost"}],
            )
        texts = [message.text for message in await home.messages(run)]

    assert "lost" not in texts


# --- create ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"assistant_id": "asst_9"}, "No assistant found with id 'asst_9'."),
        ({"thread_id": "thread_9"}, "No thread found with id 'thread_9'."),
        ({"model": "gpt-9"}, "The model 'gpt-9' does not exist"),
    ],
)
async def test_a_run_needs_thread_assistant_and_model(
    tmp_path: Path, fields: dict[str, str], text: str
) -> None:
    """404, with the name of what is missing."""
    async with house(tmp_path) as home:
        assistant, thread = await home.assistant(), await home.thread("Hi")
        named = {"assistant_id": assistant.id, "thread_id": thread.id} | fields
        with pytest.raises(NotFound) as refused:
            await home.run(**named)

    assert (404, text) == (refused.value.status, refused.value.message)
    if "model" in fields:
        assert isinstance(refused.value, ModelNotFound)
        assert ("model", "model_not_found") == (refused.value.param, refused.value.code)


async def test_a_run_takes_its_assistants_settings(tmp_path: Path) -> None:
    """Where it brings none of its own."""
    async with house(tmp_path) as home:
        assistant = await home.assistant(
            instructions="Be brief.",
            tools=[CODE],
            temperature=0.5,
            top_p=0.25,
            reasoning_effort="low",
            response_format={"type": "text"},
            metadata={"of": "assistant"},
        )
        thread = await home.thread("Hi")
        run = await home.run(thread.id, assistant.id)
        await home.finish(run)
        (asked,) = home.backend.requests

    assert (MODEL, "Be brief.", assistant.tools, 0.5, 0.25, "low", {"type": "text"}) == (
        run.model,
        run.instructions,
        run.tools,
        run.temperature,
        run.top_p,
        run.reasoning_effort,
        run.response_format,
    )
    assert {} == run.metadata
    assert (0.5, 0.25, "Be brief.") == (asked.temperature, asked.top_p, asked.messages[0].text)


async def test_a_runs_own_settings_come_first(tmp_path: Path) -> None:
    """Also the ones that switch something off."""
    async with house(tmp_path) as home:
        assistant = await home.assistant(instructions="Be brief.", tools=[CODE], temperature=0.5)
        thread = await home.thread("Hi")
        run = await home.run(
            thread.id,
            assistant.id,
            instructions="",
            tools=[],
            temperature=0.0,
            metadata={"of": "run"},
            tool_choice="none",
            parallel_tool_calls=False,
            max_prompt_tokens=500,
            max_completion_tokens=400,
            truncation_strategy={"type": "last_messages", "last_messages": 1},
        )
        await home.finish(run)
        (asked,) = home.backend.requests

    assert ("", (), 0.0, {"of": "run"}, "none", False) == (
        run.instructions,
        run.tools,
        run.temperature,
        run.metadata,
        run.tool_choice,
        run.parallel_tool_calls,
    )
    assert {"type": "last_messages", "last_messages": 1} == run.truncation_strategy.model_dump()
    assert ["user"] == [message.role for message in asked.messages]
    assert (0.0, False, ()) == (asked.temperature, asked.parallel_tool_calls, asked.tools)


@pytest.mark.parametrize(
    ("own", "run_fields", "expected"),
    [
        ("Be brief.", {"additional_instructions": "Be kind."}, "Be brief.\n\nBe kind."),
        (
            "Be brief.",
            {"instructions": "Sing.", "additional_instructions": "Loud."},
            "Sing.\n\nLoud.",
        ),
        (None, {"additional_instructions": "Be kind."}, "Be kind."),
        ("Be brief.", {"additional_instructions": ""}, "Be brief."),
        (None, {}, None),
    ],
)
async def test_additional_instructions_are_joined(
    tmp_path: Path, own: str | None, run_fields: dict[str, str], expected: str | None
) -> None:
    """To whatever the effective instructions are; the run shows the joined text."""
    async with house(tmp_path) as home:
        assistant = await home.assistant(instructions=own)
        run = await home.run((await home.thread("Hi")).id, assistant.id, **run_fields)

    assert expected == run.instructions


async def test_additional_messages_come_before_the_runs_own(tmp_path: Path) -> None:
    """They are stored in the thread, and the model reads them."""
    extra = [
        {"role": "assistant", "content": "Shall I?"},
        {"role": "user", "content": "Yes."},
    ]
    async with house(tmp_path) as home:
        run = await home.ask(additional_messages=extra)
        await home.finish(run)
        texts = [message.text for message in await home.messages(run)]
        (asked,) = home.backend.requests

    assert ["Hi", "Shall I?", "Yes.", "Hello."] == texts
    assert ["user", "assistant", "user"] == [message.role for message in asked.messages]


async def test_the_latest_messages_alone_are_read_if_so_asked(tmp_path: Path) -> None:
    """truncation_strategy last_messages."""
    async with house(tmp_path) as home:
        assistant = await home.assistant()
        thread = await home.thread("one", "two", "three")
        truncation = {"type": "last_messages", "last_messages": 2}
        await home.finish(await home.run(thread.id, assistant.id, truncation_strategy=truncation))
        (asked,) = home.backend.requests

    assert ["two", "three"] == [message.text for message in asked.messages]


async def test_create_thread_and_run(tmp_path: Path) -> None:
    """Thread, messages and run at once; thread.created comes first, the messages are not told."""
    async with house(tmp_path) as home:
        assistant = await home.assistant()
        thread = {"messages": [{"role": "user", "content": "Hi"}], "metadata": {"k": "v"}}
        body = {"assistant_id": assistant.id, "thread": thread}
        run = await home.services.runs.create_with_thread(
            requests.CreateThreadAndRun.model_validate(body)
        )
        events = await home.events(run)
        texts = [message.text for message in await home.messages(run)]

    assert ["created", "run.created", "run.queued"] == names(events)[:3]
    assert (run.thread_id, {"k": "v"}) == (events[0].data["id"], events[0].data["metadata"])
    assert ["Hi", "Hello."] == texts


async def test_a_refused_create_thread_and_run_makes_no_thread(tmp_path: Path) -> None:
    """All or nothing."""
    async with house(tmp_path) as home:
        body = requests.CreateThreadAndRun(assistant_id="asst_9")
        with pytest.raises(NotFound):
            await home.services.runs.create_with_thread(body)
        with pytest.raises(NotFound):
            await home.services.threads.get("thread_1")


async def test_a_run_without_messages_is_allowed(tmp_path: Path) -> None:
    """The model is asked with nothing but the instructions."""
    async with house(tmp_path) as home:
        assistant = await home.assistant(instructions="Greet.")
        run = await home.finish(await home.run((await home.thread()).id, assistant.id))

    assert "completed" == run.status


async def test_editing_the_assistant_does_not_touch_its_runs(tmp_path: Path) -> None:
    """Nor does deleting it: runs carry their own copy, threads and messages stay."""
    async with house(tmp_path, [calls("add", {}), {"text": "ok"}]) as home:
        run = await home.finish(await home.ask(tools=[FUNCTION]))
        modify = requests.ModifyAssistant.model_validate({"tools": [], "instructions": "New"})
        await home.services.assistants.modify(run.assistant_id, modify)
        await home.services.assistants.delete(run.assistant_id)
        _, after = await home.submit(run, {"call_1": "7"})
        done = await home.finish(run, after)
        answer = (await home.messages(run))[-1]
        with pytest.raises(NotFound, match="No assistant found with id 'asst_1'"):
            await home.run(run.thread_id, run.assistant_id)

    assert ("completed", run.tools, run.assistant_id) == (
        done.status,
        done.tools,
        answer.assistant_id,
    )


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
