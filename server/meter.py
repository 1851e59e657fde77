"""Counts and times every answer of the server, for `/metrics`: the outermost and the innermost layer around the routes.

Labels come from fixed sets: route templates, methods, status classes; never from what a client wrote.
"""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from .metrics import Metrics

_SCOPE: Final = "local_assistants.routed_scope"
_METHODS = frozenset({"GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH"})


class Meter:
    """The outermost layer: every answer is counted, refusals at the gate, too."""

    def __init__(self, app: ASGIApp, metrics: "Metrics") -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve and count one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        found: list[Scope] = []
        counted = _Counted(self.metrics, scope["method"], found, send)
        try:
            await self.app({**scope, _SCOPE: found}, receive, counted.send)
        finally:
            counted.end()


class _Counted:
    """One answer on its way out."""

    __slots__ = ("_began", "_found", "_method", "_metrics", "_send", "_streams")

    def __init__(self, metrics: "Metrics", method: str, found: list[Scope], send: Send) -> None:
        self._metrics = metrics
        self._method = method if method in _METHODS else "other"
        self._found = found
        self._send = send
        self._began = time.perf_counter()
        self._streams = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._count(message["status"])
            if _is_stream(message.get("headers", ())):
                self._streams = True
                self._metrics.streams.inc()
        elif self._streams:
            sent = message.get("body", b"").count(b"\nevent: thread.")
            if sent:
                self._metrics.events.inc(sent)
        await self._send(message)

    def _count(self, status: int) -> None:
        matched: Any = self._found[0].get("route") if self._found else None
        route = matched.path if matched is not None else "none"
        self._metrics.requests.labels(route, self._method, f"{status // 100}xx").inc()
        self._metrics.latency.labels(route, self._method).observe(time.perf_counter() - self._began)

    def end(self) -> None:
        if self._streams:
            self._streams = False
            self._metrics.streams.dec()


def _is_stream(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    return any(
        name == b"content-type" and value.startswith(b"text/event-stream")
        for name, value in headers
    )


class RouteNote:
    """The innermost layer: shows the meter the scope that the router will write its route into."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        scope.get(_SCOPE, []).append(scope)
        await self.app(scope, receive, send)
