"""Everything the core works with, in one frozen bundle that `assemble` fills."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Self

from .errors import NotFound
from .feed import EventFeed
from .journal import Journal
from .ports import BlobStore, Clock, Ids, Library, Models, Retriever, Store, Tool
from .settings import CoreSettings


def _alone() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Core:
    """Ports and the few objects that all parts of the core share.

    `tools` is keyed by the API's tool type; `retrievers` are the sources of passages beside the library. A core as it
    is put together works on everything that is stored; `of` gives the one of a project.

    Several servers may share a store. `keeps_house` says whether this one does what only one of them may do: making
    files searchable, which fills the vector index. It may become true at any time, and stays so.
    """

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
    retrievers: tuple[Retriever, ...] = ()
    keeps_house: Callable[[], bool] = _alone

    def now(self) -> int:
        """Unix seconds, as the API shows them."""
        return int(self.clock.now())

    def of(self, project: str) -> Self:
        """The same, seeing and making only what belongs to `project`.

        Raises:
            StorageFault: this is the core of another project already.
        """
        store = self.store.scoped(project)
        return replace(self, store=store, journal=self.journal.over(store))

    async def of_thread(self, thread_id: str) -> Self:
        """The core of the thread's project, for what is made on its behalf.

        Raises:
            NotFound: the thread was deleted.
        """
        project = await self.store.read(lambda tx: tx.project_of(thread_id))
        if project is None:
            raise NotFound(f"No thread found with id '{thread_id}'.")
        return self.of(project)
