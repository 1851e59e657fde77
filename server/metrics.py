"""Counts what the server and the core do, for Prometheus to collect at `/metrics`.

Requests are counted around the whole application, runs by listening to the core (`engine.observer`). Labels come from
fixed sets: route templates, methods, status classes, statuses; never from what a client wrote. Figures are of this
process since its start, but for the queue and the files that wait, which the store is asked for.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    generate_latest,
)
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..engine.events import RUN_END, Event, EventName
from ..engine.objects import VectorStoreFile
from ..engine.observer import Observer
from ..engine.ports import PageQuery, Transaction
from ..engine.services import Services
from ..engine.states import StoreFileStatus
from .model_metrics import ModelMetrics

_SCOPE: Final = "local_assistants.routed_scope"
_METHODS = frozenset({"GET", "POST", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH"})
_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SLOW = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_DELTAS = frozenset({EventName.MESSAGE_DELTA, EventName.STEP_DELTA})
_STEP_ENDS = {
    EventName.STEP_COMPLETED: "completed",
    EventName.STEP_FAILED: "failed",
    EventName.STEP_CANCELLED: "cancelled",
    EventName.STEP_EXPIRED: "expired",
}
# Runs whose beginning is known; another process may end one without our hearing of it.
_REMEMBERED = 10_000


class Metrics:
    """All metrics of one application, in a registry of their own."""

    def __init__(self, version: str) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        Info("local_assistants_build", "What is running.", registry=registry).info(
            {"version": version}
        )
        self.requests = Counter(
            "local_assistants_http_requests",
            "Requests answered, by route template, method and class of status.",
            ["route", "method", "status"],
            registry=registry,
        )
        self.latency = Histogram(
            "local_assistants_http_request_seconds",
            "From a request's arrival to the first byte of its answer.",
            ["route", "method"],
            buckets=_FAST,
            registry=registry,
        )
        self.streams = Gauge(
            "local_assistants_open_streams", "Event streams being sent.", registry=registry
        )
        self.events = Counter(
            "local_assistants_stream_events", "Run events sent to streams.", registry=registry
        )
        self.queued = Gauge(
            "local_assistants_runs_queued",
            "Runs that wait for a worker, in the store.",
            registry=registry,
        )
        self.files_waiting = Gauge(
            "local_assistants_files_waiting",
            "Files of vector stores still to be indexed, in the store; counted up to 1,000.",
            registry=registry,
        )
        self.core = CoreMetrics(registry)
        self.models = ModelMetrics(registry)


@dataclass(slots=True)
class _Begun:
    created: float
    started: float | None = None
    spoke: bool = False


class CoreMetrics(Observer):
    """What the core tells."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._begun: dict[str, _Begun] = {}
        self.runs = Counter(
            "local_assistants_runs",
            "Runs ended, by their last status.",
            ["status"],
            registry=registry,
        )
        self.running = Gauge(
            "local_assistants_runs_in_progress", "Runs at work in this process.", registry=registry
        )
        self.duration = Histogram(
            "local_assistants_run_seconds",
            "From a run's creation to its end, waits for the client included.",
            ["status"],
            buckets=_SLOW,
            registry=registry,
        )
        self.first_token = Histogram(
            "local_assistants_run_first_token_seconds",
            "From a run's start to the first fragment of text or of a call.",
            buckets=_SLOW,
            registry=registry,
        )
        self.steps = Counter(
            "local_assistants_run_steps",
            "Steps ended, by type and status; a turn of the model makes one or two.",
            ["type", "status"],
            registry=registry,
        )
        self.tokens = Counter(
            "local_assistants_tokens", "Tokens of ended runs.", ["kind"], registry=registry
        )
        self.commits = Histogram(
            "local_assistants_store_commit_seconds",
            "A journal transaction, from the request to the disk.",
            buckets=_FAST,
            registry=registry,
        )
        self.files = Histogram(
            "local_assistants_file_index_seconds",
            "Making a file searchable, by outcome.",
            ["status"],
            buckets=_SLOW,
            registry=registry,
        )

    def published(self, events: Sequence[Event]) -> None:
        """Count them."""
        for event in events:
            if event.name in _DELTAS:
                self._spoke(event.run_id)
            elif event.name in _STEP_ENDS:
                self.steps.labels(event.data["type"], _STEP_ENDS[event.name]).inc()
            elif event.name == EventName.RUN_CREATED:
                self._created(event.run_id)
            elif event.name == EventName.RUN_IN_PROGRESS:
                self._started(event.run_id)
            elif event.name in RUN_END:
                self._ended(event.run_id, event.data)
            elif event.name == EventName.RUN_REQUIRES_ACTION:
                self._paused(event.run_id)

    def committed(self, seconds: float) -> None:
        """Count it."""
        self.commits.observe(seconds)

    def indexed(self, status: StoreFileStatus, seconds: float) -> None:
        """Count it."""
        self.files.labels(status.value).observe(seconds)

    def _created(self, run_id: str) -> None:
        if len(self._begun) >= _REMEMBERED:
            self._forget(next(iter(self._begun)))
        self._begun[run_id] = _Begun(time.monotonic())

    def _started(self, run_id: str) -> None:
        run = self._begun.get(run_id)
        if run is not None and run.started is None:
            run.started = time.monotonic()
            self.running.inc()

    def _spoke(self, run_id: str) -> None:
        run = self._begun.get(run_id)
        if run is not None and not run.spoke and run.started is not None:
            run.spoke = True
            self.first_token.observe(time.monotonic() - run.started)

    def _paused(self, run_id: str) -> None:
        run = self._begun.get(run_id)
        if run is not None and run.started is not None:
            run.started = None
            self.running.dec()

    def _ended(self, run_id: str, data: Mapping[str, Any]) -> None:
        self.runs.labels(data["status"]).inc()
        usage: dict[str, int] = data.get("usage") or {}
        self.tokens.labels("prompt").inc(usage.get("prompt_tokens", 0))
        self.tokens.labels("completion").inc(usage.get("completion_tokens", 0))
        run = self._forget(run_id)
        if run is not None:
            self.duration.labels(data["status"]).observe(time.monotonic() - run.created)

    def _forget(self, run_id: str) -> _Begun | None:
        self._paused(run_id)
        return self._begun.pop(run_id, None)


class Meter:
    """The outermost layer: every answer is counted, refusals at the gate, too."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
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

    def __init__(self, metrics: Metrics, method: str, found: list[Scope], send: Send) -> None:
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


router = APIRouter(tags=["health"])


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Figures for Prometheus, of all projects."""
    collected: Metrics = request.app.state.metrics
    services: Services = request.app.state.services
    queued, waiting = await services.core.store.read(_waiting)
    collected.queued.set(queued)
    collected.files_waiting.set(waiting)
    return Response(generate_latest(collected.registry), media_type=CONTENT_TYPE_LATEST)


def _waiting(tx: Transaction) -> tuple[int, int]:
    query = PageQuery({"status": StoreFileStatus.IN_PROGRESS}, 1000, "asc")
    return tx.count_queued(), len(tx.page(VectorStoreFile, query)[0])
