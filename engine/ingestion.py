"""Makes the files of vector stores searchable, several at a time, and moves their status.

The queue is the store itself: files in status in_progress. So a restart goes on where it stopped. Of several servers on
one store only the one that keeps house indexes, whichever took the files in. Projects and vector
stores take turns, and none of them ever has all places. A file that cannot be read ends as failed with the API's
last_error; ingestion itself goes on. What is the host's fault, a full disk for one, leaves the file in progress, and
it is tried again (`setbacks`).
"""

import asyncio
import logging
from collections import Counter
from functools import partial
from time import perf_counter

from .background import Background
from .core import Core
from .errors import AssistantsError, InvalidRequest, UnsupportedFile
from .expiry import find_file
from .objects import ChunkingStrategy, LastError, StaticChunking, VectorStore, VectorStoreFile
from .ports import Indexed, PageQuery, ToolFile, Transaction
from .setbacks import Setbacks, growing
from .states import STORE_FILE, On, StoreFileStatus, StoreStatus
from .tally import Change, account, recount

_log = logging.getLogger("local_assistants.ingestion")
_LOOK_EVERY = 1.0  # seconds; a long file may be removed meanwhile, and others wait behind it
_STORES_SEEN = 1000  # vector stores looked at for the next file

Waiting = tuple[str, VectorStoreFile]
"""(project, a file of one of its vector stores)."""


class Ingestion(Background):
    """The task that hands out places. A file cut short by `stop` is indexed again.

    `wake` it when files were added, and now and then: another server may have added some, or may be gone.
    """

    def __init__(self, core: Core) -> None:
        super().__init__()
        self._core = core
        self.setbacks = Setbacks(core.clock)
        self._alarm: asyncio.Task[None] | None = None
        self._counted = False
        self._stumbles = 0  # in a row, over what is no file's
        self._at_work: dict[str, tuple[Waiting, asyncio.Task[None]]] = {}

    async def stop(self) -> None:
        """Stop; what is left is done after the next start."""
        await super().stop()
        tasks = [task for _, task in self._at_work.values()]
        tasks += [self._alarm] if self._alarm is not None else []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _once(self) -> None:
        if not self._core.keeps_house():
            return  # another server does; the next heartbeat asks again
        try:
            if not self._counted:
                await self._core.store.write(lambda tx: _recount_unfinished(tx, self._core.now()))
                self._counted = True
            while (waiting := await self._next()) is not None:
                self._begin(waiting)
            self._set_alarm()
            self._stumbles = 0
        except AssistantsError:
            _log.exception("ingestion stopped for a moment")
            self._stumbles += 1
            await self._core.clock.sleep(growing(self._stumbles - 1))
            self.wake()

    async def _next(self) -> Waiting | None:
        """The file whose turn it is; None when there is none, or no place for it."""
        places = self._core.settings.indexed_at_once
        while len(self._at_work) < (1 if self.setbacks.trouble else places):
            beside = [*self._at_work, *self.setbacks.shut_out(self._at_work)]
            found = await self._waiting(beside)
            again = self.setbacks.next(self._at_work)
            if found or again is None:
                at_work = [waiting for waiting, _ in self._at_work.values()]
                return chosen(found, at_work, places)
            self.setbacks.forget(again)  # it was removed or cancelled
        return None

    async def _waiting(self, beside: list[str]) -> list[Waiting]:
        return await self._core.store.read(lambda tx: tx.waiting_store_files(beside, _STORES_SEEN))

    def _set_alarm(self) -> None:
        """Look again when a pause is over."""
        pause = self.setbacks.pause()
        if pause and (self._alarm is None or self._alarm.done()):
            self._alarm = asyncio.create_task(self._wake_after(pause))

    async def _wake_after(self, seconds: float) -> None:
        await self._core.clock.sleep(seconds)
        self.wake()

    def _begin(self, waiting: Waiting) -> None:
        item = waiting[1]
        key = f"{item.vector_store_id}/{item.id}"
        task = asyncio.create_task(self._take(item))
        self._at_work[key] = waiting, task
        task.add_done_callback(partial(self._end, key))

    def _end(self, key: str, task: asyncio.Task[None]) -> None:
        del task
        del self._at_work[key]
        self.wake()

    async def _take(self, item: VectorStoreFile) -> None:
        """Index a file; it stays in progress when the host is at fault, or its outcome could not be recorded."""
        key = f"{item.vector_store_id}/{item.id}"
        try:
            await self._index(item)
        except AssistantsError as fault:
            pause = self.setbacks.met(key, fault)
            _log.warning("file %s waits, for %.0f seconds at least: %s", item.id, pause, fault)

    async def _index(self, item: VectorStoreFile) -> None:
        """Index a file and record what became of it.

        Raises:
            AssistantsError: the host is at fault; nothing was recorded.
        """
        indexed, error, began = Indexed(0, 0), None, perf_counter()
        try:
            now = self._core.now()
            file = await self._core.store.read(lambda tx: find_file(tx, item.id, now))
            if file is None:
                raise InvalidRequest("The file was deleted before it could be indexed.")
            source = ToolFile(file, await self._core.blobs.intact(file.id, file.bytes))
            indexed = await self._add(item, source)
        except UnsupportedFile as refused:
            error = LastError(code="unsupported_file", message=refused.message)
        except InvalidRequest as refused:
            error = LastError(code="invalid_file", message=refused.message)
        except AssistantsError as fault:
            if fault.passing:
                raise
            _log.exception("file %s could not be indexed", item.id)
            error = LastError(code="server_error", message=fault.message)
        except Exception:
            _log.exception("file %s could not be indexed", item.id)
            error = LastError(code="server_error", message="The file could not be indexed.")
        kept = await self._core.store.write(
            lambda tx: _settle(tx, item, indexed, error, self._core.now())
        )
        self.setbacks.over(f"{item.vector_store_id}/{item.id}")
        for observer in self._core.feed.observers:
            outcome = StoreFileStatus.FAILED if error else StoreFileStatus.COMPLETED
            observer.indexed(outcome, perf_counter() - began)
        if not kept:  # failed, or removed or cancelled while it was indexed
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


