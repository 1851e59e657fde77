"""Dense candidates: the chunks whose vectors are nearest to those of the queries.

Small stores are searched exactly, in memory; large ones by the vector index. What a filter leaves is searched exactly
as long as it fits, and so is a large store while its index is not ready. The vectors' truth is the store; the index
follows it (`mirror`), and when it fails a search goes on without it.

It knows no text, embeds nothing, and does not look whether a file is still attached.
"""

import asyncio
import heapq
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ....engine.errors import StorageFault
from ....engine.objects import VectorStoreFile
from ....engine.ports import PageQuery, Store, Transaction, VectorIndex
from ..settings import IndexSettings
from .matrices import Matrices, Matrix
from .mirror import Mirror
from .ranking import Ranking

_State = tuple[int, str]
"""What tells whether a vector store changed: its vectors' number, and its newest file, as one may replace another."""

_log = logging.getLogger(__name__)

_READ_EACH_TIME = 2000  # vectors that a filter leaves: so few are read, before the whole store is
_SPARE = 2.0  # as many more hits are asked of the index as a filter seems to need
_MOST_ASKED = 5000  # hits of one query to the index; a narrower filter gets fewer than it could


@dataclass(frozen=True, slots=True)
class _Search:
    """What is wanted of one store, which has `count` vectors. `files`: only these; None: all."""

    store_id: str
    vectors: Sequence[bytes]
    limit: int
    files: frozenset[str] | None
    count: int

    @property
    def size(self) -> int:
        """Bytes of the store's vectors."""
        return self.count * len(self.vectors[0])


