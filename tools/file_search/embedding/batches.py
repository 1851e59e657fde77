"""What the embedding model reads next: one batch at a time, queries before passages, texts of like length together.

Texts of several callers share a batch, so that many small files cost no more than a large one. A batch cannot be
interrupted: a query waits for one at most. Lives on one event loop.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from ....engine.errors import ToolFault

Encode = Callable[[list[str]], Awaitable[list[bytes]]]
"""The model: a vector for each text."""

BATCH = 16
"""Texts that the model reads at once."""


class Priority(IntEnum):
    """Who goes first: somebody waits for the answer to a query."""

    QUERY = 0
    PASSAGE = 1


@dataclass(frozen=True, slots=True)
class _Waiting:
    text: str
    length: int
    priority: Priority
    arrival: int
    vector: asyncio.Future[bytes]


class Batches:
    """Puts texts before the model.

    Args:
        encode: the model; never called twice at the same time.
        size: texts in a batch.
    """

    def __init__(self, encode: Encode, size: int = BATCH) -> None:
        self._encode = encode
        self._size = size
        self._waiting: list[_Waiting] = []
        self._arrivals = itertools.count()
        self._work: asyncio.Task[None] | None = None
        self.done = 0  # batches that the model has read

    async def vectors(
        self, texts: Sequence[str], lengths: Sequence[int], priority: Priority
    ) -> list[bytes]:
        """A vector for each text; `lengths` are in any unit that tells long texts from short ones.

        Raises whatever the model raises for one of the batches. Cancelling takes out the texts that wait.
        """
        loop = asyncio.get_running_loop()
        mine = [
            _Waiting(text, length, priority, next(self._arrivals), loop.create_future())
            for text, length in zip(texts, lengths, strict=True)
        ]
        self._waiting += mine
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._go_on())
        return await asyncio.gather(*[one.vector for one in mine])

    async def close(self) -> None:
        """Let the batch at the model come to its end; who waits behind it gets a ToolFault."""
        for one in self._waiting:
            if not one.vector.done():
                one.vector.set_exception(ToolFault("The embedding model was closed."))
        if self._work is not None:
            await self._work

    async def _go_on(self) -> None:
        while batch := self._next():
            try:
                vectors = await self._encode([one.text for one in batch])
            except Exception as error:  # whatever it is, it is the callers'
                for one in batch:
                    if not one.vector.done():
                        one.vector.set_exception(error)
                continue
            self.done += 1
            for one, vector in zip(batch, vectors, strict=True):
                if not one.vector.done():
                    one.vector.set_result(vector)

    def _next(self) -> list[_Waiting]:
        """Take the next batch: the oldest text of the first priority, and others nearest to its length."""
        self._waiting = [one for one in self._waiting if not one.vector.done()]
        if not self._waiting:
            return []
        oldest = min(self._waiting, key=lambda one: (one.priority, one.arrival))
        peers = [one for one in self._waiting if one.priority == oldest.priority]
        peers.sort(key=lambda one: (-one.length, one.arrival))
        start = max(0, min(peers.index(oldest), len(peers) - self._size))
        batch = peers[start : start + self._size]
        taken = {one.arrival for one in batch}
        self._waiting = [one for one in self._waiting if one.arrival not in taken]
        return batch
