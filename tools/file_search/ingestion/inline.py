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
from ..embedding.folder import Prompts
from ..embedding.windows import Passage, Windows, windows
from ..parsing.documents import Document
from ..parsing.limits import ParseLimits
from ..parsing.supervisor import Parser
from .worker import Extracted, ExtractedChunk


class InlineWorker:
    """See the port for what each method promises. Belongs to one event loop.

    Args:
        embedder: makes the vectors; closed with the worker.
        recipe: names what chunks and vectors depend on.
        limits: what parsing a file may take.
        batch: texts that the model reads at once.
        prompts: what the model wants in front of a text.
    """

    def __init__(
        self,
        embedder: Embedder,
        recipe: str = "inline",
        *,
        limits: ParseLimits | None = None,
        batch: int = BATCH,
        prompts: Prompts | None = None,
    ) -> None:
        self._embedder = embedder
        self._recipe = recipe
        self._parser = Parser(limits)
        self._prompts = prompts or Prompts()
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
        document = await self._parser.parse(path, filename)
        self._files += 1
        return await asyncio.to_thread(self._extracted, document, filename, sizes)

    async def embed(self, passages: Sequence[Passage]) -> list[bytes]:
        """A vector for each passage, in batches between which queries get their turn."""
        return await self._vectors(passages, self._prompts.passage, Priority.PASSAGE)

    async def encode(self, queries: Sequence[str]) -> list[bytes]:
        """A vector for each query, before any passage that waits."""
        passages = [("", query) for query in queries]
        return await self._vectors(passages, self._prompts.query, Priority.QUERY)

    async def close(self) -> None:
        await self._parser.close()
        await self._batches.close()
        await self._embedder.close()

    async def _vectors(
        self, passages: Sequence[Passage], prompt: str, priority: Priority
    ) -> list[bytes]:
        made = await asyncio.to_thread(self._windows, passages, prompt)
        vectors = await self._batches.vectors(made.texts, made.tokens, priority)
        return await asyncio.to_thread(made.pooled, vectors)

    def _windows(self, passages: Sequence[Passage], prompt: str) -> Windows:
        return windows(passages, self._embedder.tokenizer, self._embedder.window, prompt)

    def _extracted(self, document: Document, filename: str, sizes: Sizes) -> Extracted:
        pieces = chunk(document, self._embedder.tokenizer, sizes)
        chunks = tuple(_chunk(document, piece) for piece in pieces)
        return Extracted(len(document.text.encode()), chunks, document.unreadable)


def _chunk(document: Document, piece: Piece) -> ExtractedChunk:
    text = document.text[piece.start : piece.end]
    return ExtractedChunk(piece.start, piece.end, piece.page, piece.heading, text)
