"""The dense index over Chroma: one collection per vector store, holding ids and vectors only.

It is a cache of vectors whose truth is the Store: a caller compares `count` with its own and fills the index again.
Changes wait for each other on one thread, queries on another, so that a search does not wait for a batch. Chroma is
imported and opened at first use, and not at all while there is nothing to find.

It does not know texts, files or stores, nor where the collections lie (`homes`), and does not promise that vectors
survive.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ...engine.errors import AssistantsError, StorageFault
from .homes import Home, fault

T = TypeVar("T")

_BATCH = 1000  # Chroma takes at most 5,461 records at once
# One thread builds a graph faster than two that share two cores with a model (docs/decisions/0022).
_GRAPH = {"hnsw": {"space": "cosine", "sync_threshold": 1000, "num_threads": 1}}


class ChromaIndex:
    """`ports.VectorIndex` over the collections of a home. `index.open_index` makes one.

    `mine` says whether this process may use it; of several on one home one may.
    """

    def __init__(self, home: Home, mine: Callable[[], bool] = lambda: True) -> None:
        self._home = home
        self._mine = mine
        self._changes = ThreadPoolExecutor(1, thread_name_prefix="vector-index")
        self._queries = ThreadPoolExecutor(1, thread_name_prefix="vector-query")
        self._opening = threading.Lock()
        self._client: Any = None  # Chroma's types differ between its versions
        self._closed = False
        self._collections: dict[str, Any] = {}

    async def upsert(self, collection: str, vectors: Sequence[tuple[str, bytes]]) -> None:
        """Insert or replace; the collection is made when it is not there.

        Raises:
            StorageFault: Chroma or the disk refuses.
        """
        await self._call(self._changes, self._upsert, collection, vectors)

    async def query(
        self, collection: str, vectors: Sequence[bytes], limit: int
    ) -> list[list[tuple[str, float]]]:
        """For each vector (id, cosine similarity -1..1), best first; an unknown collection is empty.

        Raises:
            StorageFault: Chroma fails.
        """
        return await self._call(self._queries, self._query, collection, vectors, limit)

    async def delete(self, collection: str, ids: Sequence[str]) -> None:
        """Remove what there is of `ids`. Their bytes stay in Chroma's files until the collection is dropped."""
        await self._call(self._changes, self._delete, collection, ids)

    async def drop(self, collection: str) -> None:
        """Remove a collection and erase its vectors; unknown ones are dropped already."""
        await self._call(self._changes, self._drop, collection)

    async def count(self, collection: str) -> int:
        """Number of vectors, 0 for an unknown collection."""
        return await self._call(self._changes, self._count, collection)

    async def names(self) -> list[str]:
        """Names of all collections of this installation."""
        return await self._call(self._changes, self._names)

    async def close(self) -> None:
        """Let go of the home and end the threads. May be called twice; nothing else can be called after."""
        if self._closed:
            return
        self._closed = True
        await asyncio.to_thread(self._queries.shutdown)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._changes, self._guarded, self._close, ())
        await asyncio.to_thread(self._changes.shutdown)

    async def _call(self, thread: ThreadPoolExecutor, work: Callable[..., T], *args: Any) -> T:
        if self._closed:
            raise StorageFault("The vector index is closed; open it again to use it.")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(thread, self._guarded, work, args)

    def _guarded(self, work: Callable[..., T], args: tuple[Any, ...]) -> T:
        """Chroma's errors in our own tree."""
        try:
            return work(*args)
        except AssistantsError:
            raise
        except Exception as error:
            self._forget()
            raise fault(error) from error
        except BaseException as error:
            if type(error).__name__ == "PanicException":  # Chroma's Rust half gave up
                self._forget()
                raise fault(error) from error
            raise

    def _forget(self) -> None:
        """After a failure: what was opened may be gone."""
        with self._opening:
            self._collections.clear()
            if self._client is not None:
                self._client = self._home.recovered(self._client)

    # --- on the index's own threads ---

    def _upsert(self, name: str, vectors: Sequence[tuple[str, bytes]]) -> None:
        if not vectors:
            return
        collection = self._collection(name)
        if collection is None:
            collection = self._opened().create_collection(
                name, embedding_function=None, configuration=_GRAPH, get_or_create=True
            )
            self._collections[name] = collection
        for start in range(0, len(vectors), _BATCH):
            batch = vectors[start : start + _BATCH]
            rows = _rows([vector for _, vector in batch])
            collection.upsert(ids=[id_ for id_, _ in batch], embeddings=rows)

    def _query(
        self, name: str, vectors: Sequence[bytes], limit: int
    ) -> list[list[tuple[str, float]]]:
        collection = self._collection(name)
        if collection is None or not vectors:
            return [[] for _ in vectors]
        found = collection.query(
            query_embeddings=_rows(vectors), n_results=limit, include=["distances"]
        )
        return [
            [
                (str(id_), 1.0 - float(distance))
                for id_, distance in zip(ids, distances, strict=True)
            ]
            for ids, distances in zip(found["ids"], found["distances"], strict=True)
        ]

    def _delete(self, name: str, ids: Sequence[str]) -> None:
        collection = self._collection(name)
        if collection is None:
            return
        for start in range(0, len(ids), _BATCH):
            collection.delete(ids=list(ids[start : start + _BATCH]))

    def _count(self, name: str) -> int:
        collection = self._collection(name)
        return 0 if collection is None else int(collection.count())

    def _drop(self, name: str) -> None:
        if self._collection(name) is not None:
            self._collections.pop(name, None)
            self._home.erase(self._opened(), name)

    def _names(self) -> list[str]:
        if self._is_empty():
            return []
        return [str(each.name) for each in self._opened().list_collections()]

    def _collection(self, name: str) -> Any:
        """The collection, None when there is none of that name."""
        if self._is_empty():
            return None
        client = self._opened()
        if name not in self._collections:
            from chromadb.errors import NotFoundError

            try:
                self._collections[name] = client.get_collection(name, embedding_function=None)
            except NotFoundError:
                return None
        return self._collections[name]

    def _is_empty(self) -> bool:
        return self._client is None and self._home.is_empty()

    def _opened(self) -> Any:
        with self._opening:
            if self._client is None:
                self._check_owner()
                self._client = self._home.open()
            return self._client

    def _check_owner(self) -> None:
        if not self._mine():
            raise StorageFault(
                "Another server on this data folder keeps the vector index; large vector stores are searched without "
                "it here.",
                passing=True,
            )

    def _close(self) -> None:
        self._collections.clear()
        if self._client is not None:
            self._home.close(self._client)
            self._client = None


def _rows(vectors: Sequence[bytes]) -> Any:
    import numpy as np

    return np.frombuffer(b"".join(vectors), "<f4").reshape(len(vectors), -1)
