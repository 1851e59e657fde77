"""The searchable library: the `Library` port over the store, a vector index and an embedder.

The truth (text, offsets, pages, vectors) is in the store, chunks of a file in one write; the store also matches
keywords. The vector index is a cache of the vectors: where its count differs from the store's, it is filled again from
the stored vectors, without embedding anything twice.

It holds no status, asks nobody's permission, and knows neither runs nor HTTP. A hit whose file is no longer attached
to the vector store is not returned.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from ...engine.errors import StorageFault
from ...engine.objects import StaticChunking
from ...engine.ports import (
    Chunk,
    Indexed,
    Opened,
    Passage,
    SearchQuery,
    Store,
    ToolFile,
    Transaction,
    VectorIndex,
)
from .chunking.chunking import Piece, Sizes, chunk
from .chunking.tokens import pieces as cut_pieces
from .embedding.embedder import Embedder
from .embedding.vectors import pooled
from .opening import opened
from .parsing.documents import PAGE_BREAK, Document
from .parsing.reading import parse
from .searching.rewriting import rewritten
from .searching.searcher import Key, Searcher
from .settings import LibrarySettings

_log = logging.getLogger(__name__)

CHUNK_BYTES = 1024  # what the API counts for a chunk's vector


class FileLibrary:
    """See the port for what each method promises."""

    def __init__(
        self,
        store: Store,
        index: VectorIndex,
        embedder: Embedder,
        settings: LibrarySettings | None = None,
    ) -> None:
        self._store = store
        self._index = index
        self._embedder = embedder
        self._settings = settings or LibrarySettings()
        self._searcher = Searcher(store, index, embedder, self._settings)
        self._adds = asyncio.Semaphore(self._settings.adds)
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._checked: set[str] = set()  # stores whose index was compared with the truth

    @property
    def name(self) -> str:
        """See the port."""
        return "files"

    # --- filling -----------------------------------------------------------------------------------

    async def add(
        self, vector_store_id: str, source: ToolFile, chunking: StaticChunking | None
    ) -> Indexed:
        """Parse, chunk, embed and store a file; a second add replaces the first.

        Raises:
            UnsupportedFile: no parser for its type.
            InvalidRequest: the file cannot be parsed; the message says why.
            MissingDependency: the embedding model is not there; names the command that gets it.
        """
        sizes = Sizes()
        if chunking is not None:
            sizes = Sizes(chunking.max_chunk_size_tokens, chunking.chunk_overlap_tokens)
        name = source.file.filename
        tokenizer = self._embedder.tokenizer
        async with self._adds:
            document = await parse(source.path, name, self._settings.limits)
            if document.unreadable:
                _log.warning("%s: unreadable pages: %s", source.file.id, document.unreadable)
            pieces = await asyncio.to_thread(chunk, document, tokenizer, sizes)
            vectors = await self._embedded(document, pieces)
            key = (vector_store_id, source.file.id)
            chunks = [
                _chunk(key, number, document, piece, vector)
                for number, (piece, vector) in enumerate(zip(pieces, vectors, strict=True))
            ]
            await self._replace(key, chunks)
        text_bytes = len(document.text.encode())
        return Indexed(len(chunks), text_bytes + CHUNK_BYTES * len(chunks))

    async def _embedded(self, document: Document, pieces: Sequence[Piece]) -> list[bytes]:
        """A vector for each piece; one longer than the embedder's window is the mean of its windows."""
        windows = await asyncio.to_thread(self._windows, document, pieces)
        vectors = iter(await self._embedder.encode([text for part in windows for text in part]))
        return await asyncio.to_thread(
            lambda: [
                pooled([next(vectors) for _ in part], [len(t) for t in part]) for part in windows
            ]
        )

    def _windows(self, document: Document, pieces: Sequence[Piece]) -> list[list[str]]:
        tokenizer = self._embedder.tokenizer
        windows: list[list[str]] = []
        for piece in pieces:
            room = max(16, self._embedder.window - tokenizer.count(piece.heading))
            parts = cut_pieces(tokenizer, document.text[piece.start : piece.end], room)
            windows.append([f"{piece.heading}\n{part}" for part in parts])
        return windows

    async def _replace(self, key: Key, chunks: list[Chunk]) -> None:
        store_id, file_id = key

        def change(tx: Transaction) -> None:
            tx.delete_chunks(store_id, file_id)
            tx.put_chunks(chunks)

        async with self._locks[store_id]:
            old = await self._store.read(lambda tx: [c.id for c in tx.file_chunks(*key)])
            # Old vectors go first: should we die on the way, the counts differ, and the index is filled again.
            if old:
                await self._index.delete(store_id, old)
            await self._store.write(change)
            try:
                await self._fill(store_id, chunks)
            except (
                StorageFault
            ):  # the truth is on disk; the next search fills the index or says what is wrong
                self._checked.discard(store_id)
                _log.warning("The vector index did not take file %s.", file_id, exc_info=True)

    async def remove(self, vector_store_id: str, file_id: str) -> None:
        """Forget a file's text and vectors.

        The vectors' bytes may stay in the index's files until the vector store is empty or dropped.
        """
        async with self._locks[vector_store_id]:
            ids = await self._store.write(lambda tx: tx.delete_chunks(vector_store_id, file_id))
            if not ids:
                return
            await self._index.delete(vector_store_id, ids)
            if await self._index.count(vector_store_id) == 0:
                await self._index.drop(vector_store_id)

    async def drop(self, vector_store_id: str) -> None:
        """Forget a whole vector store and erase its vectors."""
        async with self._locks[vector_store_id]:
            await self._store.write(lambda tx: tx.delete_chunks(vector_store_id))
            await self._index.drop(vector_store_id)
            self._checked.discard(vector_store_id)
        self._locks.pop(vector_store_id, None)

    async def _ready(self, store_id: str) -> bool:
        """Bring the index of a store up to the truth, once; whether there is anything to search."""
        async with self._locks[store_id]:
            count = await self._index.count(store_id)
            if store_id in self._checked:
                return count > 0
            chunks = await self._store.read(lambda tx: tx.file_chunks(store_id))
            if count != len(chunks):
                _log.warning("Filling the vector index of %s from the store.", store_id)
                await self._index.drop(store_id)
                await self._fill(store_id, chunks)
            self._checked.add(store_id)
            return bool(chunks)

    async def _fill(self, store_id: str, chunks: list[Chunk]) -> None:
        stored = [(one.id, one.vector) for one in chunks if one.vector is not None]
        await self._index.upsert(store_id, stored)

    async def open(self, source: str, file_id: str, start: int, end: int) -> Opened | None:
        """See the port."""
        return await self._store.read(lambda tx: opened(tx, source, file_id, start, end))

    # --- reading -----------------------------------------------------------------------------------

    async def search(self, query: SearchQuery) -> list[Passage]:
        """The passages that answer any of the queries best; scores are relative to this search.

        Raises:
            InvalidRequest: the filters are none (param filters).
        """
        ids = dict.fromkeys(query.vector_store_ids)
        stores = tuple([store for store in ids if await self._ready(store)])
        return await self._searcher.search(replace(query, vector_store_ids=stores))

    def rewritten(self, queries: Sequence[str]) -> tuple[str, ...]:
        """See the port."""
        return rewritten(queries)

    async def text(self, vector_store_id: str, file_id: str) -> str:
        """The parsed text of an indexed file ("" when it has none)."""
        chunks = await self._store.read(lambda tx: tx.file_chunks(vector_store_id, file_id))

        parts: list[str] = []
        end = 0
        for one in chunks:
            gap = one.start - end
            parts.append(PAGE_BREAK if gap > 0 else "")
            parts.append(one.text[max(0, -gap) :])
            end = max(end, one.end)
        return "".join(parts)

    async def close(self) -> None:
        """Close the index and the embedder too: they serve this library alone. The store stays open."""
        await self._index.close()
        await self._embedder.close()


def _chunk(key: Key, number: int, document: Document, piece: Piece, vector: bytes) -> Chunk:
    store_id, file_id = key
    return Chunk(
        id=f"{store_id}/{file_id}/{number}",  # the same at each add; searching reads the key from it
        vector_store_id=store_id,
        file_id=file_id,
        index=number,
        text=document.text[piece.start : piece.end],
        start=piece.start,
        end=piece.end,
        page=piece.page,
        heading=piece.heading,
        vector=vector,
    )
