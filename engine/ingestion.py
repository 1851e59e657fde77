"""Makes the files of vector stores searchable, one after another, and moves their status.

The queue is the store itself: files in status in_progress. So a restart goes on where it stopped. A file that cannot
be read ends as failed with the API's last_error; ingestion itself goes on.
"""

import asyncio
import logging
from time import perf_counter

from .background import Background
from .core import Core
from .errors import AssistantsError, InvalidRequest, UnsupportedFile
from .expiry import find_file
from .objects import ChunkingStrategy, LastError, StaticChunking, VectorStore, VectorStoreFile
from .ports import Indexed, PageQuery, ToolFile, Transaction
from .states import STORE_FILE, On, StoreFileStatus, StoreStatus
from .tally import Change, account, recount

_log = logging.getLogger("local_assistants.ingestion")
_RETRY_AFTER = 1.0
_LOOK_EVERY = 1.0  # seconds; a long file may be removed meanwhile, and others wait behind it


class Ingestion(Background):
    """The one task that indexes. `wake` it when files were added; a file cut short by `stop` is indexed again."""

    def __init__(self, core: Core) -> None:
        super().__init__()
        self._core = core
        self._counted = False

    async def _once(self) -> None:
        try:
            if not self._counted:
                await self._core.store.write(_recount_unfinished)
                self._counted = True
            while (waiting := await self._core.store.read(_next_waiting)) is not None:
                await self._index(waiting)
        except AssistantsError:
            _log.exception("ingestion stopped for a moment")
            await self._core.clock.sleep(_RETRY_AFTER)
            self.wake()

    async def _index(self, item: VectorStoreFile) -> None:
        indexed, error, began = Indexed(0, 0), None, perf_counter()
        try:
            now = self._core.now()
            file = await self._core.store.read(lambda tx: find_file(tx, item.id, now))
            if file is None:
                raise InvalidRequest("The file was deleted before it could be indexed.")
            source = ToolFile(file, self._core.blobs.path(file.id))
            indexed = await self._add(item, source)
        except UnsupportedFile as refused:
            error = LastError(code="unsupported_file", message=refused.message)
        except InvalidRequest as refused:
            error = LastError(code="invalid_file", message=refused.message)
        except AssistantsError as fault:
            _log.exception("file %s could not be indexed", item.id)
            error = LastError(code="server_error", message=fault.message)
        except Exception:
            _log.exception("file %s could not be indexed", item.id)
            error = LastError(code="server_error", message="The file could not be indexed.")
        kept = await self._core.store.write(lambda tx: _settle(tx, item, indexed, error))
        for observer in self._core.feed.observers:
            outcome = StoreFileStatus.FAILED if error else StoreFileStatus.COMPLETED
            observer.indexed(outcome, perf_counter() - began)
        if not kept:  # removed or cancelled while it was indexed
            await self._core.library.remove(item.vector_store_id, item.id)

    async def _add(self, item: VectorStoreFile, source: ToolFile) -> Indexed:
        """Index the file for as long as somebody wants it.

        Raises:
            InvalidRequest: it was removed or cancelled meanwhile.
        """
        library = self._core.library
        adding = asyncio.ensure_future(library.add(item.vector_store_id, source, _static(item)))
        try:
            while not adding.done():
                done, _ = await asyncio.wait([adding], timeout=_LOOK_EVERY)
                if not done and not await self._core.store.read(lambda tx: _wanted(tx, item)):
                    raise InvalidRequest("The file was removed while it was indexed.")
            return adding.result()
        finally:
            adding.cancel()
            await asyncio.gather(adding, return_exceptions=True)


def _wanted(tx: Transaction, item: VectorStoreFile) -> bool:
    current = tx.get(VectorStoreFile, f"{item.vector_store_id}/{item.id}")
    if current is None or current.status is not StoreFileStatus.IN_PROGRESS:
        return False
    return current.chunking_strategy == item.chunking_strategy  # else it was attached anew


def _next_waiting(tx: Transaction) -> VectorStoreFile | None:
    found, _ = tx.page(
        VectorStoreFile, PageQuery({"status": StoreFileStatus.IN_PROGRESS}, 1, "asc")
    )
    return found[0] if found else None


def _static(item: VectorStoreFile) -> StaticChunking | None:
    """None for the default strategy: the library then chunks as suits its embedder."""
    return None if item.chunking_strategy == ChunkingStrategy() else item.chunking_strategy.static


def _settle(
    tx: Transaction, item: VectorStoreFile, indexed: Indexed, error: LastError | None
) -> bool:
    """Record the outcome; False if nobody wants the file any more."""
    current = tx.get(VectorStoreFile, f"{item.vector_store_id}/{item.id}")
    if current is None or not _wanted(tx, item):
        return False
    if error is not None:
        settled = STORE_FILE.fire(current, On.FAIL, 0, last_error=error)
    else:
        settled = STORE_FILE.fire(current, On.COMPLETE, 0, usage_bytes=indexed.usage_bytes)
    tx.put(settled)
    account(tx, item.vector_store_id, [Change(current, settled)])
    return error is None


def _recount_unfinished(tx: Transaction) -> None:
    """Count anew once a start: a count that is off would keep its store, and whoever polls it, in progress for ever."""
    query = PageQuery({"status": StoreStatus.IN_PROGRESS}, 10_000, "asc")
    for store in tx.page(VectorStore, query)[0]:
        recount(tx, store.id)
