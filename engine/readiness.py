"""What has to be ready before a run's first turn: the thread's vector store, neither expired nor still indexing."""

from .core import Core
from .errors import InvalidRequest
from .objects import Run, Thread, VectorStore
from .ports import Transaction
from .states import StoreStatus

_LOOK_EVERY = 0.1


async def wait_for_thread_store(core: Core, run: Run) -> None:
    """Wait up to `settings.index_wait` seconds while the thread's store is indexing; the assistant's is not waited for.

    Raises:
        InvalidRequest: a store the run would search has expired.
    """

    def look(tx: Transaction) -> bool:
        thread = tx.get(Thread, run.thread_id)
        own = thread.tool_resources.vector_store_ids if thread else ()
        for store_id in (*run.tool_resources.vector_store_ids, *own):
            store = tx.get(VectorStore, store_id)
            if store and store.status is StoreStatus.EXPIRED:
                raise InvalidRequest(f"Vector store '{store_id}' has expired")
        stores = [tx.get(VectorStore, store_id) for store_id in own]
        return any(store and store.status is StoreStatus.IN_PROGRESS for store in stores)

    if not any(tool.type == "file_search" for tool in run.tools):
        return
    deadline = core.clock.now() + core.settings.index_wait
    while await core.store.read(look) and core.clock.now() < deadline:
        await core.clock.sleep(_LOOK_EVERY)
