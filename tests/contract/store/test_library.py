"""Chunks, keyword search, counts of vector store files and batches."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_assistants.engine.objects import FileCounts, VectorStoreFile
from local_assistants.engine.ports import Chunk, Store, Transaction
from local_assistants.engine.states import StoreFileStatus
from tests.contract.store import samples
from tests.contract.store.conftest import put


async def add(store: Store, *chunks: Chunk) -> None:
    """Store chunks and the vector stores that they are of."""
    for number in {chunk.vector_store_id.removeprefix("vs_") for chunk in chunks}:
        await put(store, samples.vector_store(int(number)))
    await store.write(lambda tx: tx.put_chunks(chunks))


async def match(store: Store, text: str, *stores: str, limit: int = 10) -> list[str]:
    """Ids of the chunks found in `stores` (vs_1 when none is named), best first."""
    found = await store.read(lambda tx: tx.match_chunks(stores or ("vs_1",), text, limit))
    assert all(relevance > 0 for _, relevance in found)
    assert [r for _, r in found] == sorted((r for _, r in found), reverse=True)
    return [chunk_id for chunk_id, _ in found]


async def test_a_chunk_comes_back_with_its_vector(store: Store) -> None:
    """Every field, the vector byte for byte."""
    chunk = samples.chunk(1, "text", page=3, heading="a.pdf > Risks", vector=bytes(range(256)))
    await add(store, chunk)
    assert [chunk] == await store.read(lambda tx: tx.chunks(["chunk_1"]))


async def test_chunks_come_in_the_order_asked_for(store: Store) -> None:
    """Unknown ids are left out."""
    await add(store, *(samples.chunk(n, str(n)) for n in range(12)))
    wanted = ["chunk_11", "chunk_2", "chunk_404", "chunk_7"]
    found = await store.read(lambda tx: tx.chunks(wanted))
    assert ["chunk_11", "chunk_2", "chunk_7"] == [chunk.id for chunk in found]


async def test_chunks_of_a_file_and_of_a_store(store: Store) -> None:
    """In order of file and index, whatever the order of insertion."""
    await add(
        store,
        samples.chunk(2, "b"),
        samples.chunk(10, "c"),
        samples.chunk(1, "a"),
        samples.chunk(3, "d", file_id="file-0"),
        samples.chunk(4, "e", vector_store_id="vs_2"),
    )
    of_file, of_store = await store.read(
        lambda tx: (tx.file_chunks("vs_1", "file-1"), tx.file_chunks("vs_1"))
    )
    assert [1, 2, 10] == [chunk.index for chunk in of_file]
    assert [3, 1, 2, 10] == [chunk.index for chunk in of_store]


async def test_deleted_chunks_are_named_and_not_found_any_more(store: Store) -> None:
    """A file's chunks leave text and word index together; other stores keep theirs."""
    await add(
        store,
        samples.chunk(1, "walrus"),
        samples.chunk(2, "walrus", file_id="file-2"),
        samples.chunk(3, "walrus", vector_store_id="vs_2"),
    )
    assert ["chunk_1"] == await store.write(lambda tx: tx.delete_chunks("vs_1", "file-1"))
    assert ["chunk_2"] == await match(store, "walrus")
    assert ["chunk_2"] == await store.write(lambda tx: tx.delete_chunks("vs_1"))
    assert [] == await match(store, "walrus")
    assert ["chunk_3"] == await match(store, "walrus", "vs_2")


async def test_a_chunk_put_again_is_found_by_its_new_words_only(store: Store) -> None:
    """The word index follows a replacement."""
    await add(store, samples.chunk(1, "walrus"))
    await add(store, samples.chunk(1, "penguin"))
    assert ([], ["chunk_1"]) == (await match(store, "walrus"), await match(store, "penguin"))


async def test_words_follow_a_rolled_back_transaction(store: Store) -> None:
    """A failed change leaves neither text nor words."""
    await put(store, samples.vector_store(1))

    def add_and_fail(tx: Transaction) -> None:
        tx.put_chunks([samples.chunk(1, "walrus")])
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        await store.write(add_and_fail)
    assert [] == await match(store, "walrus")
    assert [] == await store.read(lambda tx: tx.file_chunks("vs_1"))


async def test_search_stems_ignores_case_and_accents(store: Store) -> None:
    """Failures finds FAILED; cafe finds Café."""
    await add(store, samples.chunk(1, "The bank FAILED."), samples.chunk(2, "Le Café Noir"))
    assert ["chunk_1"] == await match(store, "failures of banks")
    assert ["chunk_2"] == await match(store, "cafe\u0301")


async def test_better_matches_come_first(store: Store) -> None:
    """More of the rare words beat fewer."""
    await add(
        store,
        samples.chunk(1, "revenue of the company in the year"),
        samples.chunk(2, "operating revenue of activision in fiscal 2019"),
        *(samples.chunk(n, "revenue and other things entirely") for n in range(3, 9)),
    )
    found = await match(store, "What was the operating revenue of Activision?", limit=3)
    assert (found[0], len(found)) == ("chunk_2", 3)


