"""Server-sent events: their bytes, their end, their errors."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import pytest
from openai._streaming import SSEDecoder
from starlette.types import Message

from local_assistants.engine.errors import BackendFault
from local_assistants.engine.events import Event, EventName
from local_assistants.server.errors import SORRY
from local_assistants.server.sse import (
    DONE,
    PING,
    Batches,
    error_frame,
    event_stream,
    frame,
)
from tests.support.answers import error_of, events_of

from .house import House, open_house

WEATHER = {"name": "weather", "arguments": {"city": "Rome"}}
FUNCTION = {"type": "function", "function": {"name": "weather"}}


def event(seq: int, data: dict[str, Any] | None = None) -> Event:
    """A journal entry."""
    return Event("run_1", seq, EventName.MESSAGE_DELTA, data or {"n": seq})


def test_a_frame_has_id_event_and_one_line_of_compact_json() -> None:
    """UTF-8 stays readable; nothing is escaped that need not be."""
    expected = 'id: 7\nevent: thread.message.delta\ndata: {"a":"né\\n","b":[1,null]}\n\n'
    assert expected.encode() == frame(event(7, {"a": "né\n", "b": [1, None]}))


@pytest.mark.parametrize("odd", ["\r", "\n", "\x0b", "\x1c", "\x85", "\u2028", "\u2029", "\ud800"])
def test_no_character_breaks_a_frame(odd: str) -> None:
    """Whatever the model writes, a frame has three lines by anybody's rules."""
    text = frame(event(1, {"value": f"a{odd}b"})).decode()
    assert 3 == len(text.rstrip("\n").splitlines())
    value = json.loads(text.splitlines()[2].removeprefix("data: "))["value"]
    assert value == (f"a{odd}b" if odd != "\ud800" else "a?b")


async def play(*script: int | float | Exception) -> AsyncGenerator[Sequence[Event], None]:
    """Integers are events, floats are silences in seconds, exceptions are raised."""
    for act in script:
        if isinstance(act, Exception):
            raise act
        if isinstance(act, float):
            await asyncio.sleep(act)
        yield [] if isinstance(act, float) else [event(act)]


async def collect(source: Batches, ping_seconds: float = 15.0) -> list[bytes]:
    """What is sent of a stream."""
    answer = await event_stream(source, ping_seconds=ping_seconds)
    return [chunk async for chunk in answer.chunks if chunk]


async def test_a_stream_ends_with_done() -> None:
    """Also an empty one."""
    assert frame(event(1)) + frame(event(2)) + DONE == b"".join(await collect(play(1, 2)))
    assert [DONE] == await collect(play())


async def test_a_stored_payload_goes_out_as_it_is_stored() -> None:
    """Byte for byte, but for what would end a line: it is neither taken apart nor put together again."""
    text = '{"b":1.0,"a":"n\u00e9\u2028"}'
    stored = Event("run_1", 3, EventName.MESSAGE_DELTA, None, text)
    expected = 'id: 3\nevent: thread.message.delta\ndata: {"b":1.0,"a":"n\u00e9\\u2028"}\n\n'
    assert expected.encode() == frame(stored)
    assert {"b": 1.0, "a": "n\u00e9\u2028"} == stored.data


async def test_events_that_come_together_are_sent_together() -> None:
    """One flush for a batch."""

    async def batch() -> AsyncGenerator[Sequence[Event], None]:
        yield [event(1), event(2)]

    assert [frame(event(1)) + frame(event(2)), DONE] == await collect(batch())


async def test_a_quiet_stream_is_kept_alive() -> None:
    """Comments are sent while nothing happens, and no event is lost over them."""
    chunks = await collect(play(1, 0.2, 2), ping_seconds=0.05)
    assert PING in chunks
    heard = b"".join(chunk for chunk in chunks if chunk != PING)
    assert frame(event(1)) + frame(event(2)) + DONE == heard


async def test_the_sdk_s_parser_hears_no_event_in_the_silence() -> None:
    """A comment after an event with an id gives nothing; the SDK would take an empty event for broken JSON."""
    chunks = await collect(play(1, 0.2, 2), ping_seconds=0.05)
    heard = list(SSEDecoder().iter_bytes(iter(chunks)))
    assert ["1", "2", "2"] == [event.id for event in heard]
    assert ['{"n":1}', '{"n":2}', "[DONE]"] == [event.data for event in heard]


async def test_an_error_before_the_first_event_is_no_stream() -> None:
    """It is raised, so that the client gets a plain HTTP error."""
    with pytest.raises(BackendFault):
        await event_stream(play(BackendFault("no model"), 1), ping_seconds=15)


async def test_an_error_in_a_stream_is_a_nested_event_before_done() -> None:
    """Known errors say what they are, others nothing about the inside."""
    known, unknown = BackendFault("no model"), RuntimeError("secret")
    heard = b"".join(await collect(play(1, known)))
    told = events_of(b"".join(await collect(play(1, unknown))).decode())[1]
    assert frame(event(1)) + error_frame(known) + DONE == heard
    assert ("error", SORRY) == (told[0], told[1]["error"]["message"])
    assert {"message", "type", "param", "code"} == set(told[1]["error"])


