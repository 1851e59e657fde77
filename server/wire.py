"""How the HTTP server answers what never becomes a request: broken or endless heads get our envelope, too.

A thin layer over uvicorn's own protocol class, whichever that is here. Knows no application.
"""

import asyncio
import json
import uuid
from typing import Any

from ..engine.errors import InvalidRequest

MAX_HEAD_BYTES = 64 * 1024
_PHRASES = {400: "Bad Request", 431: "Request Header Fields Too Large"}


def http_options() -> dict[str, Any]:
    """What to give to `uvicorn.Config`. No websocket is served: an upgrade is answered as the plain request it is."""
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    bases: tuple[type, ...] = (_Refusing, AutoHTTPProtocol)
    if hasattr(AutoHTTPProtocol, "on_headers_complete"):  # the other one has a bound of its own
        bases = (_Bounded, *bases)
    return {
        "http": type("Protocol", bases, {}),
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
    """Bounds the head, which the fast parser would gather without end."""

    _in_head = False
    _head_bytes = 0

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
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                told = f"The request's head is longer than {MAX_HEAD_BYTES} bytes."
                self.refuse(431, told)  # type: ignore[attr-defined]
