"""Text and vectors of indexed files, extracts, search among stores and files, the ledger of what stores take."""

from dataclasses import replace
from typing import Any

import pytest

from local_assistants.engine.errors import StorageFault
from local_assistants.engine.objects import VectorStore
from local_assistants.engine.ports import Chunk, Extract, StoragePeriod, Store, Transaction
from tests.contract.store import samples
from tests.contract.store.conftest import put


def chunk(store: str, file: str, index: int, text: str = "walrus", **fields: Any) -> Chunk:
    """A chunk under the key that indexed files have, ten characters after the one before."""
    start = 10 * index
    made = Chunk(f"{store}/{file}/{index}", store, file, index, text, start, start + 15)
    return replace(made, **fields)


def extract(store: str, file: str, **fields: Any) -> Extract:
    """What was made of a file; complete."""
    made = Extract(store, file, "hash", "recipe", "a.pdf", 30, 3, "opening", complete=True)
    return replace(made, **fields)


async def add(store: Store, *chunks: Chunk) -> None:
    """Store chunks and the vector stores that they are of."""
    for number in {one.vector_store_id.removeprefix("vs_") for one in chunks}:
        await put(store, samples.vector_store(int(number)))
    await store.write(lambda tx: tx.put_chunks(chunks))


# --- vectors -----------------------------------------------------------------------------------------


async def test_text_is_found_before_its_vectors_are_there(store: Store) -> None:
    """What waits for vectors is listed in order, as many as are asked for."""
    await add(store, *(chunk("vs_1", "file-1", n) for n in range(5)))
    await store.write(lambda tx: tx.put_vectors([("vs_1/file-1/1", b"one"), ("gone/x/1", b"x")]))

    def ask(tx: Transaction) -> tuple[list[int], int, int]:
        waiting = [one.index for one in tx.chunks_to_embed("vs_1", "file-1", 3)]
        return waiting, tx.count_vectors("vs_1"), len(tx.match_chunks(["vs_1"], "walrus", 9))

    assert ([0, 2, 3], 1, 5) == await store.read(ask)


async def test_a_text_that_is_put_again_without_a_vector_has_none(store: Store) -> None:
    """The old vector does not stand for the new text."""
    await add(store, chunk("vs_1", "file-1", 0, vector=b"old"))
    await store.write(lambda tx: tx.put_chunks([chunk("vs_1", "file-1", 0, "penguin")]))
    assert ({}, 0) == await store.read(
        lambda tx: (tx.vectors(["vs_1/file-1/0"]), tx.count_vectors("vs_1"))
    )
    await store.write(lambda tx: tx.put_vectors([("vs_1/file-1/0", b"a"), ("vs_1/file-1/0", b"b")]))
    assert ({"vs_1/file-1/0": b"b"}, 1) == await store.read(
        lambda tx: (tx.vectors(["vs_1/file-1/0"]), tx.count_vectors("vs_1"))
    )


async def test_vectors_of_a_store_and_of_some_of_its_files(store: Store) -> None:
    """In order of file and index; None means all files, an empty collection none."""
    files = ("file-b", "file-a", "file-c")
    await add(
        store,
        *(chunk("vs_1", f, n, vector=f"{f}{n}".encode()) for n in (1, 0) for f in files),
        chunk("vs_2", "file-a", 0, vector=b"other"),
        chunk("vs_1", "file-a", 2),
    )

    def ask(tx: Transaction, files: list[str] | None) -> list[bytes]:
        found = tx.store_vectors("vs_1", files)
        assert len(found) == tx.count_vectors("vs_1", files)
        assert dict(found) == tx.vectors([id_ for id_, _ in found])
        return [vector for _, vector in found]

    everything = [b"file-a0", b"file-a1", b"file-b0", b"file-b1", b"file-c0", b"file-c1"]
    assert everything == await store.read(lambda tx: ask(tx, None))
    some = await store.read(lambda tx: ask(tx, ["file-c", "file-a", "file-x", "file-c"]))
    assert [*everything[:2], *everything[4:]] == some
    assert [] == await store.read(lambda tx: ask(tx, []))


