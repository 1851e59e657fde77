"""Everything the core works with, in one frozen bundle that `assemble` fills."""

from collections.abc import Mapping
from dataclasses import dataclass

from .feed import EventFeed
from .journal import Journal
from .ports import BlobStore, Clock, Ids, Library, Models, Store, Tool
from .settings import CoreSettings


@dataclass(frozen=True, slots=True)
class Core:
    """Ports and the few objects that all parts of the core share. `tools` is keyed by the API's tool type."""

    store: Store
    blobs: BlobStore
    models: Models
    tools: Mapping[str, Tool]
    library: Library
    clock: Clock
    ids: Ids
    feed: EventFeed
    journal: Journal
    settings: CoreSettings

    def now(self) -> int:
        """Unix seconds, as the API shows them."""
        return int(self.clock.now())
