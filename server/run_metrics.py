"""Counts runs and their steps, for `/metrics`, by listening to the core (`engine.observer`)."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ..engine.events import RUN_END, Event, EventName
from ..engine.observer import Observer
from .buckets import SLOW

_DELTAS = frozenset({EventName.MESSAGE_DELTA, EventName.STEP_DELTA})
_STEP_ENDS = {
    EventName.STEP_COMPLETED: "completed",
    EventName.STEP_FAILED: "failed",
    EventName.STEP_CANCELLED: "cancelled",
    EventName.STEP_EXPIRED: "expired",
}
# Runs whose beginning is known; another process may end one without our hearing of it.
_REMEMBERED = 10_000


@dataclass(slots=True)
class _Begun:
    created: float
    started: float | None = None
    spoke: bool = False
    resumed: bool = False  # it has waited for its client, and then again for a worker


class RunMetrics(Observer):
    """What is told of runs."""

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
        self.queue = Histogram(
            "local_assistants_run_queue_seconds",
            "From a run's creation to its start.",
            buckets=SLOW,
            registry=registry,
        )
        self.duration = Histogram(
            "local_assistants_run_seconds",
            "From a run's creation to its end, waits for the client included.",
            ["status"],
            buckets=SLOW,
            registry=registry,
        )
        self.first_token = Histogram(
            "local_assistants_run_first_token_seconds",
            "From a run's start to the first fragment of text or of a call.",
            buckets=SLOW,
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

    def _created(self, run_id: str) -> None:
        if len(self._begun) >= _REMEMBERED:
            self._forget(next(iter(self._begun)))
        self._begun[run_id] = _Begun(time.monotonic())

    def _started(self, run_id: str) -> None:
        run = self._begun.get(run_id)
        if run is not None and run.started is None:
            run.started = time.monotonic()
            self.running.inc()
            if not run.resumed:
                self.queue.observe(run.started - run.created)

    def _spoke(self, run_id: str) -> None:
        run = self._begun.get(run_id)
        if run is not None and not run.spoke and run.started is not None:
            run.spoke = True
            self.first_token.observe(time.monotonic() - run.started)

    def _paused(self, run_id: str) -> None:
        run = self._begun.get(run_id)
        if run is not None and run.started is not None:
            run.started = None
            run.resumed = True
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
