"""How the library and its worker process talk: frames over a socket, a JSON object and raw bytes in each.

A frame is the lengths of the whole and of the JSON (four bytes each, big-endian), the JSON, and the bytes. The worker
is told how to open itself, then asked to `extract`, `embed`, `encode` and `cancel`; it says `ready`, `part` (chunks of
a file), `done`, `fault` and `pulse`. Nothing that arrives is ever executed. Whoever gets what fits no frame hangs up.
"""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, cast

from ....engine import errors
from ....engine.errors import AssistantsError, ToolFault
from .worker import ExtractedChunk

MOST = 64 << 20
"""Bytes of a frame."""

_LENGTHS = 8  # bytes in front of a frame
_HALF = 4
_MOST_WORDS = 4000  # characters of an error's message
_ERRORS = {
    kind.__name__: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, AssistantsError)
}

Message = dict[str, Any]


class FrameError(Exception):
    """The other end said something that it never should."""


def frame(message: Message, payload: bytes = b"") -> bytes:
    """A message and its bytes as they go over the wire. Lone surrogates survive.

    Raises:
        ToolFault: it is too large.
    """
    text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
    body = text.encode("utf-8", "surrogatepass")
    size = len(body) + len(payload)
    if size > MOST:
        raise ToolFault(f"{size >> 20} MB cannot be handed to or by the worker process at once.")
    return size.to_bytes(_HALF, "big") + len(body).to_bytes(_HALF, "big") + body + payload


async def read_frame(reader: asyncio.StreamReader) -> tuple[Message, bytes]:
    """The next message with its bytes.

    Raises:
        EOFError: the other end is gone.
        FrameError: it is no frame.
    """
    try:
        lengths = await reader.readexactly(_LENGTHS)
        size, split = (int.from_bytes(part, "big") for part in (lengths[:_HALF], lengths[_HALF:]))
        if size > MOST or split > size:
            raise FrameError(f"it announced {size} bytes")
        body = await reader.readexactly(size)
    except ConnectionError as error:
        raise EOFError from error
    try:
        message = json.loads(body[:split].decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError):
        raise FrameError("it sent no JSON") from None
    if not isinstance(message, dict):
        raise FrameError("it sent no object")
    return cast("Message", message), body[split:]


def fault_written(key: int, error: AssistantsError) -> Message:
    """The error that a call ended with."""
    return {
        "fault": type(error).__name__,
        "key": key,
        "message": error.message[:_MOST_WORDS],
        "param": error.param,
        "code": error.code,
        "detail": error.detail[:_MOST_WORDS],
        "passing": error.passing,
    }


def fault_of(message: Message) -> AssistantsError:
    """The error of a message, of the same class; ToolFault where there is no such class."""
    kind = _ERRORS.get(str(message["fault"]), ToolFault)
    param, code = (message.get(name) for name in ("param", "code"))
    return kind(
        str(message.get("message"))[:_MOST_WORDS],
        param=param if isinstance(param, str) else None,
        code=code if isinstance(code, str) else None,
        detail=str(message.get("detail", ""))[:_MOST_WORDS],
        passing=message.get("passing") is True,
    )


def chunks_written(chunks: Sequence[ExtractedChunk]) -> list[Any]:
    """Chunks as JSON."""
    return [[one.start, one.end, one.page, one.heading, one.text] for one in chunks]


def chunks_of(written: Any) -> list[ExtractedChunk]:
    """The chunks that `chunks_written` wrote.

    Raises:
        FrameError: they are malformed.
    """
    try:
        return [
            ExtractedChunk(int(start), int(end), page, str(heading), str(text))
            for start, end, page, heading, text in written
        ]
    except (TypeError, ValueError):
        raise FrameError("it sent malformed chunks") from None


def vectors_of(payload: bytes, count: int) -> list[bytes]:
    """The `count` vectors that lie one behind the other in a payload.

    Raises:
        FrameError: they are not so many of one size.
    """
    if count == 0:
        return []
    size, rest = divmod(len(payload), count)
    if rest or not size:
        raise FrameError(f"it sent {len(payload)} bytes for {count} vectors")
    return [payload[at : at + size] for at in range(0, len(payload), size)]
