"""The way of a file into the library: first its text, whose words can be found at once, then its vectors.

Each step is on disk before the next one begins, and its row tells what is left to do. So whoever was killed goes on at
the first chunk without a vector, and what another vector store holds already is copied, not embedded again. Nothing
is written for a file that is no longer attached to its vector store.

It moves no status, parses nothing itself, and does not know how vectors are searched.
"""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar
from weakref import WeakValueDictionary

from ....engine.errors import InvalidRequest
from ....engine.objects import StaticChunking, VectorStoreFile
from ....engine.ports import Chunk, Extract, Indexed, Store, ToolFile, Transaction
from ....engine.states import StoreFileStatus
from ..settings import LibrarySettings
from .job import Job, new_job
from .turns import Turns
from .worker import Worker

_log = logging.getLogger(__name__)

CHUNK_BYTES = 1024  # what the API counts for a chunk's vector
BATCH = 32  # chunks embedded between two writes
_TEXTS = 500  # chunks in one transaction: others who write wait so long at most
_SEEN = 8 * BATCH  # chunks read at once
_COPIED = 5000  # vectors in one transaction
_ATTEMPTS = 3  # at a file that is taken out and put back while it is indexed
_GONE = frozenset({StoreFileStatus.CANCELLED, StoreFileStatus.FAILED})


Vectors = list[tuple[str, bytes]]
"""(chunk id, vector)."""

FirstT = TypeVar("FirstT")
SecondT = TypeVar("SecondT")


class Searched(Protocol):
    """Whoever searches vectors and has to hear which ones came and went. It never fails: the truth is in the store."""

    async def added(self, store_id: str, vectors: Sequence[tuple[str, bytes]]) -> None:
        """These (chunk id, vector) are stored now."""
        ...

    async def removed(self, store_id: str) -> None:
        """Some vectors of the store are gone."""
        ...


class Pipeline:
    """Makes files searchable. Safe to use for several files at the same time, from one event loop."""

    def __init__(
        self, store: Store, nearest: Searched, worker: Worker, settings: LibrarySettings
    ) -> None:
        self._store = store
        self._nearest = nearest
        self._worker = worker
        # A file may be read for minutes, and a store may have many such.
        self._reading = Turns(settings.adds)
        self._turns = Turns()
        self._same: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def add(
        self, vector_store_id: str, source: ToolFile, chunking: StaticChunking | None
    ) -> Indexed:
        """See the port's `add`; what is there already of the same file is not made again.

        Raises:
            UnsupportedFile: no parser for its type.
            InvalidRequest: the file cannot be parsed, or was taken out of the store meanwhile; the message says why.
            MissingDependency: the embedding model is not there; names the command that gets it.
        """
        recipe = self._worker.recipe
        job = await asyncio.to_thread(new_job, vector_store_id, source, chunking, recipe)
        for _ in range(_ATTEMPTS):
            extract = await self._text(job)
            if extract.complete or await self._vectors(job):
                return Indexed(extract.chunks, extract.text_bytes + CHUNK_BYTES * extract.chunks)
        raise _taken_out()

    # --- text --------------------------------------------------------------------------------------

    async def _text(self, job: Job) -> Extract:
        """The file's text in the store, whether it was there, is copied, or is read now."""
        found = await self._store.read(lambda tx: tx.extract(*job.key))
        if found is not None and job.made(found):
            return found
        copied = await self._store.write(lambda tx: _copy(tx, job))
        if copied is not None:
            if found is not None:
                await self._nearest.removed(job.vector_store_id)
            vectors = await self._store.read(
                lambda tx: tx.store_vectors(job.vector_store_id, {job.file_id})
            )
            await self._nearest.added(job.vector_store_id, vectors)
            return copied
        async with self._reading.turn(job.vector_store_id, 1):
            extracted = await self._worker.extract(job.path, job.filename, job.sizes)
        if extracted.unreadable:
            _log.warning("%s: unreadable pages: %s", job.file_id, extracted.unreadable)
        extract = job.extract(extracted)
        # A large file has a hundred thousand: half a second that others would wait for.
        await self._put(job, await asyncio.to_thread(job.chunks, extracted), extract)
        return extract

    async def _put(self, job: Job, chunks: Sequence[Chunk], extract: Extract) -> None:
        """Write the text in transactions that hold nobody up; the last one says that it is whole."""

        def clear(tx: Transaction) -> bool:
            _require(tx, job)
            return bool(tx.delete_chunks(*job.key))

        def put(tx: Transaction, part: Sequence[Chunk], last: bool) -> None:
            _require(tx, job)
            tx.put_chunks(part)
            if last:
                tx.put_extract(extract)

        if await self._store.write(clear):
            await self._nearest.removed(job.vector_store_id)
        for start in range(0, len(chunks), _TEXTS):
            part = chunks[start : start + _TEXTS]
            last = start + _TEXTS >= len(chunks)
            await self._store.write(partial(put, part=part, last=last))

    # --- vectors -----------------------------------------------------------------------------------

    async def _vectors(self, job: Job) -> bool:
        """Give all chunks their vectors; False when the text has gone meanwhile.

        Of several stores that take the same file at the same time one embeds it, and the others copy.
        """
        lock = self._same.setdefault((job.content, job.recipe), asyncio.Lock())
        async with lock:
            return await self._copied(job) or await self._embed(job)

    async def _embed(self, job: Job) -> bool:
        """Embed what has no vector yet; while one batch is written the next one is with the model."""
        last = False
        while not last:
            chunks = await self._store.read(lambda tx: tx.chunks_to_embed(*job.key, _SEEN + 1))
            last = len(chunks) <= _SEEN
            vectors: Vectors = []
            for start in range(0, min(len(chunks), _SEEN), BATCH):
                batch = chunks[start : min(start + BATCH, _SEEN)]
                kept, vectors = await _both(self._keep(job, vectors), self._embedded(job, batch))
                if not kept:
                    return False
            if not await self._keep(job, vectors, last=last):
                return False
        return True

    async def _keep(self, job: Job, vectors: Vectors, *, last: bool = False) -> bool:
        """Write vectors; False when the text they belong to has gone."""
        if not vectors and not last:
            return True
        kept = await self._store.write(lambda tx: _put_vectors(tx, job, vectors, last))
        if kept:
            await self._nearest.added(job.vector_store_id, vectors)
        return kept

    async def _embedded(self, job: Job, chunks: Sequence[Chunk]) -> Vectors:
        async with self._turns.turn(job.vector_store_id, len(chunks)):
            vectors = await self._worker.embed([job.passage(one) for one in chunks])
        return [(one.id, vector) for one, vector in zip(chunks, vectors, strict=True)]

    async def _copied(self, job: Job) -> bool:
        """Take the vectors of the same file in another place, if there is one by now."""
        twin = await self._store.read(
            lambda tx: tx.find_extract(job.content, job.recipe, job.vector_store_id)
        )
        if twin is None:
            return False
        for start in range(0, twin.chunks, _COPIED):
            numbers = range(start, min(start + _COPIED, twin.chunks))
            last = numbers.stop == twin.chunks
            vectors = await self._store.write(
                partial(_copy_vectors, job=job, twin=twin, numbers=numbers, last=last)
            )
            if vectors is None:
                return False
            await self._nearest.added(job.vector_store_id, vectors)
        return True


