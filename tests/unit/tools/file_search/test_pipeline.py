"""The way of a file into the library: words first, vectors batch by batch, nothing embedded twice."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from local_assistants.engine.errors import AssistantsError, InvalidRequest
from local_assistants.engine.objects import File, StaticChunking, VectorStore, VectorStoreFile
from local_assistants.engine.ports import Indexed, SearchQuery, Store, ToolFile, Transaction
from local_assistants.engine.states import StoreFileStatus, StoreStatus
from local_assistants.storage.sqlite import SQLiteStore
from local_assistants.storage.vectors.index import open_index
from local_assistants.tools.file_search.chunking.chunking import Sizes
from local_assistants.tools.file_search.ingestion.inline import InlineWorker
from local_assistants.tools.file_search.ingestion.pipeline import BATCH
from local_assistants.tools.file_search.ingestion.worker import Extracted
from local_assistants.tools.file_search.library import FileLibrary
from tests.support.counting_embedder import CountingEmbedder

A, B, OTHERS = "vs_a", "vs_b", "vs_others"
LONG = "\n\n".join(f"Paragraph {number} " + "about cats and taxes " * 40 for number in range(75))
SHORT = "The ship Aurora left Bergen harbour."


@dataclass
class Room:
    """A library, and the model that its files are embedded with; queries have a model of their own."""

    folder: Path
    store: SQLiteStore
    embedder: CountingEmbedder
    library: FileLibrary

    async def attach(self, store_id: str, name: str, text: str) -> ToolFile:
        """Put a file into a vector store, as the core does before it is indexed."""
        path = self.folder / name
        path.write_text(text)
        file = File(
            id=f"file-{name}", purpose="assistants", filename=name, bytes=len(text), created_at=1
        )
        record = VectorStoreFile(
            id=file.id,
            created_at=1,
            vector_store_id=store_id,
            status=StoreFileStatus.IN_PROGRESS,
        )

        def put(tx: Transaction) -> None:
            tx.put(file)
            tx.put(record)

        await self.store.write(put)
        return ToolFile(file, path)

    async def detach(self, store_id: str, file_id: str) -> None:
        """Take a file out."""
        await self.store.write(lambda tx: tx.delete(VectorStoreFile, f"{store_id}/{file_id}"))

    async def add(self, store_id: str, name: str, text: str) -> Indexed:
        """Attach and index a file."""
        return await self.library.add(store_id, await self.attach(store_id, name, text), None)

    async def find(self, text: str, *stores: str) -> list[str]:
        """Names of the files found, best first."""
        query = SearchQuery(vector_store_ids=stores or (A,), queries=(text,))
        return [passage.filename for passage in await self.library.search(query)]

    async def counts(self, store_id: str = A) -> tuple[int, int]:
        """Chunks and vectors of a store."""
        return await self.store.read(
            lambda tx: (len(tx.file_chunks(store_id)), tx.count_vectors(store_id))
        )

    async def until(self, chunks: int, vectors: int, store_id: str = A) -> None:
        """Wait until a store has at least so many."""
        async with asyncio.timeout(10):
            while True:
                found = await self.counts(store_id)
                if found[0] >= chunks and found[1] >= vectors:
                    return
                await asyncio.sleep(0.01)


class Queries:
    """The `QueryEncoder` port on a model of its own: it answers while the other one is held up."""

    def __init__(self, folder: Path) -> None:
        self._embedder = CountingEmbedder(folder)

    async def encode(self, queries: Sequence[str]) -> list[bytes]:
        """A vector for each query."""
        return await self._embedder.encode(queries)

    async def close(self) -> None:
        """Nothing to let go of."""


async def _put(store: Store, store_id: str) -> None:
    empty = VectorStore(id=store_id, created_at=1, status=StoreStatus.COMPLETED)
    await store.write(lambda tx: tx.put(empty))


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    """An empty library with two vector stores, and one of another project."""
    folders = [tmp_path / name for name in ("files", "model", "queries")]
    for folder in folders:
        folder.mkdir()
    store, embedder = SQLiteStore.open(tmp_path / "store.db"), CountingEmbedder(folders[1])
    for project, id_ in (("default", A), ("default", B), ("others", OTHERS)):
        await _put(store.scoped(project), id_)
    library = FileLibrary(
        store, open_index(tmp_path / "vectors"), InlineWorker(embedder), Queries(folders[2])
    )
    yield Room(folders[0], store, embedder, library)
    await library.close()
    await store.close()


async def test_words_are_found_before_there_are_vectors(room: Room) -> None:
    """While the model is busy with something else the text answers already."""
    room.embedder.gate = asyncio.Event()
    adding = asyncio.create_task(room.add(A, "ships.txt", SHORT))
    await room.until(chunks=1, vectors=0)

    assert ["ships.txt"] == await room.find("Aurora")
    assert (1, 0) == await room.counts()
    room.embedder.gate.set()
    assert Indexed(1, len(SHORT) + 1024) == await adding
    assert (1, 1) == await room.counts()


async def test_what_was_cut_short_goes_on_at_the_first_chunk_without_a_vector(room: Room) -> None:
    """Every batch is on disk before the next one begins."""
    room.embedder.fails_after = BATCH
    source = await room.attach(A, "long.txt", LONG)
    with pytest.raises(Exception, match="out of order"):
        await room.library.add(A, source, None)
    chunks, vectors = await room.counts()
    assert BATCH == vectors < chunks

    room.embedder.fails_after = None
    done = await room.library.add(A, source, None)

    assert (chunks, chunks) == await room.counts()
    assert Indexed(chunks, len(LONG) + 1024 * chunks) == done
    assert chunks == room.embedder.embedded == len(set(room.embedder.texts))


async def test_what_is_there_is_not_made_again(room: Room) -> None:
    """A second add of the same file finds it complete, as after a crash before the status was recorded."""
    source = await room.attach(A, "a.txt", SHORT)
    first = await room.library.add(A, source, None)

    assert first == await room.library.add(A, source, None)
    assert 1 == room.embedder.embedded


async def test_a_file_in_two_stores_is_embedded_once(room: Room) -> None:
    """Also when it is another file with the same bytes and a name that says as little."""
    await room.add(A, "1.txt", LONG)
    embedded = room.embedder.embedded
    await room.add(B, "1.txt", LONG)
    await room.add(B, "2.txt", LONG)
    await room.library.drop(A)

    chunks = embedded
    assert (2 * chunks, 2 * chunks) == await room.counts(B)
    assert embedded == room.embedder.embedded
    (first, *_) = await room.store.read(lambda tx: tx.file_chunks(B, "file-2.txt"))
    assert "2.txt" == first.heading


async def test_several_stores_that_take_a_file_at_the_same_time_embed_it_once(room: Room) -> None:
    """One embeds, the other has its words at once and copies the vectors."""
    room.embedder.gate = asyncio.Event()
    adding = [asyncio.create_task(room.add(store, "1.txt", LONG)) for store in (A, B)]
    await room.until(1, 0, A)
    await room.until(1, 0, B)
    assert ["1.txt"] == list(dict.fromkeys(await room.find("cats", B)))
    room.embedder.gate.set()
    first, second = await asyncio.gather(*adding)

    assert first == second
    assert await room.counts(A) == await room.counts(B) == (first.chunks, first.chunks)
    assert first.chunks == room.embedder.embedded


@pytest.mark.parametrize(
    ("store_id", "name", "chunking"),
    [
        (OTHERS, "1.txt", None),
        (B, "1.md", None),
        (B, "tax report.txt", None),
        (B, "1.txt", StaticChunking(max_chunk_size_tokens=100, chunk_overlap_tokens=0)),
    ],
    ids=["another project", "another kind of file", "a name that tells", "other sizes"],
)
async def test_what_would_not_be_the_same_is_embedded_anew(
    room: Room, store_id: str, name: str, chunking: StaticChunking | None
) -> None:
    """And another project must not learn from the time it takes what others have."""
    await room.add(A, "1.txt", SHORT)
    source = await room.attach(store_id, name, SHORT)
    await room.library.add(store_id, source, chunking)

    assert 2 == room.embedder.embedded


async def test_a_changed_file_replaces_what_there_was(room: Room) -> None:
    """Text, vectors and words of the old one are gone."""
    await room.add(A, "a.txt", LONG)
    await room.add(A, "a.txt", SHORT)

    assert (1, 1) == await room.counts()
    assert SHORT == await room.library.text(A, "file-a.txt")
    assert [] == await room.store.read(lambda tx: tx.match_chunks([A], "cats", 9))


async def test_nothing_is_written_for_a_file_that_was_taken_out(room: Room) -> None:
    """Whether that was before its text, or between two of its batches."""
    source = await room.attach(A, "a.txt", LONG)
    await room.detach(A, source.file.id)
    with pytest.raises(InvalidRequest, match="taken out"):
        await room.library.add(A, source, None)
    assert (0, 0) == await room.counts()

    room.embedder.gate = asyncio.Event()
    adding = asyncio.create_task(room.add(A, "b.txt", LONG))
    await room.until(1, 0)
    await room.detach(A, "file-b.txt")
    assert [] == await room.find("cats")
    room.embedder.gate.set()
    with pytest.raises(InvalidRequest, match="taken out"):
        await adding
    assert (0, 0) == await room.counts()


async def test_a_file_that_is_taken_out_and_put_back_is_indexed_whole(room: Room) -> None:
    """Its text went with the first record; the second one gets all of it again."""
    room.embedder.gate = asyncio.Event()
    adding = asyncio.create_task(room.add(A, "a.txt", LONG))
    await room.until(1, 0)
    await room.detach(A, "file-a.txt")
    await room.attach(A, "a.txt", LONG)
    room.embedder.gate.set()
    done = await adding

    assert (done.chunks, done.chunks) == await room.counts()
    assert LONG == await room.library.text(A, "file-a.txt")


async def test_a_removal_that_comes_late_spares_a_file_that_was_put_back(room: Room) -> None:
    """One that failed or was cancelled is cleared, though its record is there."""
    await room.add(A, "a.txt", SHORT)
    await room.library.remove(A, "file-a.txt")
    assert (1, 1) == await room.counts()

    def cancel(tx: Transaction) -> None:
        record = tx.get(VectorStoreFile, f"{A}/file-a.txt")
        assert record is not None
        tx.put(record.model_copy(update={"status": StoreFileStatus.CANCELLED}))

    await room.store.write(cancel)
    await room.library.remove(A, "file-a.txt")
    assert (0, 0) == await room.counts()


async def test_a_twin_that_goes_away_is_no_loss(room: Room) -> None:
    """What waited to copy embeds the rest itself."""
    room.embedder.gate = asyncio.Event()
    adding = [asyncio.create_task(room.add(store, "1.txt", LONG)) for store in (A, B)]
    await room.until(1, 0, A)
    await room.until(1, 0, B)
    await room.detach(A, "file-1.txt")
    room.embedder.gate.set()
    outcomes = await asyncio.gather(*adding, return_exceptions=True)

    (lost,) = [one for one in outcomes if isinstance(one, AssistantsError)]
    assert isinstance(lost, InvalidRequest)
    chunks, vectors = await room.counts(B)
    assert 0 < chunks == vectors


async def test_files_of_many_chunks_are_whole(room: Room) -> None:
    """Their text is written in several transactions, their vectors are copied in several."""
    text = "\n\n".join(f"Paragraph {number} " + "of some words " * 60 for number in range(700))
    done = await room.add(A, "1.txt", text)
    await room.add(B, "1.txt", text)

    assert done.chunks > 500
    assert (done.chunks, done.chunks) == await room.counts(A) == await room.counts(B)
    assert text == await room.library.text(B, "file-1.txt")


async def test_the_beginning_of_a_file_is_kept_to_find_it_as_a_whole(room: Room) -> None:
    """At most 2,000 characters, without the overlap of its chunks."""
    await room.add(A, "report.txt", LONG)
    extract = await room.store.read(lambda tx: tx.extract(A, "file-report.txt"))

    assert extract is not None
    assert LONG[:2000] == extract.opening
    assert extract.complete
    expected = replace(extract, text_bytes=len(LONG.encode()), chunks=(await room.counts())[0])
    assert expected == extract


class Slow(InlineWorker):
    """Reads a file for as long as the test likes, and notes which ones it began to read."""

    def __init__(self, embedder: CountingEmbedder) -> None:
        super().__init__(embedder)
        self.begun: asyncio.Queue[str] = asyncio.Queue()
        self.done = asyncio.Semaphore(0)

    async def extract(self, path: Path, filename: str, sizes: Sizes) -> Extracted:
        """Wait for `done`, then read."""
        self.begun.put_nowait(filename)
        await self.done.acquire()
        return await super().extract(path, filename, sizes)


async def test_files_of_another_store_are_read_between_slow_ones(room: Room) -> None:
    """A parser may take minutes for a hostile file, and whoever has many of them is not alone."""
    worker = Slow(room.embedder)
    index = open_index(room.folder / "vectors of its own")
    library = FileLibrary(room.store, index, worker, Queries(room.folder))
    names = [*(f"slow{number}.txt" for number in range(6)), "other.txt"]
    tasks: list[asyncio.Task[Indexed]] = []
    for name in names:
        store_id = B if name == "other.txt" else A
        source = await room.attach(store_id, name, f"{SHORT} {name}")
        tasks.append(asyncio.create_task(library.add(store_id, source, None)))
        await asyncio.sleep(0.05)
    begun: list[str] = []
    async with asyncio.timeout(10):
        for _ in names:
            begun.append(await worker.begun.get())
            if len(begun) > 1:
                worker.done.release()
    worker.done.release()
    await asyncio.gather(*tasks)
    await library.close()

    assert begun.index("other.txt") <= 3
    assert set(names) == set(begun)
