"""Keeps the vector index in step with the vectors in the store: behind the writers, and again after any mishap.

A vector store has a collection from a number of vectors on. What was committed is added to it. After any removal
nothing is looked for in it any more; it is dropped behind the caller, which erases the bytes, and filled again later.
At the first use after a start every collection is compared with the store. The index's failures are logged and end
here: nobody's file or search fails by them, and a later call tries again.

It does not search, embeds nothing, and promises only what `in_step` says. Another process on the same data may take
vectors out, which is noticed within half a minute; it trusts that none puts any in.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ....engine.errors import MissingDependency, StorageFault
from ....engine.ports import Store, VectorIndex

_log = logging.getLogger(__name__)

_SLICE = 500  # vectors added at once; what comes in between waits for so many
_RETRY_SECONDS = 60.0
_LOOK_SECONDS = 30.0  # between two looks at what other processes have taken out
_OPENING_SECONDS = 2.0  # that a first search waits for the index to be opened; reading all vectors takes about as long


@dataclass(slots=True)
class _Copy:
    """What is known of one store's collection. `added` and `removed` count commits, to notice one in between."""

    in_step: bool = False
    added: int = 0
    removed: int = 0
    retry_at: float = 0.0
    filling: asyncio.Task[None] | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Mirror:
    """The collections of all vector stores.

    Args:
        store: has the truth.
        index: is filled from it; closed by `close`.
        least: number of vectors from which a vector store has a collection.
        quiet: seconds without a removal before a collection is filled again.
    """

    def __init__(self, store: Store, index: VectorIndex, least: int, quiet: float) -> None:
        self._store = store
        self._index = index
        self._least = max(1, least)
        self._quiet = quiet
        self._copies: defaultdict[str, _Copy] = defaultdict(_Copy)
        self._sweeping = asyncio.Lock()
        self._swept = False
        self._looked = asyncio.Event()  # whether anybody still waits for the first sweep
        self._sweep_at = 0.0
        self._closed = False
        self._first: asyncio.Task[bool] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._dropping: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        """Put right in the background what a crash may have left; once."""
        if self._first is None and not self._closed:
            self._first = asyncio.create_task(self._sweep())
            self._looking = asyncio.create_task(self._look_for_ever())

    def in_step(self, store_id: str) -> bool:
        """Whether the collection holds what the store does."""
        return self._copies[store_id].in_step

    async def ready(self, store_id: str) -> bool:
        """The same; if not, it is brought there in the background. Waits for the index to be opened, not long."""
        if not self.in_step(store_id):
            self._begin_filling(store_id)
            if not self._looked.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._looked.wait(), _OPENING_SECONDS)
                self._looked.set()
        return self.in_step(store_id)

    async def added(self, store_id: str, vectors: Sequence[tuple[str, bytes]]) -> None:
        """These vectors were committed."""
        copy = self._copies[store_id]
        copy.added += 1
        async with copy.lock:
            if copy.in_step:
                await self._try(copy, self._index.upsert(store_id, vectors))
        if not copy.in_step and await self._count(store_id) >= self._least:
            self._begin_filling(store_id)

    async def removed(self, store_id: str) -> None:
        """Vectors may have been taken out or replaced: if so nothing is looked for in the collection from now on.

        It is erased behind the caller, and filled again later.
        """
        copy = self._copies[store_id]
        copy.removed += 1
        if copy.in_step and await self._kept(store_id, copy):
            return  # what was taken out had no vectors
        copy.in_step = False
        self._in_background(self._erase(store_id, copy))

    async def dropped(self, store_id: str) -> None:
        """The store is gone; its collection is erased behind the caller."""
        copy = self._copies[store_id]
        copy.removed += 1
        copy.in_step = False
        self._in_background(self._forget(store_id, copy))

    async def look(self) -> None:
        """Let go of collections that hold what another process has taken out of the store."""
        for store_id, copy in list(self._copies.items()):
            if not copy.in_step:
                continue
            try:
                async with copy.lock:
                    # In this order: what is committed meanwhile and not added yet makes the store's number greater.
                    more = await self._index.count(store_id) > await self._count(store_id)
            except (StorageFault, MissingDependency) as error:
                _log.warning("The vector index could not be looked at: %s", error)
                return
            if more:
                await self.removed(store_id)

    async def _look_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await self.look()

    async def _kept(self, store_id: str, copy: _Copy) -> bool:
        """Whether the collection has as many vectors as the store."""
        kept = False
        try:
            kept = await self._same(store_id)
        except (StorageFault, MissingDependency) as error:
            _log.warning("The vector index did not take a change: %s", error)
            self._out_of_step(copy)
        return kept

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._dropping.add(task)
        task.add_done_callback(self._dropping.discard)

    async def _erase(self, store_id: str, copy: _Copy) -> None:
        if await self._sweep():
            async with copy.lock:
                if not copy.in_step:  # else it was filled anew meanwhile
                    await self._try(copy, self._index.drop(store_id))
            if not copy.in_step and await self._count(store_id) >= self._least:
                self._begin_filling(store_id)

    async def _forget(self, store_id: str, copy: _Copy) -> None:
        if await self._sweep():
            async with copy.lock:
                await self._try(copy, self._index.drop(store_id))
        if copy.filling is None:
            self._copies.pop(store_id, None)

    def failed(self, store_id: str) -> None:
        """A search in the collection failed: it is filled again."""
        self._out_of_step(self._copies[store_id])

    async def erased(self) -> None:
        """Wait until what was removed has left the index."""
        while self._dropping:
            await asyncio.gather(*self._dropping)

    async def settled(self) -> None:
        """Wait for what is being put right, erased or filled."""
        await self.erased()
        await asyncio.gather(*self._tasks())

    async def close(self) -> None:
        """End what is under way, but for erasing, and close the index."""
        self._closed = True
        await asyncio.gather(*self._dropping, return_exceptions=True)
        tasks = self._tasks() + ([self._looking] if self._looking is not None else [])
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._index.close()

    def _tasks(self) -> list[asyncio.Task[Any]]:
        tasks = [self._first, *(copy.filling for copy in self._copies.values())]
        return [task for task in tasks if task is not None]

    # --- the collections that a start finds ---------------------------------------------------------

    async def _sweep(self) -> bool:
        """Compare every collection with the store, once; whether that is done."""
        async with self._sweeping:
            if self._swept or self._closed or time.monotonic() < self._sweep_at:
                return self._swept
            try:
                for name in await self._index.names():
                    await self._compare(name)
                self._swept = True
            except (StorageFault, MissingDependency) as error:
                _log.warning("Searching without the vector index: %s", error)
                self._sweep_at = time.monotonic() + _RETRY_SECONDS
            self._looked.set()
            return self._swept

    async def _compare(self, store_id: str) -> None:
        copy = self._copies[store_id]
        if await self._same(store_id) and await self._count(store_id) >= self._least:
            copy.in_step = copy.added == copy.removed == 0
        if not copy.in_step:
            await self._index.drop(store_id)

    async def _same(self, store_id: str) -> bool:
        return await self._index.count(store_id) == await self._count(store_id)

    # --- filling ------------------------------------------------------------------------------------

    def _begin_filling(self, store_id: str) -> None:
        copy = self._copies[store_id]
        if copy.filling is None and not self._closed and time.monotonic() >= copy.retry_at:
            copy.filling = asyncio.create_task(self._fill(store_id, copy))

    async def _fill(self, store_id: str, copy: _Copy) -> None:
        try:
            if await self._sweep():
                while not copy.in_step and await self._filled(store_id, copy):
                    pass
        except (StorageFault, MissingDependency) as error:
            _log.warning("The vector index of %s cannot be filled: %s", store_id, error)
            self._out_of_step(copy)
        finally:
            copy.filling = None

    async def _filled(self, store_id: str, copy: _Copy) -> bool:
        """Fill a collection from nothing; whether it has to be done again, since vectors were removed meanwhile."""
        removed = copy.removed
        async with copy.lock:
            await self._index.drop(store_id)
        if removed:
            await asyncio.sleep(self._quiet)
        there: set[str] = set()
        while copy.removed == removed:
            added = copy.added
            stored = await self._store.read(lambda tx: tx.store_vectors(store_id))
            if len(stored) < self._least:
                return False
            missing = [each for each in stored if each[0] not in there]
            if not missing and (copy.added, copy.removed) == (added, removed):
                copy.in_step = True
                return False
            for start in range(0, len(missing), _SLICE):
                async with copy.lock:
                    if copy.removed != removed:
                        return True
                    await self._index.upsert(store_id, missing[start : start + _SLICE])
            there.update(id_ for id_, _ in missing)
        return True

    async def _count(self, store_id: str) -> int:
        return await self._store.read(lambda tx: tx.count_vectors(store_id))

    async def _try(self, copy: _Copy, change: Coroutine[Any, Any, None]) -> None:
        try:
            await change
        except (StorageFault, MissingDependency) as error:
            _log.warning("The vector index did not take a change: %s", error)
            self._out_of_step(copy)

    def _out_of_step(self, copy: _Copy) -> None:
        copy.in_step = False
        copy.retry_at = time.monotonic() + _RETRY_SECONDS
