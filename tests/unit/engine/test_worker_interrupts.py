"""Runs are ended in time: cancelled or expired, at work or waiting, here or by another process."""

import asyncio
from dataclasses import replace
from pathlib import Path

from local_assistants.engine.chat import Finish, TextDelta, ToolCall, UsageDelta
from local_assistants.engine.objects import TextContent
from local_assistants.engine.ports import Citation, Emit, ToolResult, ToolSession
from local_assistants.engine.states import On
from tests.support.clock import START, VirtualClock
from tests.support.engine import (
    CODE,
    FAST,
    FUNCTION,
    PATIENCE,
    SEARCH,
    DeltaBackend,
    ScriptedTool,
    answering,
    calls,
    house,
    names,
)
from tests.support.ids import CountingIds
from tests.support.runs import HANG, IDLE, STILL, speaking

# --- cancel ----------------------------------------------------------------------------------------


async def test_a_queued_run_is_cancelled_though_all_places_are_taken(tmp_path: Path) -> None:
    """It does not wait for its turn to be told that it has none."""
    async with house(tmp_path, [HANG], settings=replace(FAST, max_concurrent_runs=1)) as home:
        busy = await speaking(home)
        run = await home.ask()
        asked = await home.services.runs.cancel(run.thread_id, run.id)
        done = await home.finish(run)
        told = names(await home.journal(run))
        assert "in_progress" == (await home.get(busy)).status

    assert ("cancelling", "cancelled", None) == (asked.status, done.status, done.started_at)
    assert ["run.created", "run.queued", "run.cancelling", "run.cancelled"] == told


async def test_cancelling_while_the_model_speaks(tmp_path: Path) -> None:
    """The answer shows it cancelling, without cancelled_at; then the events in order; what was said is kept."""
    async with house(tmp_path, [HANG]) as home:
        run = await speaking(home)
        asked = await home.services.runs.cancel(run.thread_id, run.id)
        done = await home.finish(run)
        told = names(await home.journal(run))
        answer = (await home.messages(run))[-1]
        (step,) = await home.steps(run)

    assert ("cancelling", None) == (asked.status, asked.cancelled_at)
    assert ("cancelled", START, None) == (done.status, done.cancelled_at, done.expires_at)
    assert done.usage is not None
    assert [
        "message.delta",
        "run.cancelling",
        "message.incomplete",
        "run.step.cancelled",
        "run.cancelled",
    ] == told[-5:]
    assert answer.incomplete_details is not None
    (part,) = answer.content
    assert isinstance(part, TextContent)
    assert ("run_cancelled", "Hello th") == (answer.incomplete_details.reason, part.text.value)
    assert ("cancelled", START) == (step.status, step.cancelled_at)


async def test_a_message_that_was_begun_is_never_empty(tmp_path: Path) -> None:
    """Its first words looked like a citation and were held back when the run was cancelled."""
    found = answering("found", citations=(Citation(1, "file-1", "a.txt", "quote"),))
    script = [calls("file_search", {}), {"text": "[1", "hang": True}]
    async with house(tmp_path, script, tools=[ScriptedTool("file_search", found)]) as home:
        run = await home.ask(tools=[SEARCH])
        await home.until(run, "thread.message.in_progress")
        await home.services.runs.cancel(run.thread_id, run.id)
        await home.finish(run)
        told = names(await home.journal(run))
        answer = (await home.messages(run))[-1]

    assert "[1" == answer.text
    assert ["message.in_progress", "run.cancelling", "message.delta", "message.incomplete"] == (
        told[-6:-2]
    )


