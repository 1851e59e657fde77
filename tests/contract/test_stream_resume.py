"""A broken stream goes on exactly where it broke off, for any number of subscribers."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from local_assistants.engine.clock import RandomIds, SystemClock
from local_assistants.engine.objects import Thread
from tests.support.answers import error_of, events_of
from tests.support.engine import FUNCTION, PATIENCE, House, calls, house
from tests.support.runs import HANG

from .live import DONE, frames_of, last_id, listening, run_of
from .web import USER, Json, Web, open_web, path_of, told

CALL = calls("add", {"a": 1, "b": 2}, {"a": 3}, text="I have to ask.")
ANSWER = {"text": "It said {{tool}} and that is all there is to it.\nAs ever: é, 漢, 😀."}
TURNS = [CALL, ANSWER]
SLOWLY = [{"text": "one two three four five six seven eight nine ten", "tokens_per_second": 60}]


# --- every way to get a stream, whole --------------------------------------------------------------


async def created(web: Web) -> bytes:
    """The stream of a new run on a thread, up to its pause; afterwards the run is taken to its end."""
    assistant = await web.assistant(tools=[FUNCTION])
    thread = await web.thread("hi")
    body = {"assistant_id": assistant["id"], "stream": True}
    stream = (await web.client.post(f"/threads/{thread['id']}/runs", json=body)).content
    await submitted(web, run_of(stream))
    return stream


async def created_with_thread(web: Web) -> bytes:
    """The stream of a new run on a new thread, as above."""
    stream = await paused(web)
    await submitted(web, run_of(stream))
    return stream


async def resumed(web: Web) -> bytes:
    """The stream of submitted outputs."""
    return await submitted(web, run_of(await paused(web)))


async def paused(web: Web) -> bytes:
    """The stream of a run that waits for its client."""
    assistant = await web.assistant(tools=[FUNCTION])
    body = {"assistant_id": assistant["id"], "thread": {"messages": [USER]}, "stream": True}
    return (await web.client.post("/threads/runs", json=body)).content


async def submitted(web: Web, run: Json) -> bytes:
    """The stream of outputs for all calls."""
    pending = (await web.get(path_of(run)))["required_action"]["submit_tool_outputs"]["tool_calls"]
    outputs = [{"tool_call_id": call["id"], "output": "three"} for call in pending]
    body = {"tool_outputs": outputs, "stream": True}
    answer = await web.client.post(f"{path_of(run)}/submit_tool_outputs", json=body)
    assert 200 == answer.status_code, answer.text
    return answer.content


async def events(web: Web, run: Json, after: int = 0, **query: Any) -> bytes:
    """What a subscriber hears from `after` on."""
    headers = {"Last-Event-ID": str(after)} if after else {}
    answer = await web.client.get(f"{path_of(run)}/events", params=query, headers=headers)
    assert 200 == answer.status_code, answer.text
    assert "text/event-stream; charset=utf-8" == answer.headers["content-type"]
    return answer.content


async def test_who_has_seen_everything_hears_done_alone(web: Web) -> None:
    """The run is over: there is nothing to wait for."""
    run = await web.finished(await web.assistant())
    last = last_id(await events(web, run))
    assert [DONE, DONE] == [await events(web, run, last, until=far) for far in ("pause", "end")]


@pytest.mark.parametrize("play", [created, created_with_thread, resumed])
async def test_a_stream_cut_anywhere_goes_on_byte_for_byte(tmp_path: Path, play: Any) -> None:
    """At every event's end, in the middle of every event, and one byte before its end."""
    async with open_web(tmp_path, TURNS) as web:
        whole = await play(web)
        frames = frames_of(whole)
        run = await web.get(path_of(first_run(whole)))
        before = (
            last_id(frames[0]) - 1
        )  # a submit's stream begins after the events of the first one
        read = b""
        for frame in frames[:-1]:
            for piece in (b"", frame[: len(frame) // 2], frame[:-1]):
                seen = read + piece  # what the client has when the connection breaks
                rest = await events(web, run, last_id(seen) or before)
                assert whole == b"".join(frames_of(seen)) + rest
            read += frame
    assert "completed" == run["status"]
    assert len(frames) > 8


def first_run(stream: bytes) -> Json:
    """The ids that lead to the run of a stream; a submit's stream begins with a step."""
    data = events_of(stream.decode())[1][1]
    return {"thread_id": data["thread_id"], "id": data.get("run_id", data["id"])}


async def test_the_place_may_also_stand_in_the_url(tmp_path: Path) -> None:
    """For tools that cannot send the header; where both are given, the header is newer."""
    async with open_web(tmp_path) as web:
        run = await web.finished(await web.assistant())
        whole = frames_of(await events(web, run))
        path = f"{path_of(run)}/events?after=3"
        by_url = await web.client.get(path)
        by_both = await web.client.get(path, headers={"Last-Event-ID": "5"})
    assert [b"".join(whole[3:]), b"".join(whole[5:])] == [by_url.content, by_both.content]


async def test_all_dialects_serve_it(tmp_path: Path) -> None:
    """OpenAI's path and every form of Azure's."""
    async with open_web(tmp_path) as web:
        run = await web.finished(await web.assistant())
        path = f"{path_of(run)}/events"
        streams = [
            (await web.client.get(f"http://localhost{prefix}{path}{query}")).content
            for prefix, query in (
                ("/v1", ""),
                ("/openai", "?api-version=2024-05-01-preview"),
                ("/openai/v1", "?api-version=v1"),
                ("/openai/deployments/gpt", "?api-version=2025-01-01-preview"),
            )
        ]
    assert streams[0].endswith(DONE)
    assert [streams[0]] * 4 == streams


# --- how far a subscriber follows ------------------------------------------------------------------


async def test_until_pause_ends_as_the_original_s_streams(tmp_path: Path) -> None:
    """At requires_action, then at the end; a subscriber at the pause has nothing to wait for."""
    async with open_web(tmp_path, TURNS) as web:
        first = await paused(web)
        run = run_of(first)
        assert first == await events(web, run)
        assert DONE == await events(web, run, last_id(first))
        second = await submitted(web, run)
        assert first == await events(web, run, until="pause")
        assert second == await events(web, run, last_id(first))


async def test_until_end_goes_through_every_pause(tmp_path: Path) -> None:
    """An observer who came first hears both streams as one."""
    async with house(tmp_path, TURNS, ids=RandomIds()) as home, listening(home) as client:
        web = Web(client, home)
        first = await paused(web)
        run = run_of(first)
        watching = asyncio.create_task(events(web, run, until="end"))
        await asyncio.sleep(0.05)
        second = await submitted(web, run)
        seen = await asyncio.wait_for(watching, PATIENCE)
    assert first.removesuffix(DONE) + second == seen


async def test_a_run_cancelled_while_it_waits_is_seen_to_its_end(tmp_path: Path) -> None:
    """No stream of the original's is open then; an observer's is."""
    async with house(tmp_path, TURNS, ids=RandomIds()) as home, listening(home) as client:
        web = Web(client, home)
        run = run_of(await paused(web))
        watching = asyncio.create_task(events(web, run, until="end"))
        await asyncio.sleep(0.05)
        await web.post(f"{path_of(run)}/cancel")
        seen = await asyncio.wait_for(watching, PATIENCE)
    names = [name for name, _ in events_of(seen.decode())]
    ending = ["requires_action", "cancelling", "step.cancelled", "cancelled"]
    assert [*(f"thread.run.{name}" for name in ending), "done"] == names[-5:]


# --- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["-1", "1.5", "abc", "run_1/3", "1e3", "9" * 30, "٣", "0x1"])
async def test_an_id_that_is_no_number_is_refused(web: Web, given: str) -> None:
    """In the URL and, as far as a header can carry it, in the header."""
    run = await web.finished(await web.assistant())
    path = f"{path_of(run)}/events"
    error = await web.refused("GET", path, params={"after": given})
    assert ("after", "invalid_value") == (error["param"], error["code"])
    assert error["message"].startswith("Invalid 'after': ")
    if given.isascii():
        error = await web.refused("GET", path, headers={"Last-Event-ID": given})
        assert "Last-Event-ID" == error["param"]


async def test_an_id_that_the_run_has_not_had_is_refused(web: Web) -> None:
    """One beyond the last, such as another run's; the message says what the last one is."""
    run = await web.finished(await web.assistant())
    last = last_id(await events(web, run))
    error = await web.refused(
        "GET", f"{path_of(run)}/events", headers={"Last-Event-ID": str(last + 1)}
    )
    assert f"Run {run['id']} has no event {last + 1}: its latest is {last}." in error["message"]
    assert ("after", "invalid_value") == (error["param"], error["code"])


async def test_runs_and_modes_that_do_not_exist_are_refused(web: Web) -> None:
    """Another thread's run, no run at all, an unknown `until`, an unknown `include[]`."""
    run = await web.finished(await web.assistant())
    other = await web.thread()
    stray = await web.refused("GET", f"/threads/{other['id']}/runs/{run['id']}/events", 404)
    missing = await web.refused("GET", f"/threads/{other['id']}/runs/run_none/events", 404)
    until = await web.refused("GET", f"{path_of(run)}/events", params={"until": "later"})
    include = await web.refused("GET", f"{path_of(run)}/events", params={"include[]": "all"})
    assert f"No run found with id '{run['id']}'." == stray["message"]
    assert "No run found with id 'run_none'." == missing["message"]
    supported = "Invalid value: 'later'. Supported values are: 'pause' and 'end'."
    assert (supported, "invalid_request_error", "until", "invalid_value") == told(until)
    assert "include" == include["param"]


# --- while it is running ---------------------------------------------------------------------------


async def one_event(client: httpx.AsyncClient, path: str, after: int) -> bytes:
    """The next event alone: the connection is dropped as soon as it is there."""
    read = b""
    async with client.stream("GET", path, headers={"Last-Event-ID": str(after)}) as answer:
        async for chunk in answer.aiter_bytes():
            read += chunk
            if frames := frames_of(read):
                return frames[0]
    raise AssertionError("the stream ended without an event")


async def test_a_reader_that_loses_every_connection_misses_nothing(tmp_path: Path) -> None:
    """It reconnects after each event while the run speaks; the pieces are the whole."""
    async with (
        house(tmp_path, SLOWLY, ids=RandomIds(), clock=SystemClock()) as home,
        listening(home) as client,
    ):
        web = Web(client, home)
        run = await web.started(await web.assistant())
        path = f"{path_of(run)}/events"
        undisturbed = asyncio.create_task(events(web, run))
        read = b""
        while not read.endswith(DONE):
            read += await one_event(client, path, last_id(read))
        assert read == await undisturbed
    assert len(frames_of(read)) > 15


async def test_a_cut_post_stream_is_resumed_while_the_run_speaks(tmp_path: Path) -> None:
    """The client hangs up in mid-answer, in mid-event; the run does not care and the rest is not lost."""
    async with (
        house(tmp_path, SLOWLY, ids=RandomIds(), clock=SystemClock()) as home,
        listening(home) as client,
    ):
        web = Web(client, home)
        assistant = await web.assistant()
        body = {"assistant_id": assistant["id"], "stream": True}
        read = b""
        async with client.stream("POST", "/threads/runs", json=body) as answer:
            async for chunk in answer.aiter_bytes():
                read += chunk
                if b"thread.message.delta" in read:
                    break
        read = read[:-5]
        run = run_of(read)
        rest = await events(web, run, last_id(read))
        whole = await events(web, run)
    assert b"thread.run.completed" in rest
    assert whole == b"".join(frames_of(read)) + rest


async def test_many_subscribers_hear_the_same(tmp_path: Path) -> None:
    """Thirty at once, come at different times with different places to go on from."""
    async with (
        house(tmp_path, SLOWLY, ids=RandomIds(), clock=SystemClock()) as home,
        listening(home) as client,
    ):
        web = Web(client, home)
        run = await web.started(await web.assistant())
        listening_since: list[tuple[int, asyncio.Task[bytes]]] = []
        for number in range(30):
            after = number % 3
            listening_since.append((after, asyncio.create_task(events(web, run, after))))
            await asyncio.sleep(0.005)
        heard = [(after, await task) for after, task in listening_since]
        whole = await events(web, run)
    frames = frames_of(whole)
    assert [b"".join(frames[after:]) for after, _ in heard] == [stream for _, stream in heard]


# --- readers that do not read ----------------------------------------------------------------------


MORE_THAN_BUFFERS_HOLD = (
    6_000_000  # bytes; the kernel takes up to four million for a reader who rests
)


async def unread(client: httpx.AsyncClient, path: str) -> tuple[Any, Any]:
    """A connection that has asked for a run's events and reads nothing of them."""
    host, port = client.base_url.host, client.base_url.port
    connection = socket.create_connection((host, port))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    reader, writer = await asyncio.open_connection(sock=connection)
    request = f"GET /v1{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    writer.write(request.encode())
    await writer.drain()
    return reader, writer


async def chunks_of(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """The body of a chunked answer."""
    await reader.readuntil(b"\r\n\r\n")
    while size := int(await reader.readline(), 16):
        yield await reader.readexactly(size)
        await reader.readexactly(2)


async def test_readers_that_rest_hold_up_nobody(tmp_path: Path) -> None:
    """Four connections are full; the run ends, others hear all of it, and so do the four when they read on."""
    turns = [{"text": f"{'x' * 8000} " * 430, "tokens_per_second": 50_000}]
    async with (
        house(tmp_path, turns, ids=RandomIds(), clock=SystemClock()) as home,
        listening(home) as client,
        AsyncExitStack() as open_connections,
    ):
        web = Web(client, home)
        run = await web.started(await web.assistant())
        path = f"{path_of(run)}/events"
        resting = [await unread(client, path) for _ in range(4)]
        for _, writer in resting:
            open_connections.callback(writer.close)
        ended = await web.settled(path_of(run))
        whole = await asyncio.wait_for(events(web, run), PATIENCE)
        heard = [b"".join([chunk async for chunk in chunks_of(reader)]) for reader, _ in resting]
    assert len(whole) > MORE_THAN_BUFFERS_HOLD
    assert "completed" == ended["status"]
    assert [frames_of(whole)] * 4 == [frames_of(stream) for stream in heard]


async def test_a_run_deleted_under_an_observer_ends_its_stream(tmp_path: Path) -> None:
    """With an error event and `done`, instead of waiting for ever."""
    async with house(tmp_path, [HANG], ids=RandomIds()) as home, listening(home) as client:
        web = Web(client, home)
        run = await web.started(await web.assistant())
        await until_said(home, run)
        watching = asyncio.create_task(events(web, run))
        await asyncio.sleep(0.05)
        await home.store.write(lambda tx: tx.delete(Thread, run["thread_id"]))
        seen = await asyncio.wait_for(watching, PATIENCE)
    (name, data), done = events_of(seen.decode())[-2:]
    assert ("error", ("done", "[DONE]")) == (name, done)
    assert f"No run found with id '{run['id']}'." == data["error"]["message"]


async def until_said(home: House, run: Json) -> None:
    """Wait for the first fragment."""
    async with asyncio.timeout(PATIENCE):
        async for event in home.services.runs.stream(run["id"]):
            if event.name == "thread.message.delta":
                return


async def test_a_stream_of_nothing_is_a_plain_error(web: Web) -> None:
    """What is wrong with a request is said before any stream begins."""
    answer = await web.client.get("/threads/thread_none/runs/run_none/events")
    assert 404 == answer.status_code
    assert "No thread found with id 'thread_none'." == error_of(answer)["message"]
