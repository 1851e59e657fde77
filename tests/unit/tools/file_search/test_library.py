"""The library on real parts: SQLite, Chroma, the embedding model, a real filing."""

import shutil
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from local_assistants.engine.errors import InvalidRequest, UnsupportedFile
from local_assistants.engine.objects import File, StaticChunking, VectorStore, VectorStoreFile, Wire
from local_assistants.engine.ports import Indexed, Passage, SearchQuery, ToolFile, Transaction
from local_assistants.engine.states import StoreFileStatus, StoreStatus
from local_assistants.storage.sqlite import SQLiteStore
from local_assistants.storage.vectors.chroma import ChromaIndex
from local_assistants.storage.vectors.index import open_index
from local_assistants.tools.file_search.embedding.sentence import SentenceEmbedder
from local_assistants.tools.file_search.ingestion.inline import InlineWorker
from local_assistants.tools.file_search.library import FileLibrary
from tests.unit.tools.file_search import pdfs

A, B = "vs_a", "vs_b"

CATS = "Cats sleep for sixteen hours a day.\n"
TAXES = "The tax rate rose to 24.6 percent.\n"
SHIPS = "The ship Aurora left Bergen harbour on 3 May.\n"


@dataclass
class Room:
    """A library with what it stands on."""

    folder: Path
    store: SQLiteStore
    index: ChromaIndex
    library: FileLibrary

    async def put(self, *objects: Wire) -> None:
        """Store objects."""

        def change(tx: Transaction) -> None:
            for one in objects:
                tx.put(one)

        await self.store.write(change)

    async def attach(
        self,
        vector_store_id: str,
        name: str,
        data: bytes | str,
        attributes: dict[str, str | int | float | bool] | None = None,
    ) -> ToolFile:
        """Store a file and its record in a vector store, as the core does before it is indexed."""
        file_id = f"file-{name.partition('.')[0]}"
        path = self.folder / file_id
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        file = File(
            id=file_id, purpose="assistants", filename=name, bytes=path.stat().st_size, created_at=1
        )
        record = VectorStoreFile(
            id=file_id,
            created_at=1,
            vector_store_id=vector_store_id,
            status=StoreFileStatus.IN_PROGRESS,
            attributes=attributes or {},
        )
        await self.put(file, record)
        return ToolFile(file, path)

    async def add(
        self,
        vector_store_id: str,
        name: str,
        data: bytes | str,
        attributes: dict[str, str | int | float | bool] | None = None,
    ) -> Indexed:
        """Attach and index a file."""
        source = await self.attach(vector_store_id, name, data, attributes)
        return await self.library.add(vector_store_id, source, None)

    async def detach(self, vector_store_id: str, file_id: str) -> None:
        """Take a file out of a vector store, as the core does before its text is forgotten."""
        key = f"{vector_store_id}/{file_id}"
        await self.store.write(lambda tx: tx.delete(VectorStoreFile, key))

    async def vectors(self, vector_store_id: str) -> int:
        """How many vectors of a store there are."""
        return await self.store.read(lambda tx: tx.count_vectors(vector_store_id))

    async def find(self, text: str, stores: Sequence[str] = (A,), **more: object) -> list[str]:
        """Names of the files found, best first."""
        query = SearchQuery(vector_store_ids=tuple(stores), queries=(text,), **more)  # type: ignore[arg-type]
        return [passage.filename for passage in await self.library.search(query)]


class Lent:
    """The model of all tests, for one library, which closes what it is given."""

    def __init__(self, embedder: SentenceEmbedder) -> None:
        self.tokenizer = embedder.tokenizer
        self.window = embedder.window
        self.encode = embedder.encode

    async def close(self) -> None:
        """It is somebody else's."""


def room_in(folder: Path, embedder: SentenceEmbedder) -> Room:
    """A library over what lies in `folder`."""
    store, index = SQLiteStore.open(folder / "store.db"), open_index(folder / "vectors")
    return Room(folder, store, index, FileLibrary(store, index, InlineWorker(Lent(embedder))))


@pytest.fixture
async def room(tmp_path: Path, embedder: SentenceEmbedder) -> AsyncIterator[Room]:
    """An empty library with two vector stores."""
    made = room_in(tmp_path, embedder)
    for id_ in (A, B):
        empty = VectorStore(id=id_, created_at=1, status=StoreStatus.COMPLETED)
        await made.put(empty)
    yield made
    await made.library.close()
    await made.store.close()