async def test_counts_follow_what_is_deleted(store: Store) -> None:
    """By file and by store."""
    await add(store, *(chunk("vs_1", f"file-{n}", 0, vector=b"v") for n in range(4)))
    await store.write(lambda tx: tx.delete_chunks("vs_1", "file-2"))
    assert await store.read(lambda tx: tx.count_vectors("vs_1")) == 3
    await store.write(lambda tx: tx.delete_chunks("vs_1"))
    assert await store.read(lambda tx: tx.count_vectors("vs_1")) == 0


async def test_the_chunks_around_a_stretch_of_text(store: Store) -> None:
    """Those that overlap it, in order; one that only touches it does not count."""
    await add(store, *(chunk("vs_1", "file-1", n, vector=b"v") for n in range(4)))
    found = await store.read(lambda tx: tx.chunk_span("vs_1", "file-1", 15, 20))
    assert [(1, None)] == [(one.index, one.vector) for one in found]
    found = await store.read(lambda tx: tx.chunk_span("vs_1", "file-1", 14, 21))
    assert [0, 1, 2] == [one.index for one in found]
    assert [] == await store.read(lambda tx: tx.chunk_span("vs_1", "file-1", 45, 99))


async def test_a_chunk_that_moves_to_another_store_leaves_the_first(store: Store) -> None:
    """It is found where it is now, and counted there."""
    await add(store, chunk("vs_1", "file-1", 0, vector=b"v"), chunk("vs_2", "file-9", 0))
    moved = replace(chunk("vs_1", "file-1", 0, vector=b"v"), vector_store_id="vs_2")
    await store.write(lambda tx: tx.put_chunks([moved]))

    def ask(tx: Transaction) -> tuple[int, int, list[str]]:
        found = [id_ for id_, _ in tx.match_chunks(["vs_2"], "walrus", 9)]
        return tx.count_vectors("vs_1"), tx.count_vectors("vs_2"), sorted(found)

    assert (0, 1, ["vs_1/file-1/0", "vs_2/file-9/0"]) == await store.read(ask)
    assert [] == await store.read(lambda tx: tx.match_chunks(["vs_1"], "walrus", 9))


# --- search ------------------------------------------------------------------------------------------


async def test_search_within_some_files(store: Store) -> None:
    """None means all, an empty collection none; a file of another store is no file of this one."""
    await add(
        store,
        *(chunk("vs_1", f"file-{n}", 0) for n in range(6)),
        chunk("vs_2", "file-7", 0),
    )

    async def ask(*files: str) -> list[str]:
        found = await store.read(lambda tx: tx.match_chunks(["vs_1"], "walrus", 9, files))
        return sorted(id_.split("/")[1] for id_, _ in found)

    assert ["file-1", "file-4"] == await ask("file-4", "file-1", "file-7", "file-404")
    assert [] == await ask()
    assert len(await store.read(lambda tx: tx.match_chunks(["vs_1"], "walrus", 9, None))) == 6


async def test_texts_found_otherwise_are_judged_by_their_words_too(store: Store) -> None:
    """They come beside the best, as relevant as in a search for all; without any of the words they do not."""
    texts = [f"walrus {'tusk ' * n}" for n in range(9)] + ["penguin"]
    await add(store, *(chunk("vs_1", f"f{n}", 0, text) for n, text in enumerate(texts)))
    also = ["vs_1/f0/0", "vs_1/f9/0", "vs_2/f0/0"]

    def look(tx: Transaction) -> tuple[list[tuple[str, float]], list[tuple[str, float]]]:
        everything = tx.match_chunks(["vs_1"], "walrus tusk", 99)
        return everything, tx.match_chunks(["vs_1"], "walrus tusk", 2, also=also)

    everything, found = await store.read(look)
    assert found == [*everything[:2], everything[-1]]
    assert found[-1][0] == "vs_1/f0/0"


async def test_search_within_most_files_of_a_store(store: Store) -> None:
    """The best of them, also when those of the other files match better."""
    await add(
        store,
        *(chunk("vs_1", f"file-{n}", 0, f"walrus number{n} " * (1 + n % 2)) for n in range(60)),
    )
    for n in range(60):
        made = extract("vs_1", f"file-{n}")
        await store.write(lambda tx, made=made: tx.put_extract(made))  # type: ignore[misc]
    all_of_them = await store.read(lambda tx: tx.match_chunks(["vs_1"], "walrus", 60))
    for remainder in (0, 1):
        files = {f"file-{n}" for n in range(60) if n % 2 == remainder}
        expected = [hit for hit in all_of_them if hit[0].split("/")[1] in files]
        for limit in (5, 30, 60):
            found = await store.read(
                lambda tx, f=files, n=limit: tx.match_chunks(["vs_1"], "walrus", n, f)  # type: ignore[misc]
            )
            assert expected[:limit] == found


