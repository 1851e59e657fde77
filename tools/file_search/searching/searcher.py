"""One search: nearest vectors and matching keywords of several stores and queries, fused, with filters.

Attribute filters are resolved to files first; only those are searched. It changes nothing.
"""

from collections.abc import Sequence

from ....engine.objects import File, VectorStoreFile
from ....engine.ports import PageQuery, Passage, SearchQuery, Store, Transaction
from ..ingestion.worker import QueryEncoder
from ..settings import LibrarySettings
from .filters import compiled
from .nearest import Nearest
from .ranking import Ranking, best_of, fused, joined

_FILTERED_CANDIDATES = 10_000  # looked at when a filter will drop most of them

Key = tuple[str, str]
"""(vector store id, file id)."""


class Searcher:
    """Searches vector stores."""

    def __init__(
        self, store: Store, nearest: Nearest, encoder: QueryEncoder, settings: LibrarySettings
    ) -> None:
        self._store = store
        self._nearest = nearest
        self._encoder = encoder
        self._settings = settings

    async def search(self, query: SearchQuery) -> list[Passage]:
        """See the port."""
        stores = tuple(dict.fromkeys(query.vector_store_ids))
        allowed = None if query.filters is None else await self._allowed(stores, query.filters)
        if not stores or not query.queries or allowed == set():
            return []
        vectors = await self._encoder.encode(query.queries)
        scores: list[dict[str, float]] = []
        for text, vector in zip(query.queries, vectors, strict=True):
            dense = await self._dense(stores, vector, allowed)
            sparse = await self._sparse(stores, text, allowed)
            scores.append(fused(dense, sparse, self._settings.dense_weight))
        ranking = best_of(scores)[: max(4 * query.max_results, 40)]
        passages = await self._store.read(lambda tx: _passages(tx, ranking))
        wanted = [one for one in passages if one.score >= query.score_threshold]
        return joined(wanted, query.max_results)

    async def _allowed(self, stores: Sequence[str], filters: object) -> set[Key]:
        matches = compiled(filters)

        def find(tx: Transaction) -> set[Key]:
            return {
                (store, file.id)
                for store in stores
                for file in _files(tx, store)
                if matches(file.attributes)
            }

        return await self._store.read(find)

    async def _dense(
        self, stores: Sequence[str], vector: bytes, allowed: set[Key] | None
    ) -> Ranking:
        most = self._settings.candidates
        (ranking,) = await self._nearest.nearest(stores, [vector], most, allowed)
        return ranking

    async def _sparse(self, stores: Sequence[str], text: str, allowed: set[Key] | None) -> Ranking:
        most = self._settings.candidates
        limit = most if allowed is None else _FILTERED_CANDIDATES
        found = await self._store.read(lambda tx: tx.match_chunks(stores, text, limit))
        return _best(found, allowed, most)


def _key(chunk_id: str) -> Key:
    store_id, file_id, _ = chunk_id.split("/")
    return store_id, file_id


def _best(found: Sequence[tuple[str, float]], allowed: set[Key] | None, most: int) -> Ranking:
    kept = [hit for hit in found if allowed is None or _key(hit[0]) in allowed]
    return sorted(kept, key=lambda item: -item[1])[:most]


def _files(tx: Transaction, store_id: str) -> list[VectorStoreFile]:
    """All files of a vector store."""
    files: list[VectorStoreFile] = []
    more = True
    while more:
        after = files[-1].id if files else None
        query = PageQuery(where={"vector_store_id": store_id}, limit=1000, order="asc", after=after)
        page, more = tx.page(VectorStoreFile, query)
        files += page
    return files


def _passages(tx: Transaction, ranking: Ranking) -> list[Passage]:
    """The chunks of a ranking with names and attributes; those of detached files are left out."""
    scores = dict(ranking)
    passages: list[Passage] = []
    attached: dict[Key, VectorStoreFile | None] = {}
    names: dict[str, str] = {}
    for one in tx.chunks(list(scores)):
        key = (one.vector_store_id, one.file_id)
        if key not in attached:
            attached[key] = tx.get(VectorStoreFile, "/".join(key))
            file = tx.get(File, one.file_id)
            names[one.file_id] = file.filename if file else one.heading
        record = attached[key]
        if record is not None:
            score = min(1.0, max(0.0, scores[one.id]))
            passages.append(Passage(one, names[one.file_id], score, record.attributes))
    return passages