class Nearest:
    """Searches vectors, and is told what becomes of them: `added`, `removed` and `dropped` after each commit."""

    def __init__(
        self, store: Store, index: VectorIndex, settings: IndexSettings | None = None
    ) -> None:
        self._settings = settings or IndexSettings()
        self._store = store
        self._index = index
        self._matrices = Matrices(store, self._settings.cache_bytes)
        least = min(self._settings.collection_from, self._settings.exact_vectors + 1)
        self._mirror = Mirror(store, index, least, self._settings.quiet_seconds)
        self._states: dict[str, _State] = {}  # as the last search found them

    async def nearest(
        self,
        store_ids: Sequence[str],
        vectors: Sequence[bytes],
        limit: int,
        files: Collection[tuple[str, str]] | None = None,
    ) -> list[Ranking]:
        """For each vector the `limit` nearest chunks of all stores: (chunk id, cosine -1..1), best first.

        `files` narrows to these (vector store id, file id). A large store whose index is not ready and that does not
        fit into the cache has no candidates.
        """
        self._mirror.begin()
        found: list[list[Ranking]] = [[] for _ in vectors]
        for store_id in dict.fromkeys(store_ids):
            chosen = None
            if files is not None:
                chosen = frozenset(file for store, file in files if store == store_id)
            count = await self._count(store_id)
            if not count or not vectors or chosen == frozenset():
                continue
            rankings = await self._of_store(_Search(store_id, vectors, limit, chosen, count))
            for one, ranking in zip(found, rankings, strict=True):
                one.append(ranking)
        return [_merged(rankings, limit) for rankings in found]

    async def added(self, store_id: str, vectors: Sequence[tuple[str, bytes]]) -> None:
        """Vectors were committed: (chunk id, vector)."""
        self.changed(store_id)
        self._mirror.begin()
        await self._mirror.added(store_id, vectors)

    async def removed(self, store_id: str) -> None:
        """Chunks with vectors were deleted or replaced; nothing finds them, and their bytes leave the index soon."""
        self.changed(store_id)
        await self._mirror.removed(store_id)

    async def dropped(self, store_id: str) -> None:
        """All of a store was deleted; its bytes leave the index soon."""
        self.changed(store_id)
        await self._mirror.dropped(store_id)

    def changed(self, store_id: str) -> None:
        """Forget what is kept of a store's vectors."""
        self._matrices.forget(store_id)
        self._states.pop(store_id, None)

    async def erased(self) -> None:
        """Wait until what was removed has left the index."""
        await self._mirror.erased()

    async def look(self) -> None:
        """Notice now what other processes have taken out; otherwise it takes half a minute."""
        await self._mirror.look()

    async def settled(self) -> None:
        """Wait until the index has what is on its way to it."""
        await self._mirror.settled()

    async def close(self) -> None:
        """Close the index too."""
        await self._mirror.close()

    # --- one store ---------------------------------------------------------------------------------

    async def _of_store(self, search: _Search) -> Sequence[Ranking]:
        found: Sequence[Ranking] | None = None
        large = search.count > self._settings.exact_vectors
        if large:
            found = await (self._asked(search) if search.files is None else self._filtered(search))
        if found is None and (not large or self._matrices.fits(search.size)):
            matrix = await self._matrices.get(search.store_id)
            found = await _exact(matrix, search, search.files)
        if found is None:
            _log.warning(
                "%s is searched by its words only: the vector index is not ready, and cache_bytes of "
                "[file_search.index] is too little for its %s vectors.",
                search.store_id,
                search.count,
            )
            return [[] for _ in search.vectors]
        return found

    async def _filtered(self, search: _Search) -> Sequence[Ranking] | None:
        """A large store narrowed to files; None: all of its vectors are to be looked at in memory."""
        store_id, files = search.store_id, search.files
        if self._matrices.keeps(store_id):
            return None
        fits = self._matrices.fits(search.size)
        left = await self._store.read(lambda tx: tx.count_vectors(store_id, files))
        if left <= (_READ_EACH_TIME if fits else self._settings.exact_vectors):
            matrix = await self._matrices.read(store_id, files)
            return await _exact(matrix, search, None)
        return None if fits else await self._asked(search, share=left / search.count)

    async def _asked(self, search: _Search, share: float = 1.0) -> Sequence[Ranking] | None:
        """What the vector index finds; None when it is not ready. `share` is what a filter leaves."""
        if not await self._mirror.ready(search.store_id):
            return None
        more = min(_MOST_ASKED, round(search.limit / share * _SPARE))
        asked = search.limit if search.files is None else max(search.limit, more)
        try:
            found = await self._index.query(search.store_id, search.vectors, asked)
        except StorageFault as error:
            _log.warning("Searching %s without the vector index: %s", search.store_id, error)
            self._mirror.failed(search.store_id)
            return None
        if not self._mirror.in_step(search.store_id):  # erased under the query
            return None
        return [_of_files(ranking, search.files)[: search.limit] for ranking in found]

    async def _count(self, store_id: str) -> int:
        """How many vectors a store has now; notices what another process did."""
        found = await self._store.read(lambda tx: _state(tx, store_id))
        if self._states.get(store_id, found) != found:
            self._matrices.forget(store_id)
        self._states[store_id] = found
        return found[0]


def _state(tx: Transaction, store_id: str) -> _State:
    newest, _ = tx.page(VectorStoreFile, PageQuery({"vector_store_id": store_id}, 1))
    return tx.count_vectors(store_id), newest[0].id if newest else ""


async def _exact(
    matrix: Matrix, search: _Search, files: Collection[str] | None
) -> Sequence[Ranking]:
    return await asyncio.to_thread(matrix.nearest, search.vectors, search.limit, files)


def _of_files(ranking: Ranking, files: frozenset[str] | None) -> Ranking:
    """The hits in these files; ids are "store/file/index"."""
    return [hit for hit in ranking if files is None or hit[0].split("/", 2)[1] in files]


def _merged(rankings: Sequence[Ranking], limit: int) -> Ranking:
    merged = heapq.merge(*rankings, key=lambda hit: -hit[1])
    return [hit for hit, _ in zip(merged, range(limit), strict=False)]
