"""A store with vectors in it, a vector index beside it, and what searches both."""

import random
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from local_assistants.engine.objects import VectorStore
from local_assistants.engine.ports import Chunk, Transaction, VectorIndex
from local_assistants.engine.states import StoreStatus
from local_assistants.storage.sqlite import SQLiteSettings, SQLiteStore
from local_assistants.storage.vectors.index import open_index
from local_assistants.tools.file_search.searching.nearest import Nearest
from local_assistants.tools.file_search.settings import IndexSettings
from tests.support.vectors import packed

SMALL = IndexSettings(exact_vectors=50, collection_from=40, quiet_seconds=0.0)
"""More than 50 vectors are a large store here."""


@dataclass(frozen=True)
class VectorRoom:
    """What lies in `folder`: `store.db` and `vectors`."""

    folder: Path
    store: SQLiteStore
    index: VectorIndex
    nearest: Nearest

    async def put(self, store_id: str, file_id: str, vectors: Sequence[bytes]) -> None:
        """Commit a file of so many chunks, and say so."""
        chunks = [
            Chunk(f"{store_id}/{file_id}/{at}", store_id, file_id, at, "text", at, at + 4, None, "", vector)
            for at, vector in enumerate(vectors)
        ]  # fmt: skip

        def change(tx: Transaction) -> None:
            if tx.get(VectorStore, store_id) is None:
                tx.put(VectorStore(id=store_id, created_at=1, status=StoreStatus.COMPLETED))
            tx.put_chunks(chunks)

        await self.store.write(change)
        await self.nearest.added(store_id, [(one.id, one.vector or b"") for one in chunks])

    async def remove(self, store_id: str, file_id: str) -> None:
        """Take a file out, and say so."""
        await self.store.write(lambda tx: tx.delete_chunks(store_id, file_id))
        await self.nearest.removed(store_id)

    async def drop(self, store_id: str) -> None:
        """Delete a store's chunks, and say so."""
        await self.store.write(lambda tx: tx.delete_chunks(store_id))
        await self.nearest.dropped(store_id)

    async def found(
        self,
        store_id: str,
        vector: bytes,
        limit: int,
        files: Collection[str] | None = None,
    ) -> list[str]:
        """Ids of the nearest chunks of one store."""
        keys = None if files is None else {(store_id, file) for file in files}
        (ranking,) = await self.nearest.nearest([store_id], [vector], limit, keys)
        return [id_ for id_, _ in ranking]

    async def expected(
        self,
        store_id: str,
        vector: bytes,
        limit: int,
        files: Collection[str] | None = None,
    ) -> list[str]:
        """The same by arithmetic over what the store holds."""
        stored = await self.store.read(lambda tx: tx.store_vectors(store_id, files))
        query = np.frombuffer(vector, "<f4")
        scores = {id_: float(np.frombuffer(each, "<f4") @ query) for id_, each in stored}
        return sorted(scores, key=lambda id_: -scores[id_])[:limit]


@asynccontextmanager
async def vector_room(
    folder: Path, settings: IndexSettings = SMALL, address: str | None = None
) -> AsyncIterator[VectorRoom]:
    """A room over what lies in `folder`, closed afterwards."""
    store = SQLiteStore.open(folder / "store.db", SQLiteSettings("normal"))
    index = open_index(folder / "vectors", address)
    nearest = Nearest(store, index, settings)
    yield VectorRoom(folder, store, index, nearest)
    await nearest.close()
    await store.close()


def units(number: int, seed: int = 1) -> list[bytes]:
    """Vectors of length 1 exactly, which every index keeps bit by bit, all different."""
    bits = random.Random(seed)
    return [packed([bits.choice((-0.125, 0.125)) for _ in range(64)]) for _ in range(number)]


def question(seed: int = 1) -> bytes:
    """A vector that is equally near to no two of `units`."""
    numbers = np.random.default_rng(seed).standard_normal(64)
    return (numbers / np.linalg.norm(numbers)).astype("<f4").tobytes()


def holders(folder: Path, probe: bytes) -> list[str]:
    """Names of the files below `folder` whose bytes contain `probe`."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path.name for path in files if probe in path.read_bytes()]
