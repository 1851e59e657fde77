"""A second look at the best passages by a model that reads query and passage together.

Where the operator names such a model, the first passages are put into a new order: its scores are mixed half and half
with those of the fusion, as either errs in its own way. The rest keep their places behind.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from ....engine.ports import Passage

READ = 20
"""Passages read again, for each query; each costs the model about as much as embedding it."""
_SHARE = 0.5  # of the model's say


class Reranker(Protocol):
    """Judges how well passages answer a query, whatever runs it."""

    async def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """One score of 0..1 for each text: how well it answers `query`.

        Raises:
            MissingDependency: the model is not here; names the command or the setting.
            ToolFault: the model fails.
        """
        ...

    async def close(self) -> None: ...


async def reranked(
    reranker: Reranker, queries: Sequence[str], passages: Sequence[Passage]
) -> list[Passage]:
    """`passages` (best first) with the first ones in a new order; each counts by the query it answers best.

    Raises:
        MissingDependency, ToolFault: see `Reranker.scores`.
    """
    if not passages:
        return []
    first = passages[:READ]
    texts = [passage.chunk.text for passage in first]
    judged = [await reranker.scores(query, texts) for query in queries]
    best = [max(scores) for scores in zip(*judged, strict=True)]
    mixed = [
        replace(passage, score=(1 - _SHARE) * passage.score + _SHARE * score)
        for passage, score in zip(first, best, strict=True)
    ]
    mixed.sort(key=lambda passage: -passage.score)
    least = mixed[-1].score
    rest = [replace(one, score=min(one.score, least)) for one in passages[READ:]]
    return [*mixed, *rest]
