"""Which vectors are nearest: exactly in small stores, by the index in large ones, and always an answer."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from local_assistants.storage.vectors.index import open_index
from tests.support.vector_rooms import SMALL, VectorRoom, question, units, vector_room

A, B = "vs_a", "vs_b"


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[VectorRoom]:
    """An empty one."""
    async with vector_room(tmp_path) as made:
        yield made


async def test_a_small_store_is_searched_exactly(room: VectorRoom) -> None:
    """The order is that of the cosines, which are told, and nothing is written for an index."""
    vectors = units(39)
    await room.put(A, "one", vectors[:20])
    await room.put(A, "two", vectors[20:])

    (ranking,) = await room.nearest.nearest([A], [vectors[7]], 5)

    assert ranking[0][0] == f"{A}/one/7"
    assert ranking[0][1] == pytest.approx(1.0)
    assert await room.found(A, question(), 9) == await room.expected(A, question(), 9)
    assert not (room.folder / "vectors").exists()


async def test_each_query_has_its_own_ranking(room: VectorRoom) -> None:
    """Several queries over several stores: one merged list for each."""
    vectors = units(30)
    await room.put(A, "one", vectors[:15])
    await room.put(B, "one", vectors[15:])

    rankings = await room.nearest.nearest([A, B, A], [vectors[3], vectors[20]], 3)

    assert [ranking[0][0] for ranking in rankings] == [f"{A}/one/3", f"{B}/one/5"]
    assert [len(ranking) for ranking in rankings] == [3, 3]
    scores = [score for _, score in rankings[0]]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("files", [{"f0"}, {"f1", "f2", "f3", "gone"}, {"gone"}, set[str]()])
async def test_files_narrow_a_search(room: VectorRoom, files: set[str]) -> None:
    """Only chunks of these files are candidates, few or many, and never more than there are."""
    vectors = units(40)
    for number in range(5):
        await room.put(A, f"f{number}", vectors[8 * number : 8 * number + 8])

    found = await room.found(A, question(), 10, files)

    assert found == await room.expected(A, question(), 10, files)


async def test_an_empty_store_has_no_candidates(room: VectorRoom) -> None:
    """A store without vectors, one that does not exist, and no query at all are no errors."""
    await room.put(A, "one", [])

    assert await room.nearest.nearest([A, "vs_none"], units(2), 5) == [[], []]
    assert await room.nearest.nearest([A], [], 5) == []
    assert await room.nearest.nearest([], units(1), 5) == [[]]


async def test_new_vectors_are_found_at_once(room: VectorRoom) -> None:
    """What was kept in memory is forgotten by whatever changes it."""
    vectors = units(20)
    await room.put(A, "one", vectors[:10])
    before = await room.found(A, vectors[15], 1)
    await room.put(A, "two", vectors[10:])
    between = await room.found(A, vectors[15], 1)
    await room.remove(A, "two")

    assert (before[0] != between[0], between) == (True, [f"{A}/two/5"])
    assert await room.found(A, vectors[15], 1) == before


async def test_a_large_store_is_searched_by_the_index(room: VectorRoom) -> None:
    """Once the index is filled it answers, and finds what exact search finds."""
    vectors = units(200)
    await room.put(A, "one", vectors)
    await room.nearest.settled()

    assert await room.index.count(A) == 200
    for seed in range(3):
        asked = question(seed)
        assert await room.found(A, asked, 5) == await room.expected(A, asked, 5)


async def test_a_large_store_is_found_before_its_index_is_filled(room: VectorRoom) -> None:
    """Nobody waits for the index: until it is ready the answer is the exact one."""
    await room.put(A, "one", units(300))

    found = await room.found(A, question(), 5)

    assert found == await room.expected(A, question(), 5)


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("count", [1, 10, 29])
async def test_a_filter_of_a_large_store(tmp_path: Path, count: int, *, kept: bool) -> None:
    """Whatever share it leaves, and whether or not the store fits into memory, the right chunks come."""
    settings = SMALL if kept else replace(SMALL, cache_bytes=0)
    vectors = units(300)
    files = {f"f{number}" for number in range(count)}
    async with vector_room(tmp_path, settings) as room:
        for number in range(30):
            await room.put(A, f"f{number}", vectors[10 * number : 10 * number + 10])
        await room.nearest.settled()

        found = await room.found(A, question(), 5, files)

        assert found == await room.expected(A, question(), 5, files)


async def test_too_large_for_memory_and_no_index(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Then there are no candidates by vectors, and the log names the setting; a narrow filter still has some."""
    vectors = units(100)
    async with vector_room(tmp_path, replace(SMALL, cache_bytes=1000)) as room:
        owner = open_index(tmp_path / "vectors")
        await owner.upsert("vs_other", [("x", vectors[0])])  # has the folder from now on
        await room.put(A, "one", vectors[:90])
        await room.put(A, "two", vectors[90:])
        await room.nearest.settled()

        assert await room.found(A, vectors[5], 5) == []
        assert await room.found(A, vectors[95], 1, {"two"}) == [f"{A}/two/5"]
        await owner.close()
    assert "cache_bytes of [file_search.index]" in caplog.text
    assert "Another process uses the vector index" in caplog.text


async def test_memory_is_kept_within_its_budget(tmp_path: Path) -> None:
    """More stores than fit take turns, and all are answered."""
    vectors = units(60)
    async with vector_room(tmp_path, replace(SMALL, cache_bytes=30 * 256)) as room:
        for number in range(3):
            part = vectors[20 * number : 20 * number + 20]
            await room.put(f"vs_{number}", "one", part)

        for _ in range(2):
            for number in range(3):
                found = await room.found(f"vs_{number}", vectors[20 * number + 4], 1)
                assert found == [f"vs_{number}/one/4"]


async def test_a_small_store_that_is_not_kept(tmp_path: Path) -> None:
    """Without any memory for vectors a small store is read at each search."""
    async with vector_room(tmp_path, replace(SMALL, cache_bytes=0)) as room:
        await room.put(A, "one", units(30))

        for seed in range(2):
            asked = question(seed)
            assert await room.found(A, asked, 5) == await room.expected(A, asked, 5)


async def test_what_another_process_commits(tmp_path: Path) -> None:
    """It is found by the next search, though nobody here was told."""
    vectors = units(30)
    async with vector_room(tmp_path) as room, vector_room(tmp_path) as other:
        await room.put(A, "one", vectors[:20])
        before = await room.found(A, vectors[25], 1)
        await other.put(A, "two", vectors[20:])

        assert before != [f"{A}/two/5"]
        assert await room.found(A, vectors[25], 1) == [f"{A}/two/5"]


async def test_searches_beside_writes(room: VectorRoom) -> None:
    """While files come, every search finds what was committed before it."""
    vectors = units(120)

    async def write() -> None:
        for number in range(1, 12):
            await room.put(A, f"f{number}", vectors[10 * number : 10 * number + 10])

    await room.put(A, "f0", vectors[:10])
    writing = asyncio.create_task(write())
    while not writing.done():
        assert await room.found(A, vectors[3], 1) == [f"{A}/f0/3"]
    await writing
    await room.nearest.settled()

    assert await room.found(A, vectors[119], 1) == [f"{A}/f11/9"]
    assert await room.index.count(A) == 120
