"""Times the store and the indexing of files, for `/metrics`, by listening to the core (`engine.observer`)."""

from typing import Literal

from prometheus_client import CollectorRegistry, Histogram

from ..engine.observer import Observer
from ..engine.states import StoreFileStatus
from .buckets import FAST, SLOW


class StoreMetrics(Observer):
    """What is told of the store."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.commits = Histogram(
            "local_assistants_store_commit_seconds",
            "A journal transaction, from the request to the disk.",
            buckets=FAST,
            registry=registry,
        )
        self.store = Histogram(
            "local_assistants_store_seconds",
            "What the store was asked for, read or write, from the request to the answer.",
            ["kind"],
            buckets=FAST,
            registry=registry,
        )
        self._of_kind = {kind: self.store.labels(kind) for kind in ("read", "write")}
        self.files = Histogram(
            "local_assistants_file_index_seconds",
            "Making a file searchable, by outcome.",
            ["status"],
            buckets=SLOW,
            registry=registry,
        )

    def committed(self, seconds: float) -> None:
        """Count it."""
        self.commits.observe(seconds)

    def stored(self, kind: Literal["read", "write"], seconds: float) -> None:
        """Count it."""
        self._of_kind[kind].observe(seconds)

    def indexed(self, status: StoreFileStatus, seconds: float) -> None:
        """Count it."""
        self.files.labels(status.value).observe(seconds)
