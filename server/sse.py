"""Run events as server-sent events.

Each event goes out as `id`, `event` and one `data` line of compact JSON; a stream always ends with `done` / `[DONE]`; a
quiet one sends comments so that no proxy closes it. A reader that is slow or goes away holds up nobody: the run does
not know of it. Knows no journal and no run: it is given batches of events.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from ..engine.errors import AssistantsError, AuthenticationFailed, ServerFault
from ..engine.events import Event
from .access import still_in
from .draining import CUT, drain_of
from .errors import SORRY

log = logging.getLogger(__name__)

DONE = b"event: done\ndata: [DONE]\n\n"
# One line end: at the empty line of a second the SDK's parser would give out an event without data, since it remembers
# the last id, and break on it. A comment ends with its line.
PING = b": ping\n"
_ASKED_EVERY = 0.5  # seconds
HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",  # nginx would collect the events otherwise
}

# Legal inside a JSON string, but line ends to clients that split with Unicode's rules.
_LINE_ENDS = tuple((end.encode(), f"\\u{ord(end):04x}".encode()) for end in "\x85\u2028\u2029")

Batches = AsyncGenerator[Sequence[Event], None]
"""Events as they come together; an empty batch says that nothing has come for a while."""


def data_line(data: Mapping[str, Any]) -> bytes:
    """`data` as compact JSON that stays on one line for every client."""
    try:
        line = to_json(data)
    except ValueError:  # half a surrogate pair, as a model may write: shown as a question mark
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        line = text.encode("utf-8", "replace")
    return _one_line(line)


def _one_line(line: bytes) -> bytes:
    if not line.isascii():
        for raw, escaped in _LINE_ENDS:
            line = line.replace(raw, escaped)
    return line


def frame(event: Event) -> bytes:
    """One event as it goes over the wire."""
    line = _one_line(event.text.encode()) if event.text else data_line(event.data)
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.seq, event.name.encode(), line)


def error_frame(error: Exception) -> bytes:
    """What a stream says that breaks after it began; nested, because the SDK's helpers drop a flat one."""
    told = error if isinstance(error, AssistantsError) else ServerFault(SORRY)
    return b"event: error\ndata: %s\n\n" % data_line(told.envelope())


class EventStream(Response):
    """The answer. When the client goes away, its source is closed within a second or with the next event.

    When its key is revoked meanwhile, the stream says so as soon, and ends; when the server is stopped, too.
    """

    def __init__(self, chunks: AsyncGenerator[bytes, None]) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self.chunks = chunks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        # Not StreamingResponse: its task group costs as much as sending ten events.
        gone = asyncio.create_task(_client_gone(receive))
        drain = drain_of(scope)
        last = b""
        try:
            start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
            await send(start)
            try:
                with drain.holding():
                    async with aclosing(_while_let_in(scope, self.chunks)) as chunks:
                        async for chunk in chunks:
                            if gone.done():
                                return
                            if chunk:
                                await send(_part(chunk))
            except asyncio.CancelledError:
                if not drain.took_leave():
                    raise
                last = error_frame(CUT)  # and no `done`: there is more to come, from another server
            await send({"type": "http.response.body", "body": last, "more_body": False})
        finally:
            gone.cancel()


def _part(chunk: bytes) -> Message:
    return {"type": "http.response.body", "body": chunk, "more_body": True}


async def _while_let_in(
    scope: Scope, source: AsyncGenerator[bytes, None]
) -> AsyncGenerator[bytes, None]:
    clock = asyncio.get_running_loop().time
    due = clock() + _ASKED_EVERY
    async with aclosing(source) as chunks:
        async for chunk in chunks:
            if clock() >= due:
                due = clock() + _ASKED_EVERY
                try:
                    await still_in(scope)
                except AuthenticationFailed as error:
                    yield error_frame(error) + DONE
                    return
            yield chunk


async def _client_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def event_stream(batches: Batches, *, ping_seconds: float) -> EventStream:
    """Answer with the events of `batches`.

    Raises:
        Exception: what `batches` raised at once; nothing was sent then.
    """
    first = await anext(batches, None)
    return EventStream(_chunks(first, batches, ping_seconds))


async def _chunks(
    first: Sequence[Event] | None, batches: Batches, ping_seconds: float
) -> AsyncGenerator[bytes, None]:
    """What is sent, batch by batch; nothing (b"") for an empty one that calls for no ping yet."""
    clock = asyncio.get_running_loop().time
    due = clock() + ping_seconds
    batch = first
    async with aclosing(batches):
        try:
            while batch is not None:
                if batch or clock() >= due:
                    due = clock() + ping_seconds
                    yield b"".join(map(frame, batch)) or PING
                else:
                    yield b""
                batch = await anext(batches, None)
        except Exception as error:
            log.error("a stream broke", exc_info=error)
            yield error_frame(error)
        yield DONE