def chosen(waiting: list[Waiting], at_work: list[Waiting], places: int) -> Waiting | None:
    """Whose turn it is: a file of the project, then of the store, that has fewest at work, and of those the oldest.

    A store leaves two places to other stores, a project one to other projects: so whoever comes new with a small file
    need not wait for the large files of another.

    Args:
        waiting: the oldest file of each store, oldest first.
        at_work: files that are being indexed.
        places: how many may be.
    """
    of_project = Counter(project for project, _ in at_work)
    of_store = Counter(item.vector_store_id for _, item in at_work)

    def load(one: Waiting) -> tuple[int, int]:
        return of_project[one[0]], of_store[one[1].vector_store_id]

    free = [
        one
        for one in waiting
        if load(one)[0] < max(1, places - 1) and load(one)[1] < max(1, places - 2)
    ]
    return min(free, key=load, default=None)


def _wanted(tx: Transaction, item: VectorStoreFile) -> bool:
    current = tx.get(VectorStoreFile, f"{item.vector_store_id}/{item.id}")
    if current is None or current.status is not StoreFileStatus.IN_PROGRESS:
        return False
    return current.chunking_strategy == item.chunking_strategy  # else it was attached anew


def _static(item: VectorStoreFile) -> StaticChunking | None:
    """None for the default strategy: the library then chunks as suits its embedder."""
    return None if item.chunking_strategy == ChunkingStrategy() else item.chunking_strategy.static


def _settle(
    tx: Transaction, item: VectorStoreFile, indexed: Indexed, error: LastError | None, now: int
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
    account(tx, item.vector_store_id, [Change(current, settled)], now)
    return error is None


def _recount_unfinished(tx: Transaction, now: int) -> None:
    """Count anew once a start: a count that is off would keep its store, and whoever polls it, in progress for ever."""
    query = PageQuery({"status": StoreStatus.IN_PROGRESS}, 10_000, "asc")
    for store in tx.page(VectorStore, query)[0]:
        recount(tx, store.id, now)
