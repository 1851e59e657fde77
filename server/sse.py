"""Run events as server-sent events.

Each event goes out as `id`, `event` and one `data` line of compact JSON; a stream always ends with `done` / `[DONE]`; a
quiet one sends comments so that no proxy closes it. A reader that is slow or goes away holds up nobody: the run does
not know of it. Knows no journal and no run: it is given an iterator of events.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from pydantic_core import to_json
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from ..engine.errors import AssistantsError, ServerFault
from ..engine.events import Event
from .errors import SORRY

log = logging.getLogger(__name__)

DONE = b"event: done\ndata: [DONE]\n\n"
# One line end: at the empty line of a second the SDK's parser would give out an event without data, since it remembers
# the last id, and break on it. A comment ends with its line.
PING = b": ping\n"
HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",  # nginx would collect the events otherwise
}
_AHEAD = 256  # events fetched ahead of the reader
_FIRST_WAIT = 1.0  # seconds to wait for the first event before the headers go out without it

# Legal inside a JSON string, but line ends to clients that split with Unicode's rules.
_LINE_ENDS = tuple((end.encode(), f"\\u{ord(end):04x}".encode()) for end in "\x85\u2028\u2029")

_Item = Event | Exception | None
"""An event, what broke the stream, or None at its end."""


def data_line(data: Mapping[str, Any]) -> bytes:
    """`data` as compact JSON that stays on one line for every client."""
    try:
        line = to_json(data)
    except ValueError:  # half a surrogate pair, as a model may write: shown as a question mark
        text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
        line = text.encode("utf-8", "replace")
    if not line.isascii():
        for raw, escaped in _LINE_ENDS:
            line = line.replace(raw, escaped)
    return line


def frame(event: Event) -> bytes:
    """One event as it goes over the wire."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (
        event.seq,
        event.name.encode(),
        data_line(event.data),
    )


def error_frame(error: Exception) -> bytes:
    """What a stream says that breaks after it began; nested, because the SDK's helpers drop a flat one."""
    told = error if isinstance(error, AssistantsError) else ServerFault(SORRY)
    return b"event: error\ndata: %s\n\n" % data_line(told.envelope())


class EventStream(StreamingResponse):
    """The answer; whatever becomes of it, nothing fetches events for it afterwards."""

    def __init__(self, frames: AsyncIterator[bytes], pump: asyncio.Task[None]) -> None:
        super().__init__(frames, headers=HEADERS)
        self._pump = pump

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._pump.cancel()


async def event_stream(events: AsyncIterator[Event], *, ping_seconds: float) -> EventStream:
    """Answer with `events`.

    Raises:
        Exception: what `events` raised before its first event; nothing was sent then.
    """
    queue: asyncio.Queue[_Item] = asyncio.Queue(_AHEAD)
    pump = asyncio.create_task(_pump(events, queue))
    try:
        first = await _take(queue, _FIRST_WAIT)
        if first and isinstance(first[0], Exception):
            raise first[0]
    except BaseException:
        pump.cancel()
        raise
    return EventStream(_frames(first, queue, pump, ping_seconds), pump)


async def _pump(events: AsyncIterator[Event], queue: asyncio.Queue[_Item]) -> None:
    """Fetch ahead, so that waiting for the next event can time out without disturbing its source."""
    try:
        async for event in events:
            await queue.put(event)
    except Exception as error:
        await queue.put(error)
    else:
        await queue.put(None)
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()


async def _frames(
    first: list[_Item], queue: asyncio.Queue[_Item], pump: asyncio.Task[None], ping_seconds: float
) -> AsyncIterator[bytes]:
    items = first
    try:
        while True:
            items = items or await _take(queue, ping_seconds)
            frames = [frame(item) for item in items if isinstance(item, Event)]
            if not items:
                yield PING
            elif isinstance(end := items[-1], Event):
                yield b"".join(frames)
            else:
                if end is not None:
                    log.error("a stream broke", exc_info=end)
                    frames.append(error_frame(end))
                yield b"".join([*frames, DONE])
                return
            items = []
    finally:
        pump.cancel()


async def _take(queue: asyncio.Queue[_Item], wait: float) -> list[_Item]:
    """Everything that has come, in one go; waits `wait` seconds for it, then gives nothing."""
    items: list[_Item] = []
    if queue.empty():
        try:
            async with asyncio.timeout(wait):
                items.append(await queue.get())
        except TimeoutError:
            return items
    while not queue.empty():
        items.append(queue.get_nowait())
    return items