@pytest.mark.timeout(300)  # the first one loads the model and embeds nine pages
async def test_the_passage_and_its_page_are_found(room: Room, filing: Path) -> None:
    """The questions of examples/data/README.md: the best passage is on the right page and holds the figure."""
    stored = await room.attach(A, "filing.pdf", b"")
    source = ToolFile(stored.file.model_copy(update={"filename": filing.name}), filing)
    await room.put(source.file)
    indexed = await room.library.add(A, source, None)
    found: list[Passage] = []
    for question in (
        "How many shares did Ulta Beauty repurchase in the fourth quarter of fiscal 2022?",
        "What is the conference ID number for the replay of the call?",
        "What was goodwill on the balance sheet on January 28, 2023?",
    ):
        found += (await room.library.search(SearchQuery((A,), (question,), max_results=5)))[:1]

    assert [passage.chunk.page for passage in found] == [3, 4, 7]
    for passage, figure in zip(found, ("722,457", "13735500", "10,870"), strict=True):
        assert figure in passage.chunk.text
        assert passage.filename == filing.name
    text = await room.library.text(A, "file-filing")
    assert text[found[0].chunk.start : found[0].chunk.end] == found[0].chunk.text
    assert indexed.usage_bytes == len(text.encode()) + 1024 * indexed.chunks


async def test_usage_is_counted_as_the_api_does(room: Room) -> None:
    """21 bytes in one chunk are 1,045."""
    assert await room.add(A, "a.txt", "x" * 20 + "\n") == Indexed(1, 1045)


async def test_the_text_comes_back_whole(room: Room) -> None:
    """Overlaps and page breaks of the chunks leave no trace in the text."""
    prose = " ".join(f"Sentence number {number} stands here." for number in range(150))
    await room.add(A, "a.pdf", pdfs.written(pdfs.with_texts(["One page.", "Another."])))
    await room.add(A, "b.txt", prose)

    assert await room.library.text(A, "file-a") == "One page.\n\nAnother."
    assert await room.library.text(A, "file-b") == prose
    assert await room.library.text(A, "file-none") == ""


async def test_meaning_and_words_both_find(room: Room) -> None:
    """A question in other words is found by its meaning, a rare name by its letters."""
    await room.add(A, "cats.txt", CATS)
    await room.add(A, "taxes.txt", TAXES)
    await room.add(A, "ships.txt", SHIPS)

    assert (await room.find("How long do felines rest?"))[0] == "cats.txt"
    assert (await room.find("Aurora"))[0] == "ships.txt"


async def test_several_queries_at_once(room: Room) -> None:
    """Each query brings its best passage to the top."""
    for name, text in (("cats.txt", CATS), ("taxes.txt", TAXES), ("ships.txt", SHIPS)):
        await room.add(A, name, text)
    query = SearchQuery((A,), ("sleeping cats", "ships in Bergen harbour"), max_results=2)

    names = {passage.filename for passage in await room.library.search(query)}

    assert names == {"cats.txt", "ships.txt"}


async def test_stores_are_searched_together_and_apart(room: Room) -> None:
    """A search sees the stores it names and no other; a file in two of them comes once."""
    await room.add(A, "cats.txt", CATS)
    await room.add(B, "cats.txt", CATS)
    await room.add(B, "taxes.txt", TAXES)

    assert await room.find("cats and taxes", (A,)) == ["cats.txt"]
    assert sorted(await room.find("cats and taxes", (A, B))) == ["cats.txt", "taxes.txt"]
    assert await room.find("cats", ()) == []


async def test_filters_choose_files(room: Room) -> None:
    """Only files whose attributes match are searched, also when others fit better."""
    await room.add(A, "cats.txt", CATS, {"year": 2022})
    await room.add(A, "taxes.txt", TAXES, {"year": 2023})
    later = {"type": "gt", "key": "year", "value": 2022}
    never = {"type": "eq", "key": "year", "value": 1999}

    assert await room.find("sleeping cats", filters=later) == ["taxes.txt"]
    assert await room.find("sleeping cats", filters=never) == []
    with pytest.raises(InvalidRequest, match="Invalid 'filters'"):
        await room.find("cats", filters={"type": "like"})


async def test_attributes_come_with_the_passage(room: Room) -> None:
    """A passage carries its file's attributes as they are now."""
    await room.add(A, "cats.txt", CATS, {"year": 2022, "final": True})

    (passage,) = await room.library.search(SearchQuery((A,), ("cats",)))

    assert passage.attributes == {"year": 2022, "final": True}
    assert 0 < passage.score <= 1