async def test_what_is_rare_is_judged_by_the_stores_searched(store: Store) -> None:
    """A word that all texts of a store have says nothing there, though it is rare in the whole database."""
    company = [f"nike nike nike annual report part {n}" for n in range(9)]
    texts = [*company, "nike growth of footwear"]
    await add(
        store,
        *(chunk("vs_1", "file-1", n, text) for n, text in enumerate(texts)),
        *(chunk("vs_2", "file-2", n, f"growth of bank {n}") for n in range(200)),
    )
    alone = await store.read(lambda tx: tx.match_chunks(["vs_1"], "nike growth", 10))
    assert alone[0][0] == "vs_1/file-1/9"
    assert len(alone) == 10
    assert alone[0][1] > 2 * alone[1][1]


async def test_relevance_does_not_depend_on_other_stores(store: Store) -> None:
    """The same search has the same result when another store holds the same words many times."""
    words = ("walrus", "penguin", "seal", "otter")
    texts = [" ".join([words[n % 4], words[n // 4 % 4], f"number{n}", "sea"]) for n in range(40)]
    await add(store, *(chunk("vs_1", "file-1", n, text) for n, text in enumerate(texts)))
    before = await store.read(lambda tx: tx.match_chunks(["vs_1"], "walrus otter number7", 40))
    await add(store, *(chunk("vs_2", "file-2", n, "walrus number7 sea bird") for n in range(300)))
    after = await store.read(lambda tx: tx.match_chunks(["vs_1"], "walrus otter number7", 40))
    assert [id_ for id_, _ in before] == [id_ for id_, _ in after]
    assert [pytest.approx(score) for _, score in before] == [score for _, score in after]


async def test_a_word_that_is_repeated_counts_by_bm25_with_a_k1_of_0_9(store: Store) -> None:
    """In texts of one length: 3 / (3 + 0.9) against 1 / (1 + 0.9), also beside a store where the word is frequent."""
    texts = ["walrus sea ice sun", "walrus walrus walrus sun", *["seal sea ice sun"] * 8]
    await add(store, *(chunk("vs_1", "file-1", n, text) for n, text in enumerate(texts)))
    expected = pytest.approx((3 / 3.9) / (1 / 1.9))
    found = await store.read(lambda tx: tx.match_chunks(["vs_1"], "walrus", 9))
    assert expected == found[0][1] / found[1][1]
    await add(store, *(chunk("vs_2", "file-2", n, "walrus ice sun sea") for n in range(90)))
    found = await store.read(lambda tx: tx.match_chunks(["vs_1"], "walrus", 9))
    assert expected == found[0][1] / found[1][1]


async def test_frequent_words_only_order_what_rare_words_found(store: Store) -> None:
    """In a large store: a text with the rare word is found, and first if it has the frequent one too."""
    await add(
        store,
        *(
            chunk("vs_1", "file-1", n, f"revenue of year{n % 50}" if n % 3 else f"item {n}")
            for n in range(3000)
        ),
        chunk("vs_1", "file-1", 3000, "a walrus item here"),
        chunk("vs_1", "file-1", 3001, "a walrus revenue here"),
    )
    found = await store.read(lambda tx: tx.match_chunks(["vs_1"], "revenue of the walrus", 10))
    assert ["vs_1/file-1/3000", "vs_1/file-1/3001"] == sorted(id_ for id_, _ in found[:2])
    only = await store.read(lambda tx: tx.match_chunks(["vs_1"], "revenue", 10))
    assert len(only) == 10


async def test_files_are_found_by_name_and_opening(store: Store) -> None:
    """By store and file; within some files; only in the stores named."""
    await put(store, samples.vector_store(1), samples.vector_store(2))

    def write(tx: Transaction) -> None:
        tx.put_extract(extract("vs_1", "file-1", filename="NIKE_2023_10K.pdf", opening="Annual"))
        tx.put_extract(extract("vs_1", "file-2", filename="b.pdf", opening="A letter to Nike"))
        tx.put_extract(extract("vs_1", "file-3", filename="c.pdf", opening="Nothing"))
        tx.put_extract(extract("vs_2", "file-1", filename="nike.txt"))

    await store.write(write)

    async def ask(text: str, files: list[str] | None = None) -> set[str]:
        found = await store.read(lambda tx: tx.match_files(["vs_1"], text, 9, files))
        assert all(score > 0 for _, score in found)
        return {key for key, _ in found}

    assert {"vs_1/file-1", "vs_1/file-2"} == await ask("What does Nike say?")
    assert {"vs_1/file-2"} == await ask("nike", ["file-2", "file-3"])
    await store.write(lambda tx: tx.put_extract(extract("vs_1", "file-1", filename="d.pdf")))
    assert {"vs_1/file-2"} == await ask("nike")


# --- extracts ----------------------------------------------------------------------------------------


async def test_an_extract_comes_back_and_is_replaced(store: Store) -> None:
    """Every field; it goes with the file's chunks."""
    await put(store, samples.vector_store())
    for made in (extract("vs_1", "file-1"), extract("vs_1", "file-1", chunks=9, complete=False)):
        await store.write(lambda tx, made=made: tx.put_extract(made))  # type: ignore[misc]
        assert made == await store.read(lambda tx: tx.extract("vs_1", "file-1"))
    await store.write(lambda tx: tx.delete_chunks("vs_1", "file-1"))
    assert await store.read(lambda tx: tx.extract("vs_1", "file-1")) is None


async def test_only_a_complete_extract_of_the_same_recipe_is_found(store: Store) -> None:
    """The oldest one."""
    await put(store, samples.vector_store())
    others: list[dict[str, Any]] = [{"complete": False}, {"recipe": "other"}, {"content": "else"}]
    for number, fields in enumerate([*others, {}, {}]):
        made = extract("vs_1", f"file-{number}", **fields)
        await store.write(lambda tx, made=made: tx.put_extract(made))  # type: ignore[misc]
    found = await store.read(lambda tx: tx.find_extract("hash", "recipe", "vs_1"))
    assert found == extract("vs_1", "file-3")
    assert await store.read(lambda tx: tx.find_extract("hash", "new", "vs_1")) is None


async def test_a_copy_has_text_and_vectors_under_its_own_name(store: Store) -> None:
    """In place of what the file had; searchable at once; the first file stays as it is."""
    await add(
        store,
        chunk("vs_1", "file-1", 0, "walrus", heading="a.pdf > One", vector=b"v0", page=3),
        chunk("vs_1", "file-1", 1, "seal", heading="elsewhere", vector=b"v1"),
        chunk("vs_2", "file-2", 5, "penguin"),
    )
    source, target = extract("vs_1", "file-1"), extract("vs_2", "file-2", filename="b.pdf")
    assert await store.write(lambda tx: tx.copy_chunks(source, target)) == 2
    expected = [
        chunk("vs_2", "file-2", 0, "walrus", heading="b.pdf > One", vector=b"v0", page=3),
        chunk("vs_2", "file-2", 1, "seal", heading="elsewhere", vector=b"v1"),
    ]
    assert expected == await store.read(lambda tx: tx.file_chunks("vs_2"))
    found = await store.read(lambda tx: tx.match_chunks(["vs_2"], "walrus penguin", 9))
    assert ["vs_2/file-2/0"] == [id_ for id_, _ in found]
    assert await store.read(lambda tx: (tx.count_vectors("vs_1"), tx.count_vectors("vs_2"))) == (
        2,
        2,
    )


async def test_a_file_may_be_copied_within_its_store(store: Store) -> None:
    """Two files of equal content in one store."""
    await add(store, *(chunk("vs_1", "file-1", n, vector=b"v") for n in range(3)))
    copied = await store.write(
        lambda tx: tx.copy_chunks(extract("vs_1", "file-1"), extract("vs_1", "file-2"))
    )
    assert copied == 3
    assert await store.read(lambda tx: tx.count_vectors("vs_1")) == 6


# --- ledger ------------------------------------------------------------------------------------------


async def test_the_ledger_has_a_period_for_each_size(store: Store) -> None:
    """A size ends when the next begins; the same again changes nothing; 0 begins none."""
    await put(store, samples.vector_store())
    for at, size in ((10, 100), (20, 100), (30, 200), (40, 0), (50, 0), (60, 5)):
        await store.write(lambda tx, at=at, size=size: tx.add_storage("vs_1", size, at))  # type: ignore[misc]
    found = await store.read(lambda tx: tx.storage_since(0, 100))
    assert [(100, 10, 30), (200, 30, 40), (5, 60, None)] == [
        (one.usage_bytes, one.since, one.until) for one in found
    ]


async def test_the_ledger_of_a_stretch_of_time_reaches_into_it(store: Store) -> None:
    """Periods that end when it begins, or begin when it ends, do not count; an open one does."""
    await put(store, samples.vector_store(1), samples.vector_store(2))
    for at, size in ((10, 1), (20, 2), (30, 3), (40, 0)):
        await store.write(lambda tx, at=at, size=size: tx.add_storage("vs_1", size, at))  # type: ignore[misc]
    await store.write(lambda tx: tx.add_storage("vs_2", 7, 15))

    async def ask(since: int, until: int) -> list[int]:
        found = await store.read(lambda tx: tx.storage_since(since, until))
        return [one.usage_bytes for one in found]

    assert [7, 2] == await ask(20, 30)
    assert [1, 7, 2] == await ask(19, 21)
    assert [7] == await ask(40, 50)
    assert [] == await ask(0, 10)


async def test_what_was_stored_stays_on_the_ledger_when_the_store_is_deleted(store: Store) -> None:
    """Its end can be noted afterwards; no new period begins for a store that is not there."""
    await put(store, samples.vector_store())
    await store.write(lambda tx: tx.add_storage("vs_1", 100, 10))
    await store.write(lambda tx: tx.add_storage("vs_1", 0, 20))
    await store.write(lambda tx: tx.delete(VectorStore, "vs_1"))
    await store.write(lambda tx: tx.add_storage("vs_1", 100, 30))
    found = await store.read(lambda tx: tx.storage_since(0, 100))
    assert [("vs_1", 100, 10, 20)] == [
        (one.vector_store_id, one.usage_bytes, one.since, one.until) for one in found
    ]


# --- projects ----------------------------------------------------------------------------------------


async def test_texts_of_another_project_are_not_there(whole: Store) -> None:
    """Neither to read, to search, to copy nor to count; nothing can be written among them."""
    theirs, ours = whole.scoped("theirs"), whole.scoped("ours")
    await put(ours, samples.vector_store(2))
    await add(theirs, chunk("vs_1", "file-1", 0, vector=b"v"), chunk("vs_1", "file-1", 1))
    await put(theirs, samples.store_file(1, attributes={"year": 2020}))
    await theirs.write(lambda tx: tx.put_extract(extract("vs_1", "file-1")))
    await theirs.write(lambda tx: tx.add_storage("vs_1", 9, 10))

    def read(tx: Transaction) -> list[object]:
        return [
            tx.chunks_to_embed("vs_1", "file-1", 9),
            tx.chunk_span("vs_1", "file-1", 0, 99),
            tx.vectors(["vs_1/file-1/0"]),
            tx.store_vectors("vs_1"),
            tx.count_vectors("vs_1"),
            tx.count_vectors("vs_1", ["file-1"]),
            tx.match_files(["vs_1"], "opening", 9),
            tx.matching_files(["vs_1"], {"type": "eq", "key": "year", "value": 2020}),
            tx.extract("vs_1", "file-1"),
            tx.storage_since(0, 99),
        ]

    nothing: list[object] = [[], [], {}, [], 0, 0, [], set[str](), None, []]
    assert nothing == await ours.read(read)
    assert all(await theirs.read(read))

    await ours.write(lambda tx: tx.put_vectors([("vs_1/file-1/1", b"forged")]))
    await ours.write(lambda tx: tx.add_storage("vs_1", 1, 20))
    for source, target in (("vs_1", "vs_2"), ("vs_2", "vs_1")):
        with pytest.raises(StorageFault):
            await ours.write(
                lambda tx, s=source, t=target: tx.copy_chunks(  # type: ignore[misc]
                    extract(s, "file-1"), extract(t, "file-1")
                )
            )
    with pytest.raises(StorageFault):
        await ours.write(lambda tx: tx.put_extract(extract("vs_1", "file-2")))
    assert await theirs.read(lambda tx: tx.count_vectors("vs_1")) == 1
    periods = await theirs.read(lambda tx: tx.storage_since(0, 99))
    assert [StoragePeriod("theirs", "vs_1", 9, 10)] == periods