async def test_the_source_is_closed_when_the_reader_goes_away() -> None:
    """Nothing of a stream stays behind."""
    closed = asyncio.Event()

    async def endless() -> AsyncGenerator[Sequence[Event], None]:
        try:
            for seq in range(1, 10**9):
                await asyncio.sleep(0)
                yield [event(seq)]
        finally:
            closed.set()

    sent = asyncio.Event()

    async def receive() -> Message:
        await sent.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.set()

    answer = await event_stream(endless(), ping_seconds=15)
    await asyncio.wait_for(answer({"type": "http"}, receive, send), 5)
    assert closed.is_set()


async def test_a_reader_that_rests_holds_the_source_back() -> None:
    """Nothing is fetched ahead of it, whatever the source has to give."""
    given = 0

    async def endless() -> AsyncGenerator[Sequence[Event], None]:
        nonlocal given
        while True:
            given += 1
            yield [event(given)]

    answer = await event_stream(endless(), ping_seconds=15)
    await anext(answer.chunks)
    await asyncio.sleep(0.05)
    await answer.chunks.aclose()
    assert 1 == given


async def test_a_streamed_run(house: House) -> None:
    """The recorded order of a plain answer, numbered from one."""
    assistant = await house.post("/assistants", {"model": "scripted"})
    thread = await house.post("/threads", {"messages": [{"role": "user", "content": "hi"}]})
    body = {"assistant_id": assistant["id"], "stream": True}
    answer = await house.client.post(f"/threads/{thread['id']}/runs", json=body)
    names = [name for name, _ in events_of(answer.text)]
    ids = [int(line[4:]) for line in answer.text.splitlines() if line.startswith("id: ")]
    assert "text/event-stream; charset=utf-8" == answer.headers["content-type"]
    assert ["thread.run.created", "thread.run.queued", "thread.run.in_progress"] == names[:3]
    assert ["thread.run.completed", "done"] == names[-2:]
    assert list(range(1, len(ids) + 1)) == ids


async def test_a_streamed_thread_and_run(house: House) -> None:
    """The stream begins with the thread."""
    assistant = await house.post("/assistants", {"model": "scripted"})
    thread = {"messages": [{"role": "user", "content": "hi"}]}
    body = {"assistant_id": assistant["id"], "thread": thread, "stream": True}
    answer = await house.client.post("/threads/runs", json=body)
    names = [name for name, _ in events_of(answer.text)]
    assert ["thread.created", "thread.run.created"] == names[:2]
    assert ["thread.run.completed", "done"] == names[-2:]


async def test_outputs_are_submitted_and_the_rest_is_streamed(tmp_path: Path) -> None:
    """The second stream begins with the step that the outputs complete."""
    turns = ({"tool_calls": [WEATHER]}, {"text": "It is {{tool}}."})
    async with open_house(tmp_path, turns) as house:
        assistant = await house.post("/assistants", {"model": "scripted", "tools": [FUNCTION]})
        body = {"assistant_id": assistant["id"], "stream": True}
        first = events_of((await house.client.post("/threads/runs", json=body)).text)
        run = first[-2][1]
        call = run["required_action"]["submit_tool_outputs"]["tool_calls"][0]
        outputs = [{"tool_call_id": call["id"], "output": "sunny"}]
        answer = await house.client.post(
            f"/threads/{run['thread_id']}/runs/{run['id']}/submit_tool_outputs",
            json={"tool_outputs": outputs, "stream": True},
        )
    names = [name for name, _ in events_of(answer.text)]
    assert ["thread.run.requires_action", "done"] == [name for name, _ in first[-2:]]
    assert ["thread.run.step.completed", "thread.run.queued"] == names[:2]
    assert ["thread.run.completed", "done"] == names[-2:]


async def test_a_waiting_run_locks_its_thread_and_can_be_cancelled(tmp_path: Path) -> None:
    """Busy threads answer 400, wrong outputs too; cancelling frees the thread."""
    async with open_house(tmp_path, ({"tool_calls": [WEATHER]},)) as house:
        assistant = await house.post("/assistants", {"model": "scripted", "tools": [FUNCTION]})
        start = {"assistant_id": assistant["id"]}
        first = await house.client.post("/threads/runs", json=start | {"stream": True})
        run = events_of(first.text)[-2][1]
        thread = f"/threads/{run['thread_id']}"
        path = f"{thread}/runs/{run['id']}"
        busy = await house.client.post(f"{thread}/runs", json=start | {"stream": True})
        message = await house.client.post(
            f"{thread}/messages", json={"role": "user", "content": "x"}
        )
        outputs = await house.client.post(
            f"{path}/submit_tool_outputs", json={"tool_outputs": [], "stream": True}
        )
        cancelling = await house.client.post(f"{path}/cancel")
    answers = (busy, message, outputs)
    assert [400] * 3 == [answer.status_code for answer in answers]
    assert f"already has an active run {run['id']}." in error_of(busy)["message"]
    assert "while a run" in error_of(message)["message"]
    assert error_of(outputs)["message"].startswith("Expected tool outputs for call_ids [")
    assert "cancelling" == cancelling.json()["status"]


async def test_errors_of_a_streamed_create_are_plain(house: House) -> None:
    """What is wrong with the request is said before any stream begins."""
    thread = await house.post("/threads")
    body = {"assistant_id": "asst_none", "stream": True}
    answer = await house.client.post(f"/threads/{thread['id']}/runs", json=body)
    assert (404, "application/json") == (answer.status_code, answer.headers["content-type"])
    assert "No assistant found with id 'asst_none'." == error_of(answer)["message"]
