"""All figures of the server and the core, for Prometheus to collect at `/metrics`.

Requests are counted around the whole application (`meter`), the rest by listening to the core. Labels come from fixed
sets: route templates, methods, statuses, tools, configured models; never from what a client wrote. Figures are of this
process since its start, but for the queue and the files that wait, which the store is asked for.
"""

from dataclasses import dataclass

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

from ..engine.objects import Run, VectorStoreFile
from ..engine.observer import Observer
from ..engine.ports import HasKernels, PageQuery, Transaction
from ..engine.services import Services
from ..engine.states import RunStatus, StoreFileStatus
from .buckets import FAST
from .model_metrics import ModelMetrics
from .run_metrics import RunMetrics
from .store_metrics import StoreMetrics
from .turn_metrics import TurnMetrics

_LOOKED_AT = 100  # of the oldest queued runs; those whose outputs came back are soon gone


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
            buckets=FAST,
            registry=registry,
        )
        self.streams = Gauge(
            "local_assistants_open_streams", "Event streams being sent.", registry=registry
        )
        self.events = Counter(
            "local_assistants_stream_events", "Run events sent to streams.", registry=registry
        )
        self.state = StateMetrics(registry)
        self.observers: tuple[Observer, ...] = (
            RunMetrics(registry),
            StoreMetrics(registry),
            ModelMetrics(registry),
            TurnMetrics(registry),
        )


class StateMetrics:
    """What is not counted but looked up whenever the figures are collected."""

    def __init__(self, registry: CollectorRegistry) -> None:
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
        self.oldest = Gauge(
            "local_assistants_run_queue_age_seconds",
            "How long the oldest run that was never begun has waited, in the store; 0 when none waits.",
            registry=registry,
        )
        self.kernels = Gauge(
            "local_assistants_kernels",
            "Python interpreters of code_interpreter: those of sessions, and spare ones that wait for one.",
            ["state"],
            registry=registry,
        )
        self.most_kernels = Gauge(
            "local_assistants_kernels_limit",
            "How many there may be at once; with all in use, one more thread takes the place of one that rests.",
            registry=registry,
        )

    def look(self, waiting: "Waiting", kernels: HasKernels | None) -> None:
        """Set it."""
        self.queued.set(waiting.runs)
        self.oldest.set(waiting.oldest)
        self.files_waiting.set(waiting.files)
        if kernels is not None:
            found = kernels.kernels()
            self.kernels.labels("session").set(found.sessions)
            self.kernels.labels("spare").set(found.spare)
            self.most_kernels.set(found.limit)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in the store; `oldest` in seconds."""

    runs: int
    oldest: float
    files: int


router = APIRouter(tags=["health"])


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Figures for Prometheus, of all projects."""
    collected: Metrics = request.app.state.metrics
    services: Services = request.app.state.services
    core = services.core
    now = core.clock.now()
    waiting = await core.store.read(lambda tx: _waiting(tx, now))
    tools = (tool for tool in core.tools.values() if isinstance(tool, HasKernels))
    collected.state.look(waiting, next(tools, None))
    return Response(generate_latest(collected.registry), media_type=CONTENT_TYPE_LATEST)


def _waiting(tx: Transaction, now: float) -> Waiting:
    files = PageQuery({"status": StoreFileStatus.IN_PROGRESS}, 1000, "asc")
    queued = PageQuery({"status": RunStatus.QUEUED}, _LOOKED_AT, "asc")
    fresh = (run for run in tx.page(Run, queued)[0] if run.started_at is None)
    since = next((run.created_at for run in fresh), now)
    return Waiting(
        tx.count_queued(), max(0.0, now - since), len(tx.page(VectorStoreFile, files)[0])
    )
