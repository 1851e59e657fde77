"""Runs are executed once, ended in time, and taken up again: by whom, when, and after what."""

import asyncio
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

from local_assistants.engine.chat import Delta, Finish, TextDelta, ToolCall, UsageDelta
from local_assistants.engine.feed import EventFeed
from local_assistants.engine.journal import Journal
from local_assistants.engine.objects import Run, TextContent
from local_assistants.engine.ports import Citation, Emit, ToolResult, ToolSession
from local_assistants.engine.services import Services
from local_assistants.engine.states import On
from local_assistants.storage.sqlite import SQLiteSettings, SQLiteStore
from tests.support.clock import START, VirtualClock
from tests.support.engine import (
    CODE,
    FAST,
    FUNCTION,
    PATIENCE,
    SEARCH,
    DeltaBackend,
    House,
    ScriptedTool,
    answering,
    calls,
    house,
    names,
)
from tests.support.ids import CountingIds

HANG = {"text": "Hello th", "hang": True}
STILL = replace(FAST, heartbeat=10_000.0)
"""A worker that looks only once at leases and overdue runs, when it starts."""
IDLE = replace(FAST, max_concurrent_runs=0)
"""A worker that executes nothing and only looks at what is overdue."""


async def speaking(home: House) -> Run:
    """A run in the middle of a message."""
    run = await home.ask()
    await home.until(run, "thread.message.delta")
    return run


# --- cancel ----------------------------------------------------------------------------------------


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


# --- restart ---------------------------------------------------------------------------------------


async def test_a_run_goes_on_after_a_restart_without_repeating_finished_calls(
    tmp_path: Path,
) -> None:
    """The tool of the first turn has run once; the second turn is done again; nothing spent is forgotten."""
    ids, clock = CountingIds(), VirtualClock()
    tool = ScriptedTool("code_interpreter", answering("42"))
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    first = calls("code_interpreter", {}) | {"usage": usage}
    async with house(tmp_path, [first, HANG], tools=[tool], ids=ids, clock=clock) as home:
        run = await home.ask(tools=[CODE])
        await home.until(run, "thread.message.delta")

    script = [first, {"text": "It is {{tool}}.", "usage": usage}]
    async with house(tmp_path, script, tools=[tool], ids=ids, clock=clock) as home:
        done = await home.finish(run)
        steps = await home.steps(run)
        _, broken, answer = await home.messages(run)
        told = names(await home.journal(run))

    assert "completed" == done.status
    assert done.usage is not None
    assert (20, 10) == (done.usage.prompt_tokens, done.usage.completion_tokens)
    assert 1 == len(tool.calls)
    assert ["completed", "failed", "completed"] == [step.status for step in steps]
    assert ("incomplete", "Hello th") == (broken.status, broken.text)
    assert ("completed", "It is 42.") == (answer.status, answer.text)
    assert 1 == told.count("run.in_progress")


async def test_a_killed_process_loses_nothing_that_was_seen(tmp_path: Path) -> None:
    """Its lease lapses, then another takes the run over; the half message is what clients have seen of it."""
    ids, clock = CountingIds(), VirtualClock()
    async with house(tmp_path, [HANG], ids=ids, clock=clock) as home:
        run = await speaking(home)
        seen = "".join(
            event.data["delta"]["content"][0]["text"]["value"]
            for event in await home.journal(run)
            if event.name == "thread.message.delta"
        )
        await home.crash()

    async with house(tmp_path, [{"text": "Hello there."}], ids=ids, clock=clock) as home:
        assert "in_progress" == (await home.get(run)).status
        await clock.advance(14)
        assert "in_progress" == (await home.get(run)).status  # the lease still stands
        await clock.advance(2)
        done = await home.finish(run)
        _, broken, answer = await home.messages(run)

    assert "completed" == done.status
    assert broken.incomplete_details is not None
    assert ("run_failed", seen) == (broken.incomplete_details.reason, broken.text)
    assert "Hello there." == answer.text


