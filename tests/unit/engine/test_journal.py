"""Object and event change together or not at all, and a commit that was begun is finished."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from local_assistants.engine.errors import IllegalTransition, NotFound
from local_assistants.engine.events import EventName
from local_assistants.engine.feed import EventFeed
from local_assistants.engine.journal import Journal, Unit, public_step
from local_assistants.engine.objects import (
    FileSearchCall,
    FileSearchDetails,
    Message,
    Run,
    RunStep,
    SearchResult,
    SearchText,
    Thread,
    ToolCallsDetails,
    Usage,
)
from local_assistants.engine.states import MessageStatus, On, RunStatus, StepStatus
from tests.support.clock import START, VirtualClock
from tests.support.database import open_store

RUN = Run(
    id="run_1", created_at=1, assistant_id="a", thread_id="t", status=RunStatus.QUEUED, model="m"
)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    """A journal over a store with one queued run."""
    store = open_store(tmp_path)
    await store.write(lambda tx: tx.put(Thread(id="t", created_at=1)))
    made = Journal(store, EventFeed(), VirtualClock())
    await made.commit(lambda unit: unit.save(RUN, EventName.RUN_CREATED, EventName.RUN_QUEUED))
    yield made
    await store.close()


async def status(journal: Journal) -> RunStatus:
    """The stored run's status."""
    run = await journal.store.read(lambda tx: tx.get(Run, RUN.id))
    assert run is not None
    return run.status


async def event_names(journal: Journal) -> list[str]:
    """What the journal holds."""
    return [event.name for event in await journal.store.read(lambda tx: tx.events(RUN.id))]


async def test_a_transition_is_stored_and_told_at_once(journal: Journal) -> None:
    """The payload is the object as stored, at the clock's whole seconds, its empty resources spelled out."""
    started = await journal.commit(lambda unit: unit.fire(Run, RUN.id, On.START))
    (event,) = await journal.store.read(lambda tx: tx.events(RUN.id, 2))

    assert (RunStatus.IN_PROGRESS, START) == (started.status, started.started_at)
    none: list[str] = []
    shown = started.to_wire() | {"tool_resources": {"code_interpreter": {"file_ids": none}}}
    assert ("thread.run.in_progress", shown) == (event.name, event.data)


async def test_a_change_that_fails_leaves_no_trace(journal: Journal) -> None:
    """Neither the first half of the change nor its events; followers hear nothing."""

    def change(unit: Unit) -> None:
        unit.fire(Run, RUN.id, On.START)
        unit.fire(Run, RUN.id, On.SUBMIT)

    with journal.feed.subscribe(RUN.id) as live:
        with pytest.raises(IllegalTransition):
            await journal.commit(change)
        assert [] == list(vars(live)["_events"])
    assert await status(journal) == RunStatus.QUEUED
    assert ["thread.run.created", "thread.run.queued"] == await event_names(journal)


async def test_cancelling_the_caller_does_not_undo_the_commit(journal: Journal) -> None:
    """What was begun is stored and published, and `settle` waits for it."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(unit: Unit) -> None:
        begun.set()
        go_on.wait(5)
        unit.fire(Run, RUN.id, On.START)

    with journal.feed.subscribe(RUN.id) as live:
        caller = asyncio.create_task(journal.commit(slow))
        await asyncio.to_thread(begun.wait, 5)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        go_on.set()
        await journal.settle()
        published = [event.name for event in await live.take()]

    assert ["thread.run.in_progress"] == published
    assert await status(journal) == RunStatus.IN_PROGRESS


async def test_a_caller_cancelled_before_the_commit_began_loses_nothing(journal: Journal) -> None:
    """Even when it was cancelled in the same breath."""
    caller = asyncio.create_task(journal.commit(lambda unit: unit.fire(Run, RUN.id, On.START)))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    await journal.settle()

    assert await status(journal) == RunStatus.IN_PROGRESS


async def test_events_are_published_in_the_order_of_their_numbers(journal: Journal) -> None:
    """However many commits are under way at once."""

    def note(number: int) -> None:
        journal_tasks.append(
            asyncio.create_task(
                journal.commit(lambda unit: unit.emit(RUN.id, EventName.RUN_QUEUED, {"n": number}))
            )
        )

    journal_tasks: list[asyncio.Task[None]] = []
    with journal.feed.subscribe(RUN.id) as live:
        for number in range(50):
            note(number)
        await asyncio.gather(*journal_tasks)
        heard = await live.take()

    assert list(range(3, 53)) == [event.seq for event in heard]
    assert list(range(50)) == [event.data["n"] for event in heard]


async def test_an_object_that_is_gone_is_named(journal: Journal) -> None:
    """A run deleted meanwhile is an error that says which."""
    with pytest.raises(NotFound, match="No run found with id 'run_9'"):
        await journal.commit(lambda unit: unit.fire(Run, "run_9", On.START))


async def test_a_message_of_a_client_has_no_journal(journal: Journal) -> None:
    """Only runs have one; announcing another message is a mistake of ours."""
    message = Message(
        id="msg_1", created_at=1, thread_id="t", status=MessageStatus.COMPLETED, role="user"
    )
    with pytest.raises(ValueError, match="belongs to no run"):
        await journal.commit(lambda unit: unit.save(message, EventName.MESSAGE_CREATED))


def search_step(status: StepStatus) -> RunStep:
    """A step with one search result."""
    result = SearchResult(
        file_id="file-1", file_name="a.txt", score=0.5, content=(SearchText(text="found"),)
    )
    call = FileSearchCall(id="call_1", file_search=FileSearchDetails(results=(result,)))
    return RunStep(
        id="step_1",
        created_at=1,
        run_id=RUN.id,
        assistant_id="a",
        thread_id="t",
        type="tool_calls",
        status=status,
        step_details=ToolCallsDetails(tool_calls=(call,)),
        usage=Usage.of(1, 2),
    )


def test_found_text_is_shown_only_on_demand() -> None:
    """Results always, their content with include[]."""
    step = search_step(StepStatus.COMPLETED)
    bare = public_step(step)["step_details"]["tool_calls"][0]["file_search"]["results"]
    full = public_step(step, include_content=True)["step_details"]["tool_calls"][0]

    plain: dict[str, Any] = {
        "file_id": "file-1",
        "file_name": "a.txt",
        "score": 0.5,
        "attributes": {},
    }
    assert [plain] == bare
    assert [{"type": "text", "text": "found"}] == full["file_search"]["results"][0]["content"]


def test_usage_is_shown_when_a_step_has_ended() -> None:
    """Not before, even when it is known."""
    assert public_step(search_step(StepStatus.IN_PROGRESS))["usage"] is None
    assert 3 == public_step(search_step(StepStatus.COMPLETED))["usage"]["total_tokens"]
