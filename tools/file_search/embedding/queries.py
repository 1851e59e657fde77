"""Queries to vectors without the worker process, where that can be done; the worker does it where not.

A model that fails here is not tried again: its vectors and the worker's are the same but for rounding, so nobody
notices but by the time that it takes.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

from ....engine.errors import MissingDependency, ToolFault
from .embedder import Embedder
from .windows import windows

_log = logging.getLogger(__name__)
_REMEMBERED = 256  # queries; a page of results, a retry and a second store ask the same again


class Encoder(Protocol):
    """Makes a vector of each query, whatever runs the model."""

    async def encode(self, queries: Sequence[str]) -> list[bytes]: ...


class LocalQueries:
    """An embedding model in this process, for queries only.

    Args:
        embedder: the model; closed with this.
        worker: who else can encode; not closed.
        prompt: what the model wants in front of a query.
    """

    def __init__(self, embedder: Embedder, worker: Encoder, prompt: str = "") -> None:
        self._embedder = embedder
        self._worker = worker
        self._prompt = prompt
        self._failed = False
        self._known: OrderedDict[str, bytes] = OrderedDict()

    async def encode(self, queries: Sequence[str]) -> list[bytes]:
        """A vector for each query: float32, little endian, L2-normalised.

        Raises whatever the worker raises where it has to do the work.
        """
        new = [query for query in dict.fromkeys(queries) if query not in self._known]
        made = dict(zip(new, await self._encoded(new), strict=True)) if new else {}
        found = [made[query] if query in made else self._known[query] for query in queries]
        self._remember(dict(zip(queries, found, strict=True)))
        return found

    async def close(self) -> None:
        """Let go of the model. May be called twice."""
        await self._embedder.close()

    async def _encoded(self, queries: list[str]) -> list[bytes]:
        if not self._failed:
            try:
                return await self._here(queries)
            except (MissingDependency, ToolFault) as error:
                self._failed = True
                _log.warning("Queries are embedded by the worker process: %s", error)
        return await self._worker.encode(queries)

    async def _here(self, queries: list[str]) -> list[bytes]:
        model = self._embedder
        passages = [("", query) for query in queries]
        made = await asyncio.to_thread(
            lambda: windows(passages, model.tokenizer, model.window, self._prompt)
        )
        return made.pooled(await model.encode(made.texts))

    def _remember(self, vectors: dict[str, bytes]) -> None:
        for query, vector in vectors.items():
            self._known[query] = vector
            self._known.move_to_end(query)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
