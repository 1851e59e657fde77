"""Runs are executed once and taken up again: after restarts and crashes, by several workers, on a busy store."""

import asyncio
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path

from local_assistants.engine.chat import Delta, Finish, TextDelta, UsageDelta
from local_assistants.engine.feed import EventFeed
from local_assistants.engine.journal import Journal
from local_assistants.engine.objects import Run
from local_assistants.engine.services import Services
from local_assistants.engine.states import On
from local_assistants.storage.sqlite import SQLiteSettings, SQLiteStore
from tests.support.clock import VirtualClock
from tests.support.engine import (
    CODE,
    FAST,
    FUNCTION,
    PATIENCE,
    DeltaBackend,
    ScriptedTool,
    answering,
    calls,
    house,
    names,
)
from tests.support.ids import CountingIds
from tests.support.runs import HANG, STILL, idle, speaking

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


async def test_a_worker_that_has_lost_a_run_writes_nothing_to_it(tmp_path: Path) -> None:
    """It stalls, another one takes the run over and ends it; then it wakes up in mid-sentence."""
    ids, clock = CountingIds(), VirtualClock()
    gate = asyncio.Event()
    late: list[Delta | asyncio.Event] = [TextDelta("Old"), gate, TextDelta(" news"), Finish("stop")]
    async with house(tmp_path, ids=ids, clock=clock, settings=STILL) as stalled:
        stalled.models.current = DeltaBackend(late)
        run = await speaking(stalled)
        await clock.advance(16)
        other = house(tmp_path, [{"text": "New."}], ids=ids, clock=clock, settings=STILL)
        async with other as awake:
            done = await awake.finish(run)
            told = await awake.journal(run)
            gate.set()
            await idle(stalled)
            assert told == await awake.journal(run)
            texts = [message.text for message in await awake.messages(run)]
            assert done == await awake.get(run)

    assert ("completed", ["Hi", "Old", "New."]) == (done.status, texts)


async def test_a_worker_that_has_lost_a_run_does_not_write_while_the_other_works(
    tmp_path: Path,
) -> None:
    """The run is still in progress, as it left it: only the owner tells that it is not its own."""
    ids, clock = CountingIds(), VirtualClock()
    gate = asyncio.Event()
    late: list[Delta | asyncio.Event] = [TextDelta("Old"), gate, TextDelta(" news"), Finish("stop")]
    async with house(tmp_path, ids=ids, clock=clock, settings=STILL) as stalled:
        stalled.models.current = DeltaBackend(late)
        run = await speaking(stalled)
        before = await stalled.journal(run)
        await clock.advance(16)
        async with house(tmp_path, [HANG], ids=ids, clock=clock, settings=STILL) as awake:
            await awake.until(run, "thread.message.delta", len(before))
            gate.set()
            await idle(stalled)
            texts = [e.data for e in await awake.journal(run) if e.name == "thread.message.delta"]
            assert "news" not in str(texts)
            assert "in_progress" == (await awake.get(run)).status
            await awake.services.runs.cancel(run.thread_id, run.id)
            assert "cancelled" == (await awake.finish(run)).status


async def test_a_heartbeat_stops_work_on_a_run_that_was_lost(tmp_path: Path) -> None:
    """A tool that works for an hour is not left at it when the run is another worker's."""
    ids, clock = CountingIds(), VirtualClock()
    async with house(tmp_path, [HANG], ids=ids, clock=clock) as stalled:
        run = await speaking(stalled)
        await stalled.store.write(lambda tx: tx.release_run(run.id, "req_1"))
        await stalled.store.write(lambda tx: tx.claim_run("somebody else", clock.now(), 900))
        await clock.advance(1)
        await idle(stalled)
        assert "in_progress" == (await stalled.get(run)).status


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


async def test_a_worker_that_drains_begins_nothing_more(tmp_path: Path) -> None:
    """The run at work is finished, the queued one stays for another worker."""
    async with house(tmp_path, [HANG], settings=replace(FAST, max_concurrent_runs=1)) as home:
        busy = await speaking(home)
        waiting = await home.ask()
        draining = asyncio.create_task(home.services.worker.drain())
        await home.services.runs.cancel(busy.thread_id, busy.id)
        async with asyncio.timeout(PATIENCE):
            await draining
        ended, left = await home.get(busy), await home.get(waiting)
        owner = await home.store.read(lambda tx: tx.lease_owner(waiting.id))

    assert ("cancelled", "queued", None) == (ended.status, left.status, owner)
