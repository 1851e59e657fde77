"""What the core tells whoever measures it; it knows no metric and no monitoring system.

Observers stand in `EventFeed.observers`. They are called on the event loop in the middle of the work: they must be
quick and must not raise. What another process on the same store does is not told.
"""

from collections.abc import Sequence

from .events import Event
from .ports import ModelStatus
from .states import StoreFileStatus


class Observer:
    """Every method does nothing; override what is wanted."""

    def published(self, events: Sequence[Event]) -> None:
        """These events were committed, in this order."""

    def committed(self, seconds: float) -> None:
        """A transaction of the journal is on disk, `seconds` after it was asked for."""

    def indexed(self, status: StoreFileStatus, seconds: float) -> None:
        """A vector store's file was dealt with: it is completed or failed."""

    def model_changed(self, status: ModelStatus) -> None:
        """A model began to load, got on with it by a hundredth, is ready, could not be loaded, or was unloaded."""
