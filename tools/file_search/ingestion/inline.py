"""The `Worker` port in this process: the model on a thread, each file parsed in a child process.

The worker process runs one of these behind its socket; tests and embedders that cannot be named to another process use
it directly. What the embedding model breaks here breaks with this process.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from ..chunking.chunking import Piece, Sizes, chunk
from ..embedding.batches import BATCH, Batches, Priority
from ..embedding.embedder import Embedder
from ..embedding.windows import Passage, Windows, windows
from ..parsing.documents import Document
from ..parsing.reading import ParseLimits, parse
from .worker import Extracted, ExtractedChunk


class InlineWorker:
    """See the port for what each method promises. Belongs to one event loop.

    Args:
        embedder: makes the vectors; closed with the worker.
        recipe: names what chunks and vectors depend on.
        limits: what parsing a file may take.
        batch: texts that the model reads at once.
    """

    def __init__(
        self,
        embedder: Embedder,
        recipe: str = "inline",
        *,
        limits: ParseLimits | None = None,
        batch: int = BATCH,
    ) -> None:
        self._embedder = embedder
        self._recipe = recipe
        self._limits = limits or ParseLimits()
        self._batches = Batches(embedder.encode, batch)
        self._files = 0

    @property
    def steps(self) -> int:
        """Files parsed and batches embedded so far: a sign of life."""
        return self._files + self._batches.done

    @property
    def recipe(self) -> str:
        return self._recipe

    async def extract(self, path: Path, filename: str, sizes: Sizes) -> Extracted:
        """Parse the file in a child process and cut it on a thread."""
        document = await parse(path, filename, self._limits)
        self._files += 1
        return await asyncio.to_thread(self._extracted, document, filename, sizes)

    async def embed(self, passages: Sequence[Passage]) -> list[bytes]:
        """A vector for each passage, in batches between which queries get their turn."""
        made = await asyncio.to_thread(self._windows, passages)
        vectors = await self._batches.vectors(made.texts, made.tokens, Priority.PASSAGE)
        return await asyncio.to_thread(made.pooled, vectors)

    async def encode(self, queries: Sequence[str]) -> list[bytes]:
        """A vector for each query, before any passage that waits."""
        return await self._batches.vectors(queries, [len(q) for q in queries], Priority.QUERY)

    async def close(self) -> None:
        await self._batches.close()
        await self._embedder.close()

    def _windows(self, passages: Sequence[Passage]) -> Windows:
        return windows(passages, self._embedder.tokenizer, self._embedder.window)

    def _extracted(self, document: Document, filename: str, sizes: Sizes) -> Extracted:
        pieces = chunk(document, filename, self._embedder.tokenizer, sizes)
        chunks = tuple(_chunk(document, filename, piece) for piece in pieces)
        return Extracted(len(document.text.encode()), chunks, document.unreadable)


def _chunk(document: Document, filename: str, piece: Piece) -> ExtractedChunk:
    heading = piece.heading.removeprefix(filename).removeprefix(" > ")
    text = document.text[piece.start : piece.end]
    return ExtractedChunk(piece.start, piece.end, piece.page, heading, text)