async def test_cancelling_in_a_tool_step(tmp_path: Path) -> None:
    """The tool is stopped, and what it had shown is kept."""
    stopped, working = asyncio.Event(), asyncio.Event()

    async def work(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
        try:
            working.set()
            await asyncio.Event().wait()
            return ToolResult("never")
        finally:
            stopped.set()

    tool = ScriptedTool("code_interpreter", work)
    async with house(tmp_path, [calls("code_interpreter", {"code": "1"})], tools=[tool]) as home:
        run = await home.ask(tools=[CODE])
        await working.wait()
        await home.services.runs.cancel(run.thread_id, run.id)
        done = await home.finish(run)
        told = names(await home.journal(run))
        (step,) = await home.steps(run)

    assert "cancelled" == done.status
    assert stopped.is_set()
    assert ["run.cancelling", "run.step.cancelled", "run.cancelled"] == told[-3:]
    assert "1" == step.to_wire()["step_details"]["tool_calls"][0]["code_interpreter"]["input"]


async def test_cancelling_a_run_that_waits_for_its_client(tmp_path: Path) -> None:
    """The function step is cancelled and nothing is required any more."""
    async with house(tmp_path, [calls("add", {})]) as home:
        run = await home.finish(await home.ask(tools=[FUNCTION]))
        waiting = len(await home.journal(run))
        await home.services.runs.cancel(run.thread_id, run.id)
        told = names(await home.events(run, waiting))
        done = await home.get(run)

    assert ("cancelled", None) == (done.status, done.required_action)
    assert ["run.cancelling", "run.step.cancelled", "run.cancelled"] == told


async def test_cancelling_a_run_that_nobody_has_begun(tmp_path: Path) -> None:
    """It is ended without being started."""
    async with house(tmp_path, [HANG], settings=replace(FAST, max_concurrent_runs=1)) as home:
        first = await speaking(home)
        second = await home.ask()
        await home.services.runs.cancel(second.thread_id, second.id)
        await home.services.runs.cancel(first.thread_id, first.id)
        done = await home.finish(second)

    assert ("cancelled", None) == (done.status, done.started_at)


async def test_an_interrupt_at_any_moment_ends_the_run(tmp_path: Path) -> None:
    """Also between its being claimed and its first step: every turn of the event loop is tried."""
    async with house(tmp_path, [HANG]) as home:
        run = await home.ask()
        following = asyncio.create_task(home.finish(run))
        while not following.done():
            home.services.worker.interrupt(run.id, On.EXPIRE)
            await asyncio.sleep(0)
        done = await following

    assert "expired" == done.status


async def test_a_cancel_in_another_process_is_noticed(tmp_path: Path) -> None:
    """At the next heartbeat of the process that executes the run."""
    ids, clock = CountingIds(), VirtualClock()
    async with (
        house(tmp_path, [HANG], ids=ids, clock=clock) as works,
        house(tmp_path, ids=ids, clock=clock, settings=IDLE) as other,
    ):
        run = await speaking(works)
        await other.services.runs.cancel(run.thread_id, run.id)
        await clock.advance(1, sleepers=2)
        done = await works.finish(run)

    assert "cancelled" == done.status


# --- expiry ----------------------------------------------------------------------------------------


async def test_a_queued_run_expires_without_ever_starting(tmp_path: Path) -> None:
    """Nothing of it was opened, so nothing is closed."""
    async with house(tmp_path, [HANG], settings=IDLE) as home:
        run = await home.ask()
        await home.virtual.advance(599)
        assert "queued" == (await home.get(run)).status
        await home.virtual.advance(1)
        done = await home.finish(run)
        told = names(await home.journal(run))

    assert ("expired", None, START + 600) == (done.status, done.started_at, done.expires_at)
    assert ["run.created", "run.queued", "run.expired"] == told


async def test_a_run_at_work_expires(tmp_path: Path) -> None:
    """Its message and step are closed and kept; the model is stopped."""
    async with house(tmp_path, [HANG]) as home:
        run = await speaking(home)
        await home.virtual.advance(600)
        done = await home.finish(run)
        told = names(await home.journal(run))
        answer = (await home.messages(run))[-1]
        (step,) = await home.steps(run)

    assert ("expired", None) == (done.status, done.completed_at)
    assert done.usage is not None
    assert ["message.incomplete", "run.step.expired", "run.expired"] == told[-3:]
    assert answer.incomplete_details is not None
    assert ("run_expired", "expired", START + 600) == (
        answer.incomplete_details.reason,
        step.status,
        step.expired_at,
    )


async def test_a_waiting_run_expires(tmp_path: Path) -> None:
    """Nobody submitted: required_action is gone, outputs are refused, the thread is free again."""
    async with house(tmp_path, [calls("add", {}), {"text": "ok"}]) as home:
        run = await home.finish(await home.ask(tools=[FUNCTION]))
        waiting = len(await home.journal(run))
        with home.core.feed.subscribe(run.id) as live:
            await home.virtual.advance(600)
            await asyncio.wait_for(live.take(), PATIENCE)
        told = names((await home.journal(run))[waiting:])
        done = await home.get(run)
        await home.message(run.thread_id, "Still there?")

    assert ("expired", None) == (done.status, done.required_action)
    assert ["run.step.expired", "run.expired"] == told


async def test_a_resumed_run_keeps_its_deadline(tmp_path: Path) -> None:
    """Ten minutes from its creation, not from the outputs."""
    async with house(tmp_path, [calls("add", {}), HANG]) as home:
        run = await home.finish(await home.ask(tools=[FUNCTION]))
        await home.virtual.advance(500)
        _, after = await home.submit(run, {"call_1": "7"})
        await home.until(run, "thread.message.delta", after)
        await home.virtual.advance(100)
        done = await home.finish(run, after)

    assert ("expired", START + 500) == (done.status, done.started_at)


async def test_nothing_is_told_of_a_run_after_its_end(tmp_path: Path) -> None:
    """Another process expires it while the model still speaks here: the rest of the speech is not journaled."""
    ids, clock, gate = CountingIds(), VirtualClock(), asyncio.Event()
    backend = DeltaBackend(
        [TextDelta("One "), gate, TextDelta("two."), UsageDelta(1, 1), Finish("stop")]
    )
    async with (
        house(tmp_path, ids=ids, clock=clock, settings=STILL) as works,
        house(tmp_path, ids=ids, clock=clock, settings=IDLE) as other,
    ):
        works.models.current = backend
        run = await speaking(works)
        await clock.advance(600, sleepers=2)
        expired = await other.finish(run)
        gate.set()
        await works.services.stop()
        told = names(await other.journal(run))
        answer = (await other.messages(run))[-1]

    assert "expired" == expired.status
    assert "run.expired" == told[-1]
    assert [("text", "One ")] == [
        (part.type, part.text.value) for part in answer.content if isinstance(part, TextContent)
    ]
