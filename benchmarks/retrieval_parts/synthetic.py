"""A vector store of any size whose chunks cost nothing to make, and a library that searches it."""

import random
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from local_assistants.engine.objects import File, VectorStore, VectorStoreFile
from local_assistants.engine.ports import Chunk, Extract, Transaction
from local_assistants.engine.states import StoreFileStatus, StoreStatus
from local_assistants.storage.sqlite import SQLiteSettings, SQLiteStore
from local_assistants.storage.vectors.index import open_index
from local_assistants.tools.file_search.searching.nearest import Nearest
from local_assistants.tools.file_search.searching.searcher import Searcher
from local_assistants.tools.file_search.settings import LibrarySettings

from . import corpora

STORE = "vs_speed"
_DIMENSIONS = 384
_CENTRES = 200
_SENTENCES = 6  # in a chunk: about 900 characters


@dataclass(frozen=True)
class Sizes:
    """How many files, and chunks in each."""

    files: int
    of_each: int

    @property
    def chunks(self) -> int:
        """All of them."""
        return self.files * self.of_each


class Vectors:
    """Encodes any text, by its hash and without a model, as a vector near one of some centres."""

    def __init__(self) -> None:
        self._centres = np.random.default_rng(1).standard_normal((_CENTRES, _DIMENSIONS), "f4")

    def of(self, text: str) -> bytes:
        """The same for the same text."""
        numbers = np.random.default_rng(zlib.crc32(text.encode()))
        near = self._centres[numbers.integers(_CENTRES)]
        vector = near + 0.8 * numbers.standard_normal(_DIMENSIONS, "f4")
        unit: bytes = (vector / np.linalg.norm(vector)).astype("<f4").tobytes()
        return unit

    async def encode(self, queries: Sequence[str]) -> list[bytes]:
        """A vector for each."""
        return [self.of(query) for query in queries]

    async def close(self) -> None:
        """Nothing to close."""


@dataclass(frozen=True)
class Opened:
    """What searches a folder, and what it stands on."""

    searcher: Searcher
    nearest: Nearest


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Opened]:
    """A searcher over what lies in `folder`."""
    store, settings = SQLiteStore.open(folder / "store.db"), LibrarySettings()
    nearest = Nearest(store, open_index(folder / "vectors"), settings.index)
    yield Opened(Searcher(store, nearest, Vectors(), settings), nearest)
    await nearest.close()
    await store.close()


async def filled(folder: Path, sizes: Sizes) -> None:
    """Put a store of these sizes into `folder`."""
    vectors, sentences = Vectors(), _sentences()
    store = SQLiteStore.open(folder / "store.db", SQLiteSettings("normal"))
    empty = VectorStore(id=STORE, created_at=1, status=StoreStatus.COMPLETED)
    await store.write(lambda tx: tx.put(empty))
    for number in range(sizes.files):
        chunks = list(_chunks(number, sizes.of_each, sentences, vectors))
        await store.write(partial(_put, number=number, chunks=chunks))
    await store.close()


def _sentences() -> list[str]:
    texts = b" ".join(corpora.scifact().files.values()).decode()
    return [each for each in texts.replace("\n", " ").split(". ") if 40 < len(each) < 400]


def _chunks(number: int, count: int, sentences: Sequence[str], vectors: Vectors) -> Iterator[Chunk]:
    choice, start, file_id = random.Random(number), 0, f"file-{number}"
    for index in range(count):
        text = ". ".join(choice.choices(sentences, k=_SENTENCES))
        yield Chunk(
            id=f"{STORE}/{file_id}/{index}",
            vector_store_id=STORE,
            file_id=file_id,
            index=index,
            text=text,
            start=start,
            end=start + len(text),
            page=1 + index // 4,
            heading=f"report {number}.pdf",
            vector=vectors.of(text),
        )
        start += len(text)


def _put(tx: Transaction, number: int, chunks: Sequence[Chunk]) -> None:
    file_id, name = f"file-{number}", f"report {number}.pdf"
    tx.put(File(id=file_id, purpose="assistants", filename=name, bytes=1, created_at=1))
    tx.put(
        VectorStoreFile(
            id=file_id,
            created_at=1,
            vector_store_id=STORE,
            status=StoreFileStatus.COMPLETED,
            attributes={"number": number % 100},
        )
    )
    tx.put_chunks(chunks)
    size = sum(len(chunk.text) for chunk in chunks)
    tx.put_extract(
        Extract(STORE, file_id, "", "", name, size, len(chunks), chunks[0].text, complete=True)
    )
