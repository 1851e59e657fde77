"""A citation's page, put together from the chunks that a real store holds."""

from collections.abc import Iterator

import pytest

from local_assistants.engine.objects import VectorStore, VectorStoreFile
from local_assistants.engine.ports import Chunk, Opened
from local_assistants.engine.states import StoreFileStatus, StoreStatus
from local_assistants.storage.transaction import SQLiteTransaction
from local_assistants.tools.file_search.opening import AROUND, opened
from tests.support.database import database

PAGES = ["First page. It says little.", "Second page.\n\n  It has two chunks, which overlap."]
TEXT = "\f".join(PAGES)
BREAK = len(PAGES[0]) + 1


@pytest.fixture
def tx() -> Iterator[SQLiteTransaction]:
    """A store with one file."""
    with database() as connection:
        made = SQLiteTransaction(connection)
        made.put(VectorStore(id="vs_1", created_at=1, status=StoreStatus.COMPLETED))
        made.put(
            VectorStoreFile(
                id="file-1", created_at=1, vector_store_id="vs_1", status=StoreFileStatus.COMPLETED
            )
        )
        yield made


def chunk(number: int, text: str, start: int, end: int, page: int | None) -> Chunk:
    """The stretch of a text."""
    key = f"vs_1/file-1/{number}"
    return Chunk(key, "vs_1", "file-1", number, text[start:end], start, end, page)


def paged(tx: SQLiteTransaction) -> None:
    """Two pages; the second in two chunks that overlap, one starting behind blanks."""
    tx.put_chunks(
        [
            chunk(0, TEXT, 0, len(PAGES[0]), 1),
            chunk(1, TEXT, BREAK, BREAK + 12, 2),
            chunk(2, TEXT, BREAK + 16, BREAK + 36, 2),
            chunk(3, TEXT, BREAK + 30, len(TEXT), 2),
        ]
    )


def place(words: str) -> tuple[int, int]:
    """Where words stand in the file's text."""
    start = TEXT.index(words)
    return start, start + len(words)


@pytest.mark.parametrize(
    ("words", "page"), [("It says little.", 1), ("Second page.", 2), ("two chunks, which", 2)]
)
def test_a_stretch_opens_on_its_page(tx: SQLiteTransaction, words: str, page: int) -> None:
    """The whole page and nothing else; the stretch stands in it where it is said to, also across chunks."""
    paged(tx)
    found = opened(tx, "vs_1", "file-1", *place(words))

    assert found is not None
    assert page == found.page
    assert words == found.text[found.start - found.text_start : found.end - found.text_start]
    assert PAGES[page - 1].split() == found.text.split()
    assert len(PAGES[page - 1]) == len(found.text)


def test_a_stretch_over_two_pages_opens_the_first(tx: SQLiteTransaction) -> None:
    """It ends where the page does."""
    paged(tx)
    found = opened(tx, "vs_1", "file-1", 12, BREAK + 5)

    assert Opened(PAGES[0], 0, 12, len(PAGES[0]), 1) == found


def test_without_pages_what_is_around_opens(tx: SQLiteTransaction) -> None:
    """Not a book of a thousand pages, whose text has no end."""
    text = "".join(f"Sentence {number:04}. " for number in range(2000))
    tx.put_chunks([chunk(n, text, n * 500, (n + 1) * 500, None) for n in range(len(text) // 500)])
    start = text.index("Sentence 1000.")
    found = opened(tx, "vs_1", "file-1", start, start + 14)

    assert found is not None
    assert found.text == text[found.text_start : found.text_start + len(found.text)]
    assert "Sentence 1000." == text[found.start : found.end]
    assert 2 * AROUND <= len(found.text) <= 2 * AROUND + 1100


@pytest.mark.parametrize("key", [("vs_1", "file-2"), ("vs_2", "file-1")])
def test_what_is_not_indexed_does_not_open(tx: SQLiteTransaction, key: tuple[str, str]) -> None:
    """Another file, another store, a place behind the end."""
    paged(tx)

    assert opened(tx, *key, 0, 5) is None
    assert opened(tx, "vs_1", "file-1", 10_000, 10_005) is None
