"""Exact search: the vectors of whole stores as matrices, kept in memory within a budget.

Nothing here notices that vectors changed: who changes them calls `forget`. numpy is imported at first use.
"""

import asyncio
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from ....engine.ports import Store, Transaction
from .ranking import Ranking

_SLICE = 1000  # vectors copied at once: what is read must not be in memory twice
_MOST_GATHERED = (
    0.25  # of the rows; beyond it is faster to score all of them and to pick afterwards
)


@dataclass(frozen=True, slots=True)
class Matrix:
    """Vectors as rows (float32), with their chunk ids and where each file's rows lie (start, end)."""

    ids: list[str]
    rows: Any
    files: dict[str, tuple[int, int]]

    @property
    def size(self) -> int:
        """Bytes of the vectors."""
        return int(self.rows.nbytes)

    def nearest(
        self, vectors: Sequence[bytes], limit: int, files: Collection[str] | None
    ) -> list[Ranking]:
        """For each vector the `limit` rows of greatest cosine among those of `files` (None: all), exactly."""
        import numpy as np

        if not self.ids:
            return [[] for _ in vectors]
        places = None if files is None else self._places(files)
        gathered = places is not None and len(places) <= _MOST_GATHERED * len(self.ids)
        rows = self.rows[places] if gathered else self.rows
        found: list[Ranking] = []
        for vector in vectors:
            # Not `@`: BLAS would take every core, and waits long for one that a language model has.
            scores = np.einsum("ij,j->i", rows, np.frombuffer(vector, "<f4"))
            if places is not None and not gathered:
                scores = scores[places]
            found.append(self._best(scores, places, limit))
        return found

    def _places(self, files: Collection[str]) -> Any:
        import numpy as np

        spans = [np.arange(*self.files[file]) for file in sorted(files) if file in self.files]
        return np.concatenate(spans) if spans else np.empty(0, np.int64)

    def _best(self, scores: Any, places: Any, limit: int) -> Ranking:
        import numpy as np

        limit = min(limit, len(scores))
        if limit < 1:
            return []
        best = np.argpartition(-scores, limit - 1)[:limit]
        best = best[np.argsort(-scores[best], kind="stable")]
        rows: list[int] = (best if places is None else places[best]).tolist()
        values: list[float] = scores[best].tolist()
        return [(self.ids[row], value) for row, value in zip(rows, values, strict=True)]


def matrix_of(stored: Sequence[tuple[str, bytes]]) -> Matrix:
    """A matrix of (chunk id, vector) in order of their files."""
    import numpy as np

    width = len(stored[0][1]) // 4 if stored else 0
    rows = np.empty((len(stored), width), "<f4")
    for start in range(0, len(stored), _SLICE):
        part = stored[start : start + _SLICE]
        joined = b"".join(vector for _, vector in part)
        rows[start : start + len(part)] = np.frombuffer(joined, "<f4").reshape(len(part), width)
    ids = [id_ for id_, _ in stored]
    return Matrix(ids, rows, _files(ids))


def _files(ids: Sequence[str]) -> dict[str, tuple[int, int]]:
    """The stretch of rows of each file; ids are "store/file/index"."""
    files: dict[str, tuple[int, int]] = {}
    for row, id_ in enumerate(ids):
        file = id_.split("/", 2)[1]
        files[file] = (files.get(file, (row, row))[0], row + 1)
    return files


class Matrices:
    """Matrices of vector stores, read from the store when first needed; the longest unused make room for others."""

    def __init__(self, store: Store, budget: int) -> None:
        self._store = store
        self._budget = budget  # bytes
        self._kept: OrderedDict[str, Matrix] = OrderedDict()
        self._changes: Counter[str] = Counter()
        self._reading: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def fits(self, size: int) -> bool:
        """Whether so many bytes of vectors can be kept at all."""
        return size <= self._budget

    def keeps(self, store_id: str) -> bool:
        """Whether the store's matrix is in memory."""
        return store_id in self._kept

    async def get(self, store_id: str) -> Matrix:
        """All vectors of a store, as they were when this was called or later."""
        async with self._reading[store_id]:
            kept = self._kept.get(store_id)
            if kept is not None:
                self._kept.move_to_end(store_id)
                return kept
            changes = self._changes[store_id]
            matrix = await self.read(store_id)
            if changes == self._changes[store_id]:  # else it may be old already
                self._keep(store_id, matrix)
            return matrix

    async def read(self, store_id: str, files: Collection[str] | None = None) -> Matrix:
        """The vectors of a store or of some of its files, straight from the store; not kept."""

        def query(tx: Transaction) -> Matrix:
            return matrix_of(tx.store_vectors(store_id, files))

        return await self._store.read(query)

    def forget(self, store_id: str) -> None:
        """The store's vectors changed."""
        self._changes[store_id] += 1
        self._kept.pop(store_id, None)

    def _keep(self, store_id: str, matrix: Matrix) -> None:
        if not self.fits(matrix.size):
            return
        self._kept[store_id] = matrix
        while sum(each.size for each in self._kept.values()) > self._budget:
            self._kept.popitem(last=False)