async def test_a_waiting_run_outlives_its_process(tmp_path: Path) -> None:
    """The outputs may come to the next one."""
    ids, clock = CountingIds(), VirtualClock()
    script = [calls("add", {}), {"text": "It said {{tool}}."}]
    async with house(tmp_path, script, ids=ids, clock=clock) as home:
        run = await home.finish(await home.ask(tools=[FUNCTION]))
        await home.crash()
    async with house(tmp_path, script, ids=ids, clock=clock) as home:
        _, after = await home.submit(run, {"call_1": "7"})
        done = await home.finish(run, after)
        answer = (await home.messages(run))[-1]

    assert ("completed", "It said 7.") == (done.status, answer.text)


async def test_a_cancel_outlives_its_process(tmp_path: Path) -> None:
    """A run that was cancelling is cancelled by the next one, not executed."""
    ids, clock = CountingIds(), VirtualClock()
    async with house(tmp_path, [HANG], ids=ids, clock=clock, settings=STILL) as home:
        run = await speaking(home)
        await home.core.journal.commit(lambda unit: unit.fire(Run, run.id, On.CANCEL))
        await home.crash()
    async with house(tmp_path, ids=ids, clock=clock) as home:
        await clock.advance(20)
        done = await home.finish(run)
        requests = home.backend.requests

    assert ("cancelled", []) == (done.status, requests)


async def test_an_overdue_run_expires_at_the_next_start(tmp_path: Path) -> None:
    """Nobody was there when its time came."""
    ids, clock = CountingIds(), VirtualClock()
    async with house(tmp_path, [HANG], ids=ids, clock=clock) as home:
        run = await speaking(home)
    await clock.advance(3600, sleepers=0)
    async with house(tmp_path, ids=ids, clock=clock) as home:
        done = await home.finish(run)
        broken = (await home.messages(run))[-1]

    assert ("expired", "Hello th") == (done.status, broken.text)


class SlowClock(VirtualClock):
    """A clock that can hold up a thread that asks for the time, other than the event loop's."""

    def __init__(self) -> None:
        super().__init__()
        self.held, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()

    def now(self) -> float:
        """Unix seconds, later."""
        if threading.current_thread() is not threading.main_thread() and not self.go_on.is_set():
            self.held.set()
            self.go_on.wait(PATIENCE)
        return super().now()


async def test_a_run_claimed_while_the_worker_stops_is_free_again(tmp_path: Path) -> None:
    """The claim was already on its way to the disk."""
    ids, clock = CountingIds(), SlowClock()
    async with house(tmp_path, ids=ids, clock=clock) as home:
        assistant = await home.assistant()
        thread = await home.thread("Hi")
        run = await home.run(thread.id, assistant.id)
        clock.go_on.clear()  # now, or already while it is claimed
        home.services.worker.wake()
        await asyncio.to_thread(clock.held.wait, 0.5)
        stopping = asyncio.create_task(home.services.stop())
        await asyncio.sleep(0.01)
        clock.go_on.set()
        await stopping
    async with house(tmp_path, ids=ids, clock=clock) as home:
        done = await home.finish(run)

    assert "completed" == done.status


# --- several workers -------------------------------------------------------------------------------


async def test_two_workers_on_one_store_execute_each_run_once(tmp_path: Path) -> None:
    """Whoever claims it; nobody else begins it."""
    ids, clock = CountingIds(), VirtualClock()
    async with (
        house(tmp_path, ids=ids, clock=clock) as one,
        house(tmp_path, ids=ids, clock=clock) as two,
    ):
        runs = [await (one, two)[n % 2].ask() for n in range(12)]
        async with asyncio.timeout(PATIENCE):
            while {"completed"} != {(await one.get(run)).status for run in runs}:
                one.services.worker.wake()
                two.services.worker.wake()
                await asyncio.sleep(0.005)
        told = [names(await one.journal(run)) for run in runs]
        asked = len(one.backend.requests) + len(two.backend.requests)

    assert 12 == asked
    assert [1] * 12 == [each.count("run.in_progress") for each in told]


