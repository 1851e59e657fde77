"""Counts models that come and go, for `/metrics`. Labels are names of configured models, never what a client wrote."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ..engine.observer import Observer
from ..engine.ports import ModelStatus

_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class ModelMetrics(Observer):
    """What is told of models."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._states: dict[str, str] = {}
        self._began: dict[str, float] = {}
        self.loaded = Gauge(
            "local_assistants_models_loaded", "Models in memory.", registry=registry
        )
        self.bytes = Gauge(
            "local_assistants_model_bytes",
            "Memory that a model takes, about; 0 when it is not loaded.",
            ["model"],
            registry=registry,
        )
        self.loads = Counter(
            "local_assistants_model_loads",
            "Attempts to load a model, by outcome.",
            ["model", "outcome"],
            registry=registry,
        )
        self.unloads = Counter(
            "local_assistants_model_unloads",
            "Times that a model was unloaded, for others or because nobody used it.",
            ["model"],
            registry=registry,
        )
        self.seconds = Histogram(
            "local_assistants_model_load_seconds",
            "Loading a model, waiting for room included.",
            ["model"],
            buckets=_SECONDS,
            registry=registry,
        )

    def model_changed(self, status: ModelStatus) -> None:
        """Count it."""
        before = self._states.get(status.name)
        if status.state == before:
            return
        self._states[status.name] = status.state
        if status.state == "loading":
            self._began[status.name] = time.monotonic()
        elif status.state == "ready":
            self.loads.labels(status.name, "loaded").inc()
            began = self._began.pop(status.name, time.monotonic())
            self.seconds.labels(status.name).observe(time.monotonic() - began)
        elif status.state == "failed":
            self.loads.labels(status.name, "failed").inc()
        elif before == "ready":
            self.unloads.labels(status.name).inc()
        self.bytes.labels(status.name).set(status.bytes if status.state == "ready" else 0)
        self.loaded.set(sum(state == "ready" for state in self._states.values()))