async def _both(first: Awaitable[FirstT], second: Awaitable[SecondT]) -> tuple[FirstT, SecondT]:
    """Both results when both are there; when one fails, the other one is done all the same."""
    one, two = await asyncio.gather(first, second, return_exceptions=True)
    if isinstance(one, BaseException):
        raise one
    if isinstance(two, BaseException):
        raise two
    return one, two


def _copy(tx: Transaction, job: Job) -> Extract | None:
    """Text and vectors of the same file in another place; None when there is none."""
    twin = tx.find_extract(job.content, job.recipe, job.vector_store_id)
    if twin is None:
        return None
    _require(tx, job)
    vector_store_id, file_id = job.key
    target = replace(twin, vector_store_id=vector_store_id, file_id=file_id, filename=job.filename)
    tx.copy_chunks(twin, target)
    tx.put_extract(target)
    return target


def _copy_vectors(
    tx: Transaction, job: Job, twin: Extract, numbers: range, last: bool
) -> Vectors | None:
    """Vectors of these chunks from `twin`; None when it does not have them all any more."""
    ids = {f"{twin.vector_store_id}/{twin.file_id}/{n}": job.chunk_id(n) for n in numbers}
    found = tx.vectors(list(ids))
    vectors = [(ids[id_], vector) for id_, vector in found.items()]
    if len(found) < len(ids) or not _put_vectors(tx, job, vectors, last):
        return None
    return vectors


def _put_vectors(tx: Transaction, job: Job, vectors: Vectors, last: bool) -> bool:
    """Write vectors, and with the last ones that they are complete; False when the text they belong to has gone."""
    extract = tx.extract(*job.key)
    if extract is None or not job.made(extract):
        return False
    tx.put_vectors(vectors)
    if last:
        tx.put_extract(replace(extract, complete=True))
    return True


def _require(tx: Transaction, job: Job) -> None:
    """Refuse to write for a file that nobody wants any more.

    Raises:
        InvalidRequest: it is not attached, or was cancelled.
    """
    record = tx.get(VectorStoreFile, "/".join(job.key))
    if record is None or record.status in _GONE:
        raise _taken_out()


def _taken_out() -> InvalidRequest:
    return InvalidRequest("The file was taken out of the vector store while it was indexed.")