async def test_thresholds_and_limits(room: Room) -> None:
    """Fewer results when fewer are asked for, none below the threshold."""
    for name, text in (("cats.txt", CATS), ("taxes.txt", TAXES), ("ships.txt", SHIPS)):
        await room.add(A, name, text)

    assert len(await room.find("sleeping cats", max_results=1)) == 1
    assert await room.find("sleeping cats", score_threshold=0.9) == ["cats.txt"]


async def test_adding_again_replaces(room: Room) -> None:
    """A second add leaves nothing of the first, in the store or in the index."""
    prose = " ".join(f"Sentence number {number} about cats." for number in range(150))
    await room.add(A, "a.txt", prose)
    await room.add(A, "a.txt", TAXES)

    assert await room.library.text(A, "file-a") == TAXES
    assert await room.vectors(A) == 1
    assert len(await room.library.search(SearchQuery((A,), ("cats",)))) == 1


async def test_removing_a_file(room: Room) -> None:
    """Text and vectors of a removed file are gone, those of others stay."""
    await room.add(A, "cats.txt", CATS)
    await room.add(A, "taxes.txt", TAXES)
    await room.detach(A, "file-cats")
    await room.library.remove(A, "file-cats")

    assert await room.find("sleeping cats") == ["taxes.txt"]
    assert await room.library.text(A, "file-cats") == ""
    assert await room.vectors(A) == 1
    await room.library.remove(A, "file-cats")


async def test_dropping_a_store(room: Room) -> None:
    """A dropped store has no text and no vectors, and no file holds their bytes."""
    await room.add(A, "cats.txt", CATS)
    await room.add(B, "cats.txt", CATS)
    (chunk,) = await room.store.read(lambda tx: tx.file_chunks(A))
    await room.library.drop(A)

    assert await room.find("cats", (A,)) == []
    assert await room.store.read(lambda tx: tx.file_chunks(A)) == []
    assert await room.index.count(A) == 0
    assert await room.find("cats", (B,)) == ["cats.txt"]
    await room.library.drop(B)
    assert chunk.vector is not None
    assert not any(
        chunk.vector in file.read_bytes()
        for file in (room.folder / "vectors").rglob("*")
        if file.is_file()
    )


async def test_a_detached_file_is_not_found(room: Room) -> None:
    """What the core has detached is not returned, even before its text is removed."""
    await room.add(A, "cats.txt", CATS)
    await room.detach(A, "file-cats")

    assert await room.find("cats") == []


async def test_a_library_is_whole_without_its_index(
    room: Room, tmp_path: Path, embedder: SentenceEmbedder
) -> None:
    """Without its folder everything is found as before: the truth is in the store."""
    for name, text in (("cats.txt", CATS), ("taxes.txt", TAXES), ("ships.txt", SHIPS)):
        await room.add(A, name, text)
    await room.library.close()
    shutil.rmtree(tmp_path / "vectors", ignore_errors=True)
    again = room_in(tmp_path, embedder)

    assert (await again.find("How long do felines rest?"))[0] == "cats.txt"
    assert await again.vectors(A) == 3
    await again.library.close()
    await again.store.close()


async def test_a_static_size_is_returned_and_nothing_is_cut_off(room: Room) -> None:
    """A client's 400-token chunks come back so long, and are found by what stands at their end."""
    filler = " ".join(f"Sentence number {number} of no interest." for number in range(55))
    text = f"{filler} {CATS}"
    source = await room.attach(A, "a.txt", text)
    chunking = StaticChunking(max_chunk_size_tokens=400, chunk_overlap_tokens=0)
    indexed = await room.library.add(A, source, chunking)
    await room.add(A, "taxes.txt", TAXES + filler)

    (best, *_) = await room.library.search(SearchQuery((A,), ("How long do felines rest?",)))

    assert indexed.chunks <= 3
    assert CATS.strip() in best.chunk.text


async def test_a_bad_file_leaves_nothing(room: Room) -> None:
    """A file that cannot be parsed raises and is not searchable; the library goes on."""
    encrypted = await room.attach(A, "a.pdf", pdfs.encrypted("x"))
    table = await room.attach(A, "b.csv", "a,b")

    with pytest.raises(InvalidRequest, match="encrypted"):
        await room.library.add(A, encrypted, None)
    with pytest.raises(UnsupportedFile):
        await room.library.add(A, table, None)
    assert await room.store.read(lambda tx: tx.file_chunks(A)) == []
    await room.add(A, "cats.txt", CATS)
    assert await room.find("cats") == ["cats.txt"]


async def test_an_empty_store_has_no_passages(room: Room) -> None:
    """Searching where nothing is gives nothing."""
    assert await room.find("anything") == []