async def test_a_worker_does_not_begin_its_own_run_twice(tmp_path: Path) -> None:
    """The machine slept and its lease lapsed: it still has the run in hand."""
    settings = replace(STILL, run_lifetime=100_000)
    async with house(tmp_path, [HANG], settings=settings) as home:
        run = await speaking(home)
        await home.virtual.advance(60)
        other = await speaking(home)
        asked = len(home.backend.requests)
        await home.services.runs.cancel(run.thread_id, run.id)
        done = await home.finish(run)
        await home.services.runs.cancel(other.thread_id, other.id)
        await home.finish(other)

    assert 2 == asked
    assert "cancelled" == done.status


async def test_no_more_runs_at_a_time_than_allowed(tmp_path: Path) -> None:
    """The rest waits in the order it came."""
    gates = [asyncio.Event() for _ in range(3)]
    turns: list[list[Delta | asyncio.Event]] = [
        [gate, TextDelta("ok"), UsageDelta(1, 1), Finish("stop")] for gate in gates
    ]
    async with house(tmp_path, settings=replace(FAST, max_concurrent_runs=2)) as home:
        home.models.current = DeltaBackend(*turns)
        runs = [await home.ask() for _ in range(3)]
        for run in runs[:2]:
            await home.until(run, "thread.run.in_progress")
        assert "queued" == (await home.get(runs[2])).status
        gates[0].set()
        await home.until(runs[2], "thread.run.in_progress")
        for gate in gates:
            gate.set()
        statuses = {(await home.finish(run)).status for run in runs}

    assert {"completed"} == statuses


async def test_a_claim_that_fails_is_tried_again(tmp_path: Path) -> None:
    """The database was locked by somebody else for too long: the worker says so and goes on."""
    async with house(tmp_path, settings=STILL) as home:
        assistant = await home.assistant()
        thread = await home.thread("Hi")
        await home.services.worker.stop()
        run = await home.run(thread.id, assistant.id)

        hasty = SQLiteStore.open(
            tmp_path / "store.db", SQLiteSettings(durability="normal", busy_timeout=0.02)
        )
        feed = EventFeed()
        core = replace(
            home.core,
            store=hasty,
            feed=feed,
            journal=Journal(hasty, feed, home.clock),
            settings=FAST,
        )
        blocker = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        services = Services(core)
        await services.start()
        await asyncio.sleep(0.1)  # by now the first claim has been refused
        blocker.execute("ROLLBACK")
        blocker.close()
        await home.virtual.advance(1)
        async with asyncio.timeout(PATIENCE):
            events = [event async for event in services.runs.stream(run.id)]
        await services.stop()
        await hasty.close()

    assert "thread.run.completed" == events[-1].name


async def test_a_run_that_could_not_even_be_ended_is_taken_up_again(tmp_path: Path) -> None:
    """The disk was full for a while: the run goes on at the first heartbeat that can write, not after a restart."""
    gate = asyncio.Event()
    turn: list[Delta | asyncio.Event] = [
        gate, TextDelta("ok"), UsageDelta(1, 1), Finish("stop")
    ]  # fmt: skip
    async with house(tmp_path, settings=STILL) as home:
        home.models.current = DeltaBackend(turn, turn)
        run = await home.ask()
        await home.until(run, "thread.run.in_progress")
        await home.services.worker.stop()

        hasty = SQLiteStore.open(
            tmp_path / "store.db", SQLiteSettings(durability="normal", busy_timeout=0.02)
        )
        feed = EventFeed()
        journal = Journal(hasty, feed, home.clock)
        services = Services(
            replace(home.core, store=hasty, feed=feed, journal=journal, settings=FAST)
        )
        await services.start()
        await asyncio.sleep(0.1)  # by now it waits for the model again
        blocker = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        gate.set()
        await asyncio.sleep(0.2)  # what it said and its end have been refused
        blocker.execute("ROLLBACK")
        blocker.close()
        await home.virtual.advance(1)
        async with asyncio.timeout(PATIENCE):
            events = [event async for event in services.runs.stream(run.id)]
        await services.stop()
        await hasty.close()

    assert "thread.run.completed" == events[-1].name
