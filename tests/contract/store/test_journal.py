"""The journal of a run and the transcript of a thread."""

import asyncio
from functools import partial

import pytest

from local_assistants.engine import objects
from local_assistants.engine.chat import ChatMessage, ImagePart, TextPart, ToolCall
from local_assistants.engine.errors import StorageFault
from local_assistants.engine.events import Event, EventName
from local_assistants.engine.ports import (
    Citation,
    MadeFile,
    Store,
    Transaction,
    TranscriptEntry,
)
from tests.contract.store import samples
from tests.contract.store.conftest import put


@pytest.fixture
async def running(store: Store) -> Store:
    """A store with run_1 and run_2."""
    await put(store, samples.thread(1), samples.run(1), samples.thread(2), samples.run(2))
    return store


async def append_all(store: Store, *entries: TranscriptEntry) -> None:
    """Append entries in this order."""

    def change(tx: Transaction) -> None:
        for entry in entries:
            tx.append_transcript(entry)

    await store.write(change)


async def test_events_are_numbered_per_run_from_one(running: Store) -> None:
    """Runs do not share numbers; what is returned is what is read."""
    made = await running.write(
        lambda tx: [
            tx.append_event(run, EventName.RUN_CREATED, {"a": 1})
            for run in ("run_1", "run_2", "run_1")
        ]
    )
    assert [(event.run_id, event.seq) for event in made] == [
        ("run_1", 1),
        ("run_2", 1),
        ("run_1", 2),
    ]
    assert await running.read(lambda tx: tx.events("run_1")) == [made[0], made[2]]


async def test_events_have_no_gaps_when_changes_fail_in_between(running: Store) -> None:
    """A rolled back event gives its number back."""

    def append(number: int, tx: Transaction) -> None:
        tx.append_event("run_1", EventName.STEP_DELTA, {"n": number})
        if number % 3 == 1:
            raise ValueError("on purpose")

    work = [running.write(partial(append, number)) for number in range(30)]
    await asyncio.gather(*work, return_exceptions=True)
    events = await running.read(lambda tx: tx.events("run_1"))
    assert [event.seq for event in events] == list(range(1, 21))
    assert await running.read(lambda tx: tx.last_seq("run_1")) == 20


async def test_events_after_a_number_up_to_a_limit(running: Store) -> None:
    """The stretch a resumed stream asks for."""
    await running.write(
        lambda tx: [
            tx.append_event("run_1", EventName.MESSAGE_DELTA, {"n": n}) for n in range(1, 8)
        ]
    )
    stretch = await running.read(lambda tx: tx.events("run_1", after=3, limit=2))
    assert stretch == [Event("run_1", n, EventName.MESSAGE_DELTA, {"n": n}) for n in (4, 5)]


async def test_a_run_without_events_is_at_zero(running: Store) -> None:
    """So is one that does not exist."""
    assert await running.read(lambda tx: (tx.last_seq("run_1"), tx.last_seq("run_9"))) == (0, 0)


async def test_an_event_of_no_run_is_refused(store: Store) -> None:
    """Journal and objects agree."""
    with pytest.raises(StorageFault, match="does not exist"):
        await store.write(lambda tx: tx.append_event("run_9", EventName.RUN_CREATED, {}))


async def test_any_text_a_model_writes_can_be_journaled(running: Store) -> None:
    """NUL stays; half a character is replaced, in the returned event too, so that it can be sent."""
    data = {"text": "a\x00b\udc00c", "kept": "\U0001f600 é\u2028"}
    event = await running.write(lambda tx: tx.append_event("run_1", EventName.MESSAGE_DELTA, data))
    assert event.data == {"text": "a\x00b\ufffdc", "kept": "\U0001f600 é\u2028"}
    assert [event] == await running.read(lambda tx: tx.events("run_1"))


async def test_the_transcript_keeps_order_and_every_field(running: Store) -> None:
    """Entries of messages and of runs, with calls and pictures, come back as they were."""
    call = ToolCall(id="call_1", name="f", arguments='{"a": ')
    entries = [
        TranscriptEntry("thread_1", message_id="msg_1"),
        TranscriptEntry(
            "thread_1", "run_1", "step_1", None, ChatMessage(role="assistant", tool_calls=(call,))
        ),
        TranscriptEntry(
            "thread_1",
            "run_1",
            body=ChatMessage(
                role="tool", tool_call_id="call_1", content=(TextPart(text="x"), ImagePart(url="u"))
            ),
        ),
    ]
    await append_all(running, *entries, TranscriptEntry("thread_2"))
    found = await running.read(lambda tx: tx.transcript("thread_1"))
    assert [(e.run_id, e.step_id, e.message_id, e.body) for e in found] == [
        (e.run_id, e.step_id, e.message_id, e.body) for e in entries
    ]
    assert [e.seq for e in found] == sorted({e.seq for e in found})


async def test_the_transcript_keeps_what_a_tool_brought(running: Store) -> None:
    """Passages, files and whether it failed, each without the others."""
    entries = [
        TranscriptEntry("thread_1", citations=(Citation(3, "file-1", "a.pdf", "“é”", page=2),)),
        TranscriptEntry("thread_1", files=(MadeFile("/mnt/data/ü ber.csv", "file-2"),)),
        TranscriptEntry("thread_1", failed=True),
        TranscriptEntry("thread_1"),
    ]
    await append_all(running, *entries)
    found = await running.read(lambda tx: tx.transcript("thread_1"))
    assert [(e.citations, e.files, e.failed) for e in entries] == [
        (e.citations, e.files, e.failed) for e in found
    ]


async def test_a_deleted_message_leaves_the_transcript(running: Store) -> None:
    """What has no text any more cannot be rendered; the rest stays."""
    await put(running, samples.message(1), samples.message(2))
    await append_all(running, *(TranscriptEntry("thread_1", message_id=f"msg_{n}") for n in (1, 2)))
    await running.write(lambda tx: tx.delete(objects.Message, "msg_1"))
    found = await running.read(lambda tx: tx.transcript("thread_1"))
    assert ["msg_2"] == [entry.message_id for entry in found]