async def test_the_heading_counts(store: Store) -> None:
    """A file's name and heading path find its chunks."""
    await add(store, samples.chunk(1, "net sales rose", heading="NIKE_2023_10K.pdf > Item 7"))
    assert ["chunk_1"] == await match(store, "nike 10k")


async def test_several_stores_are_searched_together(store: Store) -> None:
    """Only the named ones."""
    await add(store, *(samples.chunk(n, "walrus", vector_store_id=f"vs_{n}") for n in (1, 2, 3)))
    assert {"chunk_1", "chunk_3"} == set(await match(store, "walrus", "vs_1", "vs_3"))
    assert [] == await store.read(lambda tx: tx.match_chunks([], "walrus", 5))


@pytest.mark.parametrize(
    "text",
    [
        '"',
        '""',
        'walrus"',
        "walrus' OR 1=1 --",
        "walrus*",
        "text:walrus",
        "{heading text}: walrus",
        "^walrus",
        "walrus AND NOT walrus",
        "NEAR(walrus penguin, 3)",
        "(walrus",
        "walrus + penguin",
        "-walrus",
        "walrus\x00\ud800",
        "NOT",
        "AND OR NOT NEAR",
        "\\",
        "%_walrus_%",
        " ".join(["walrus", *(f"word{n}" for n in range(5000))]),
    ],
)
async def test_no_text_is_query_syntax(store: Store, text: str) -> None:
    """Operators, quotes and column filters in a question are words or nothing."""
    await add(store, samples.chunk(1, "the walrus"))
    assert (["chunk_1"] if "walrus" in text else []) == await match(store, text)


@given(text=st.text(max_size=60))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_any_text_may_be_asked_and_stored(store: Store, text: str) -> None:
    """No question breaks the search, no text breaks the index, and lengths stay."""
    await add(store, samples.chunk(1, text, heading=text))
    await match(store, text)
    (found,) = await store.read(lambda tx: tx.chunks(["chunk_1"]))
    assert len(found.text) == len(text)
    assert found.text.replace("\ufffd", "") == "".join(
        char for char in text if char not in "\x00\ufffd" and not "\ud800" <= char <= "\udfff"
    )


async def test_a_question_of_stop_words_only_still_finds_them(store: Store) -> None:
    """Nothing better to go by."""
    await add(store, samples.chunk(1, "to be or not to be"))
    assert ["chunk_1"] == await match(store, "to be or not to be")


async def test_counts_of_a_vector_store(store: Store) -> None:
    """By status, with the sum of their bytes; another store's do not count."""
    await put(store, samples.vector_store(1), samples.vector_store(2))
    for number, status in enumerate(StoreFileStatus, start=1):
        await put(store, samples.store_file(number, status=status, usage_bytes=number))
    await put(store, samples.store_file(9, vector_store_id="vs_2", usage_bytes=100))
    await put(store, samples.store_file(5, status=StoreFileStatus.COMPLETED, usage_bytes=10))
    expected = FileCounts(in_progress=1, completed=2, cancelled=1, failed=1, total=5)
    assert (expected, 20) == await store.read(lambda tx: tx.count_store_files("vs_1"))


async def test_an_empty_vector_store_counts_nothing(store: Store) -> None:
    """Zeros, not nulls."""
    assert (FileCounts(), 0) == await store.read(lambda tx: tx.count_store_files("vs_1"))


async def test_counts_of_a_batch(store: Store) -> None:
    """Its members only, each once; a file taken out of the store does not count."""
    await put(store, samples.vector_store(), samples.batch())
    await put(store, *(samples.store_file(n) for n in (1, 2, 3)))
    await store.write(lambda tx: tx.add_to_batch("vsfb_1", "vs_1", ["file-1", "file-2", "file-1"]))
    await put(store, samples.store_file(2, status=StoreFileStatus.FAILED))
    expected = FileCounts(in_progress=1, failed=1, total=2)
    assert expected == await store.read(lambda tx: tx.count_batch_files("vsfb_1"))
    await store.write(lambda tx: tx.delete(VectorStoreFile, "vs_1/file-2"))
    assert FileCounts(in_progress=1, total=1) == await store.read(
        lambda tx: tx.count_batch_files("vsfb_1")
    )


async def test_stores_with_a_file(store: Store) -> None:
    """All vector stores it lies in, until it is taken out."""
    await put(store, samples.vector_store(1), samples.vector_store(2))
    await put(store, samples.store_file(1, vector_store_id="vs_2"), samples.store_file(1))
    assert ["vs_2", "vs_1"] == await store.read(lambda tx: tx.stores_with_file("file-1"))
    await store.write(lambda tx: tx.delete(VectorStoreFile, "vs_2/file-1"))
    assert ["vs_1"] == await store.read(lambda tx: tx.stores_with_file("file-1"))
    assert [] == await store.read(lambda tx: tx.stores_with_file("file-9"))
