"""The dense index: Chroma's PersistentClient, one collection per vector store, holding ids and vectors only.

It is a cache of vectors whose truth is the Store. What Chroma was seen to do, and what is done about it here:
a `kill -9` near a flush can leave an index that kills the next process (so after an unclean end a child process
tries it first, and a broken folder is moved aside); two processes on one folder hang or read stale data (so the
folder is locked); dropping a collection leaves its vectors on the disk (so its files are erased).

It does not know texts, files or stores, and does not promise that vectors survive: a caller compares `count` with
its own and fills the index again. Everything runs on one thread of its own; Chroma is imported and opened at first use.
"""

import asyncio
import fcntl
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from ..engine.errors import AssistantsError, MissingDependency, StorageFault

T = TypeVar("T")
_log = logging.getLogger(__name__)

_BATCH = 1000  # Chroma takes at most 5,461 records at once
_SPACE = {"hnsw": {"space": "cosine", "sync_threshold": 1000}}
_CHECK_SECONDS = 120.0


class ChromaIndex:
    """`ports.VectorIndex` in a folder of its own, which must not be used for anything else.

    Inside it: `db` (Chroma's), `lock`, `clean` (stands there while the index was closed properly), `broken` (the last
    index that could not be opened).
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="vector-index")
        self._client: Any = None  # Chroma's types differ between its versions
        self._lock: int | None = None
        self._closed = False
        self._collections: dict[str, Any] = {}

    async def upsert(
        self, collection: str, ids: Sequence[str], vectors: Sequence[Sequence[float]], file_id: str
    ) -> None:
        """Insert or replace; the collection is made when it is not there.

        Raises:
            StorageFault: Chroma or the disk refuses.
        """
        await self._call(self._upsert, collection, ids, vectors, file_id)

    async def query(
        self, collection: str, vector: Sequence[float], limit: int
    ) -> list[tuple[str, float]]:
        """(id, cosine similarity -1..1), best first; an unknown collection is empty."""
        return await self._call(self._query, collection, vector, limit)

    async def delete(self, collection: str, ids: Sequence[str]) -> None:
        """Remove what there is of `ids`. Their bytes stay in Chroma's files until the collection is dropped."""
        await self._call(self._delete, collection, ids)

    async def drop(self, collection: str) -> None:
        """Remove a collection and erase its vectors from the disk; unknown ones are dropped already."""
        await self._call(self._drop, collection)

    async def count(self, collection: str) -> int:
        """Number of vectors, 0 for an unknown collection."""
        return await self._call(self._count, collection)

    async def close(self) -> None:
        """Let go of the folder and end the thread. May be called twice; nothing else can be called after."""
        if self._closed:
            return
        self._closed = True
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._guarded, self._close, ())
        await asyncio.to_thread(self._thread.shutdown)

    async def _call(self, work: Callable[..., T], *args: Any) -> T:
        if self._closed:
            raise StorageFault("The vector index is closed; open it again to use it.")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._guarded, work, args)

    def _guarded(self, work: Callable[..., T], args: tuple[Any, ...]) -> T:
        try:
            return work(*args)
        except AssistantsError:
            raise
        except Exception as error:
            raise _fault(error) from error
        except BaseException as error:
            if type(error).__name__ == "PanicException":  # Chroma's Rust half gave up
                raise _fault(error) from error
            raise

    # --- on the index's own thread ---

    def _upsert(
        self, name: str, ids: Sequence[str], vectors: Sequence[Sequence[float]], file_id: str
    ) -> None:
        import numpy as np

        collection = self._collection(name)
        if collection is None:
            client = self._opened()
            collection = client.create_collection(
                name, embedding_function=None, configuration=_SPACE, get_or_create=True
            )
            self._collections[name] = collection
        for start in range(0, len(ids), _BATCH):
            rows = slice(start, start + _BATCH)
            batch = list(ids[rows])
            collection.upsert(
                ids=batch,
                embeddings=np.asarray(vectors[rows], dtype=np.float32),
                metadatas=[{"file_id": file_id}] * len(batch),
            )

    def _query(self, name: str, vector: Sequence[float], limit: int) -> list[tuple[str, float]]:
        import numpy as np

        collection = self._collection(name)
        if collection is None:
            return []
        found = collection.query(
            query_embeddings=np.asarray([vector], dtype=np.float32),
            n_results=limit,
            include=["distances"],
        )
        pairs = zip(found["ids"][0], found["distances"][0], strict=True)
        return [(str(id_), 1.0 - float(distance)) for id_, distance in pairs]

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
        shutil.rmtree(self._folder / "broken", ignore_errors=True)
        collection = self._collection(name)
        if collection is None:
            return
        database = self._folder / "db" / "chroma.sqlite3"
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            segments = connection.execute(
                "SELECT id FROM segments WHERE collection = ?", (str(collection.id),)
            ).fetchall()
            self._opened().delete_collection(name)
            del self._collections[name]
            for (segment,) in segments:
                shutil.rmtree(self._folder / "db" / str(segment), ignore_errors=True)
            connection.execute("VACUUM")

    def _collection(self, name: str) -> Any:
        """The collection, None when there is none of that name."""
        client = self._opened()
        if name not in self._collections:
            from chromadb.errors import NotFoundError

            try:
                self._collections[name] = client.get_collection(name, embedding_function=None)
            except NotFoundError:
                return None
        return self._collections[name]

    def _opened(self) -> Any:
        if self._client is None:
            self._take_lock()
            try:
                self._client = self._open()
            except BaseException:
                self._release_lock()
                raise
        return self._client

    def _open(self) -> Any:
        database = self._folder / "db"
        clean = self._folder / "clean"
        if database.exists() and not clean.exists() and not _loads(database):
            self._move_aside()
        clean.unlink(missing_ok=True)
        try:
            return _connect(str(database))
        except MissingDependency:
            raise
        except Exception as error:
            if not database.exists():
                raise
            _log.warning("The vector index in %s cannot be opened: %s", database, error)
        self._move_aside()
        # Chroma keeps the failed attempt under the path as it was spelt, so it gets another spelling.
        return _connect(os.path.join(database, ""))

    def _move_aside(self) -> None:
        broken = self._folder / "broken"
        shutil.rmtree(broken, ignore_errors=True)
        (self._folder / "db").rename(broken)
        _log.warning("The vector index was broken; it is kept in %s and built anew.", broken)

    def _take_lock(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise StorageFault(
                f"Another process uses the vector index in {self._folder}. Stop it, or use another data folder."
            ) from None
        self._lock = descriptor

    def _release_lock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _close(self) -> None:
        if self._client is None:
            return
        self._collections.clear()
        self._client.close()
        self._client = None
        (self._folder / "clean").touch()
        self._release_lock()


def _fault(error: BaseException) -> StorageFault:
    return StorageFault(f"The vector index failed: {type(error).__name__}: {error}")


def _connect(path: str) -> Any:
    try:
        import chromadb
        from chromadb.config import Settings
    except ImportError as error:
        raise MissingDependency(
            "The vector index needs chromadb: pip install local-assistants"
        ) from error
    return chromadb.PersistentClient(path, settings=Settings(anonymized_telemetry=False))


def _loads(database: Path) -> bool:
    """Whether a child process can read every collection; it may die of it."""
    _log.info("The vector index was not closed properly; checking it.")
    command = [sys.executable, "-m", __name__, str(database)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    try:
        child = subprocess.run(
            command, env=environment, capture_output=True, timeout=_CHECK_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return child.returncode == 0


def check(database: Path) -> None:
    """Read every collection the way a search would. Raises, or kills the process, when one is broken."""
    client = _connect(str(database))
    for collection in client.list_collections():
        sample = collection.get(limit=1, include=["embeddings"])["embeddings"]
        if collection.count() and sample is not None:
            collection.query(query_embeddings=sample, n_results=1, include=["distances"])
    client.close()


if __name__ == "__main__":
    check(Path(sys.argv[1]))
