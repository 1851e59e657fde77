"""How a host and its model process talk: frames over a socket, one JSON object in each.

A frame is four bytes of length (big-endian) and that many bytes of JSON. Whoever gets a frame that is too long or no
JSON object hangs up; nothing that arrives is ever executed. What the objects mean is in `messages`.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any, cast

MiB = 1 << 20
MOST_TO_WORKER = 64 * MiB
"""Bytes of a frame to the model process: a request with pictures in it."""
MOST_TO_HOST = 1 * MiB
"""Bytes of a frame from the model process, which is not trusted: a few fragments of text."""

HUNG_UP = "it hung up"
"""The reason when it was the other end."""

_LENGTH = 4  # bytes

_encode = json.JSONEncoder(separators=(",", ":")).encode
_decode = json.JSONDecoder().decode

Message = dict[str, Any]


class WireError(Exception):
    """The other end said something that it never should."""


def frame(message: Message) -> bytes:
    """A message as it goes over the wire. Lone surrogates survive: all text is escaped to ASCII."""
    return framed(_encode(message).encode("ascii"))


def framed(body: bytes) -> bytes:
    """A body that is JSON already, with its length in front."""
    return len(body).to_bytes(_LENGTH, "big") + body


class Wire(asyncio.Protocol):
    """One end of the socket. Lives on an event loop, never blocks it, and is used from that loop only.

    Args:
        on_message: gets each message; may raise WireError.
        on_lost: told once, with the reason, when no more can be said or heard.
        most: bytes that a frame from the other end may have.
    """

    def __init__(
        self, on_message: Callable[[Message], None], on_lost: Callable[[str], None], *, most: int
    ) -> None:
        self._on_message = on_message
        self._on_lost = on_lost
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._heard = bytearray()
        self._unsent: list[bytes] = []
        self._reason = HUNG_UP

    def send(self, data: bytes) -> None:
        """Send a frame; what is said in one pass of the loop goes out in one piece. Harmless when the line is gone."""
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(data)

    def hang_up(self, reason: str) -> None:
        """End it: what is unsent is lost."""
        if self._transport is not None and not self._transport.is_closing():
            self._reason = reason
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        self._heard += data
        try:
            self._take_frames()
        except WireError as error:
            self.hang_up(str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._transport = None
        self._on_lost(self._reason)

    def _take_frames(self) -> None:
        heard, start = self._heard, 0
        while len(heard) - start >= _LENGTH:
            length = int.from_bytes(heard[start : start + _LENGTH], "big")
            if length > self._most:
                raise WireError(f"it announced a message of {length} bytes")
            end = start + _LENGTH + length
            if len(heard) < end:
                break
            self._on_message(_parsed(bytes(heard[start + _LENGTH : end])))
            start = end
        del heard[:start]

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(unsent))


def _parsed(body: bytes) -> Message:
    try:
        message: Any = _decode(body.decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise WireError("it sent what is no JSON") from error
    if not isinstance(message, dict):
        raise WireError("it sent JSON that is no object")
    return cast("Message", message)
