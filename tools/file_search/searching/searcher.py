"""One search: nearest vectors and matching words of several stores and queries, fused, with filters.

Attribute filters are resolved to files first; only those are searched. Each query's candidates are the best of either
way of searching, and every candidate is then judged by both, and by its file. It changes nothing.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from ....engine.objects import File, VectorStoreFile
from ....engine.ports import Passage, SearchQuery, Store, Transaction
from ..embedding.vectors import cosines
from ..ingestion.worker import QueryEncoder
from ..settings import LibrarySettings
from .filters import compiled
from .joining import joined
from .nearest import Nearest
from .ranking import Evidence, Ranking, Scores, Weights, best_of, file_key, fused, fused_by_rank
from .reranking import Reranker, reranked
from .rewriting import rewritten

_MEANT = 4000  # characters of a query whose meaning is looked for: a thousand tokens, some windows of the model
_SPARE = 20  # chunks beside twice as many as are wanted: some are joined, some repeat others
_UNRANKED = "none"  # the contract's name for a search without more than fusing

Key = tuple[str, str]
"""(vector store id, file id)."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """One of the queries, and where it is looked for."""

    text: str
    vector: bytes | None  # None: only words count
    nearest: Ranking
    stores: Sequence[str]
    allowed: frozenset[Key] | None
    by_files: bool  # whether what speaks for whole files counts


class Searcher:
    """Searches vector stores.

    Args:
        store: where texts, words and vectors are.
        nearest: finds the nearest vectors.
        encoder: embeds queries.
        settings: of the library.
        reranker: reads the best candidates once more; None: the fused order stays.
    """

    def __init__(
        self,
        store: Store,
        nearest: Nearest,
        encoder: QueryEncoder,
        settings: LibrarySettings,
        reranker: Reranker | None = None,
    ) -> None:
        self._store = store
        self._nearest = nearest
        self._encoder = encoder
        self._settings = settings
        self._reranker = reranker

    async def search(self, query: SearchQuery) -> list[Passage]:
        """See the port."""
        texts = rewritten(query.queries) if query.rewrite else query.queries
        allowed = await self._allowed(query)
        if not query.vector_store_ids or not texts or allowed == frozenset():
            return []
        asked = await self._asked(query, texts, allowed)
        found = await asyncio.gather(
            *(self._store.read(partial(self._evidence, asked=one)) for one in asked)
        )
        ranking = best_of(self._scores(query, one) for one in found)
        ranking = ranking[: _SPARE + 2 * query.max_results]
        passages = await self._store.read(lambda tx: _passages(tx, ranking))
        return await self._chosen(query, texts, passages)

    async def _allowed(self, query: SearchQuery) -> frozenset[Key] | None:
        """The files that the filters leave; None without filters."""
        filters = query.filters
        if filters is None:
            return None
        compiled(filters)
        found = await self._store.read(
            lambda tx: tx.matching_files(query.vector_store_ids, filters)
        )
        return frozenset(found)

    async def _asked(
        self, query: SearchQuery, texts: Sequence[str], allowed: frozenset[Key] | None
    ) -> list[_Asked]:
        stores = tuple(dict.fromkeys(query.vector_store_ids))
        by_files = query.ranker != _UNRANKED and query.hybrid is None
        if query.hybrid is not None and not query.hybrid.embedding_weight:
            return [_Asked(text, None, (), stores, allowed, by_files) for text in texts]
        vectors = await self._encoder.encode([text[:_MEANT] for text in texts])
        most = self._settings.candidates
        rankings = await self._nearest.nearest(stores, vectors, most, allowed)
        return [
            _Asked(text, vector, ranking, stores, allowed, by_files)
            for text, vector, ranking in zip(texts, vectors, rankings, strict=True)
        ]

    def _evidence(self, tx: Transaction, asked: _Asked) -> Evidence:
        """What speaks for each candidate of a query; runs on a reader's thread."""
        matches = _matches(tx, asked, self._settings.candidates)
        best = [id_ for id_, _ in matches[: self._settings.candidates]]
        ids = list(dict.fromkeys([*(id_ for id_, _ in asked.nearest), *best]))
        near = _cosines(tx, asked, ids)
        words = dict(matches)
        found = Evidence(near, {id_: words[id_] for id_ in ids if id_ in words})
        return _with_files(tx, asked, found) if asked.by_files else found

    def _scores(self, query: SearchQuery, found: Evidence) -> Scores:
        if query.hybrid is not None:
            return fused_by_rank(found, query.hybrid)
        return fused(found, Weights(self._settings.dense_weight, self._settings.file_weight))

    async def _chosen(
        self, query: SearchQuery, texts: Sequence[str], passages: list[Passage]
    ) -> list[Passage]:
        """The passages to return: reread, above the threshold, joined; best first."""
        if query.ranker == _UNRANKED:
            wanted = [one for one in passages if one.score >= query.score_threshold]
            return wanted[: query.max_results]
        if self._reranker is not None:
            passages = await reranked(self._reranker, texts, passages)
        wanted = [one for one in passages if one.score >= query.score_threshold]
        return await asyncio.to_thread(joined, wanted, query.max_results)


def _matches(tx: Transaction, asked: _Asked, wanted: int) -> Ranking:
    """The best `wanted` matches of the words in the allowed files, and how the nearest chunks match."""
    near = [id_ for id_, _ in asked.nearest]
    if asked.allowed is None:
        return tx.match_chunks(asked.stores, asked.text, wanted, also=near)
    files = {file for _, file in asked.allowed}
    found = tx.match_chunks(asked.stores, asked.text, wanted, files, also=near)
    return [hit for hit in found if _key(hit[0]) in asked.allowed]


def _with_files(tx: Transaction, asked: _Asked, found: Evidence) -> Evidence:
    """The evidence with what names and beginnings of the candidates' files say."""
    keys = {file_key(id_) for id_ in [*found.cosines, *found.words]}
    named = tx.match_files(asked.stores, asked.text, 1, also=keys)
    openings = _cosines(tx, asked, [f"{key}/0" for key in sorted(keys)])
    return replace(
        found,
        openings={file_key(id_): score for id_, score in openings.items()},
        files={key: relevance for key, relevance in named if key in keys},
    )


def _cosines(tx: Transaction, asked: _Asked, ids: Sequence[str]) -> dict[str, float]:
    """How near the chunks' vectors are to the query's; chunks without one are left out."""
    if asked.vector is None:
        return {}
    stored = tx.vectors(ids)
    return dict(zip(stored, cosines(asked.vector, list(stored.values())), strict=True))


def _key(chunk_id: str) -> Key:
    store_id, file_id, _ = chunk_id.split("/")
    return store_id, file_id


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
