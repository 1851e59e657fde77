"""What has to be ready before a run's first turn: the thread's vector store, neither expired nor still indexing.

A run that may search uses the stores it could search in, whether its model then does or not: their expiry moves along.
"""

from .core import Core
from .errors import InvalidRequest
from .expiry import find_store, touched
from .objects import Run, Thread, VectorStore
from .ports import Transaction
from .states import StoreStatus

_LOOK_EVERY = 0.1


async def wait_for_thread_store(core: Core, run: Run) -> None:
    """Wait up to `settings.index_wait` seconds while the thread's store is indexing; the assistant's is not waited for.

    Raises:
        InvalidRequest: a store the run would search has expired.
    """
    if not any(tool.type == "file_search" for tool in run.tools):
        return

    def use(tx: Transaction) -> None:
        for store in _stores(tx, core, (*run.tool_resources.vector_store_ids, *_own(tx, run))):
            tx.put(touched(store, core.now()))

    def indexing(tx: Transaction) -> bool:
        own = _stores(tx, core, _own(tx, run))
        return any(store.status is StoreStatus.IN_PROGRESS for store in own)

    await core.store.write(use)
    began, most = core.clock.now(), core.settings.index_wait
    while await core.store.read(indexing) and 0 <= core.clock.now() - began < most:
        await core.clock.sleep(_LOOK_EVERY)


def _own(tx: Transaction, run: Run) -> tuple[str, ...]:
    thread = tx.get(Thread, run.thread_id)
    return thread.tool_resources.vector_store_ids if thread else ()


def _stores(tx: Transaction, core: Core, store_ids: tuple[str, ...]) -> list[VectorStore]:
    """Those that still exist.

    Raises:
        InvalidRequest: one has expired.
    """
    found = [find_store(tx, store_id, core.now()) for store_id in dict.fromkeys(store_ids)]
    stores = [store for store in found if store is not None]
    for store in stores:
        if store.status is StoreStatus.EXPIRED:
            raise InvalidRequest(f"Vector store '{store.id}' has expired")
    return stores
