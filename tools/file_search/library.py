"""The searchable library: the `Library` port over the store, a vector index and a worker.

The truth (text, offsets, pages, vectors, words) is in the store; how a file gets there is the pipeline's business, how
it is found the searcher's. The vector index is a cache of the vectors and is filled behind the store.

It holds no status, asks nobody's permission, and knows neither runs nor HTTP. A hit whose file is no longer attached
to the vector store is not returned.
"""

from collections.abc import Sequence
from pathlib import Path

from ...engine.errors import MissingDependency
from ...engine.objects import StaticChunking, VectorStoreFile
from ...engine.ports import (
    Indexed,
    Opened,
    Passage,
    SearchQuery,
    Store,
    ToolFile,
    Transaction,
    VectorIndex,
)
from ...engine.services.health import Checkable
from ...engine.states import StoreFileStatus
from .ingestion.pipeline import Pipeline
from .ingestion.worker import QueryEncoder, Worker
from .opening import joined, opened
from .searching.cross_encoder import CrossEncoder
from .searching.nearest import Nearest
from .searching.rewriting import rewritten
from .searching.searcher import Searcher
from .settings import LibrarySettings

_ATTACHED = frozenset({StoreFileStatus.IN_PROGRESS, StoreFileStatus.COMPLETED})


class FileLibrary:
    """See the port for what each method promises.

    Args:
        store: the truth; stays open when the library is closed.
        index: neighbours in large vector stores; closed with the library.
        worker: reads and embeds files; closed with the library.
        encoder: embeds queries, closed with the library; None: the worker does.
        settings: how it works.
    """

    def __init__(
        self,
        store: Store,
        index: VectorIndex,
        worker: Worker,
        encoder: QueryEncoder | None = None,
        settings: LibrarySettings | None = None,
    ) -> None:
        settings = settings or LibrarySettings()
        self._store = store
        self._worker = worker
        self._encoder: QueryEncoder = encoder or worker
        self._nearest = Nearest(store, index, settings.index)
        self._pipeline = Pipeline(store, self._nearest, worker, settings)
        self._reranker = _reranker(settings)
        self._searcher = Searcher(store, self._nearest, self._encoder, settings, self._reranker)

    @property
    def name(self) -> str:
        """What people call it as a source of passages."""
        return "files"

    async def add(
        self, vector_store_id: str, source: ToolFile, chunking: StaticChunking | None
    ) -> Indexed:
        """Parse, chunk, embed and store a file; a second add replaces the first, as far as it differs.

        Raises:
            UnsupportedFile: no parser for its type.
            InvalidRequest: the file cannot be parsed, or is not attached to the store; the message says why.
            MissingDependency: the embedding model is not there; names the command that gets it.
        """
        return await self._pipeline.add(vector_store_id, source, chunking)

    async def remove(self, vector_store_id: str, file_id: str) -> None:
        """Forget a file's text and vectors, unless it was attached again meanwhile."""

        def erase(tx: Transaction) -> None:
            record = tx.get(VectorStoreFile, f"{vector_store_id}/{file_id}")
            if record is None or record.status not in _ATTACHED:
                tx.delete_chunks(vector_store_id, file_id)

        await self._store.write(erase)
        await self._nearest.removed(vector_store_id)

    async def drop(self, vector_store_id: str) -> None:
        """Forget a whole vector store and erase its vectors."""
        await self._store.write(lambda tx: tx.delete_chunks(vector_store_id))
        await self._nearest.dropped(vector_store_id)

    async def search(self, query: SearchQuery) -> list[Passage]:
        """The passages that answer any of the queries best; scores are relative to this search.

        Raises:
            InvalidRequest: the filters are none (param filters).
        """
        return await self._searcher.search(query)

    async def check(self) -> None:
        """Return if files and queries can be embedded (engine.services.health.Checkable).

        Raises:
            MissingDependency: the embedding model is not there; the sentence that a file and a search give.
        """
        if isinstance(self._worker, Checkable):
            await self._worker.check()

    def rewritten(self, queries: Sequence[str]) -> tuple[str, ...]:
        """What is searched in place of `queries` when a query asks for `rewrite`."""
        return rewritten(tuple(queries))

    async def text(self, vector_store_id: str, file_id: str) -> str:
        """The parsed text of an indexed file ("" when it has none)."""
        chunks = await self._store.read(lambda tx: tx.file_chunks(vector_store_id, file_id))
        return joined(chunks)[1] if chunks else ""

    async def open(self, source: str, file_id: str, start: int, end: int) -> Opened | None:
        """A stretch of an indexed file on its page; None when there is no such text."""
        return await self._store.read(lambda tx: opened(tx, source, file_id, start, end))

    async def close(self) -> None:
        """Close index, worker and encoder too: they serve this library alone. The store stays open."""
        await self._nearest.close()
        await self._worker.close()
        if self._encoder is not self._worker:
            await self._encoder.close()
        if self._reranker is not None:
            await self._reranker.close()


def _reranker(settings: LibrarySettings) -> CrossEncoder | None:
    if settings.reranker is None:
        return None
    folder = Path(settings.reranker).expanduser()
    if not (folder / "config.json").is_file():
        raise MissingDependency(
            "There is no reranking model where `reranker` in the settings file says; correct it or leave it out.",
            detail=str(folder),
        )
    return CrossEncoder(folder, settings.worker.threads)
