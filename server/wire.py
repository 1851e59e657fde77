"""How the HTTP server answers what never becomes a request: broken or endless heads get our envelope, too.

A thin layer over uvicorn's own protocol class, whichever that is here. Knows no application.
"""

import asyncio
import json
import uuid
from typing import Any

from ..engine.errors import InvalidRequest

MAX_HEAD_BYTES = 64 * 1024
HEAD_SECONDS = 30.0
"""For a connection's first head to come, for one that has begun to end, and for the rest of a body that was refused
halfway: else idle peers, who have shown no key yet, take all connections there can be."""
_PHRASES = {400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large"}


def http_options(head_seconds: float = HEAD_SECONDS) -> dict[str, Any]:
    """What to give to `uvicorn.Config`. No websocket is served: an upgrade is answered as the plain request it is."""
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    bases: tuple[type, ...] = (_Refusing, AutoHTTPProtocol)
    if hasattr(AutoHTTPProtocol, "on_headers_complete"):  # the other one has a bound of its own
        bases = (_Bounded, *bases)
    return {
        "http": type("Protocol", bases, {"head_seconds": head_seconds}),
        "ws": "none",
        "h11_max_incomplete_event_size": MAX_HEAD_BYTES,
    }


class _Refusing:
    transport: asyncio.Transport

    def send_400_response(self, msg: str) -> None:
        """Refuse what could not be parsed; `msg` is uvicorn's."""
        self.refuse(400, f"The request is not HTTP that this server reads: {msg}")

    def refuse(self, status: int, message: str) -> None:
        """Answer and close."""
        if self.transport.is_closing():
            return
        body = json.dumps(InvalidRequest(message).envelope()).encode()
        head = (
            f"HTTP/1.1 {status} {_PHRASES[status]}\r\n"
            f"content-type: application/json\r\n"
            f"content-length: {len(body)}\r\n"
            f"x-request-id: req_{uuid.uuid4().hex}\r\n"
            "openai-version: 2020-10-01\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing to warn of: it is answered without the upgrade."""


class _Bounded:
    """Bounds the head, which the fast parser would gather without end and wait for as long."""

    head_seconds = HEAD_SECONDS
    _in_head = False
    _head_bytes = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Somebody is there and has to say what for."""
        super().connection_made(transport)  # type: ignore[misc]
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there any more."""
        self._drop_deadline()
        super().connection_lost(exc)  # type: ignore[misc]

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()  # type: ignore[misc]

    def on_headers_complete(self) -> None:
        """It is over."""
        self._in_head = False
        super().on_headers_complete()  # type: ignore[misc]

    def data_received(self, data: bytes) -> None:
        """Parse, and refuse a head that goes on and on."""
        super().data_received(data)  # type: ignore[misc]
        if not self._in_head:
            if self._is_answered():  # a refused body's rest, which uvicorn would wait for
                self._set_deadline()
            else:
                self._drop_deadline()
            return
        self._set_deadline()
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            told = f"The request's head is longer than {MAX_HEAD_BYTES} bytes."
            self.refuse(431, told)  # type: ignore[attr-defined]

    def _is_answered(self) -> bool:
        cycle: Any = getattr(self, "cycle", None)
        return cycle is not None and bool(cycle.response_complete)

    def _set_deadline(self) -> None:
        """From the first byte on; those that follow win no time."""
        if self._deadline is None:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(self.head_seconds, self._too_late)

    def _drop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        if self._in_head:
            told = f"The request's head did not come within {self.head_seconds:g} seconds."
            self.refuse(408, told)  # type: ignore[attr-defined]
        else:
            self.transport.close()  # type: ignore[attr-defined]
