"""What every VectorIndex must do."""

import pytest

from local_assistants.engine.ports import VectorIndex

EAST, NORTH, WEST = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]


async def test_finds_nearest_first(index: VectorIndex) -> None:
    """A query gives ids with their cosine similarity, best first."""
    await index.upsert("vs_a", ["e", "n", "w"], [EAST, NORTH, WEST], "file-1")

    found = await index.query("vs_a", [1.0, 0.0, 0.0], 3)

    assert [id_ for id_, _ in found] == ["e", "n", "w"]
    assert [score for _, score in found] == pytest.approx([1.0, 0.0, -1.0], abs=1e-5)


async def test_limit_bounds_the_answer(index: VectorIndex) -> None:
    """No more than `limit` ids come back."""
    await index.upsert("vs_a", ["e", "n", "w"], [EAST, NORTH, WEST], "file-1")

    assert [id_ for id_, _ in await index.query("vs_a", NORTH, 1)] == ["n"]


async def test_limit_beyond_the_collection(index: VectorIndex) -> None:
    """Asking for more than there is gives what there is."""
    await index.upsert("vs_a", ["e", "n"], [EAST, NORTH], "file-1")

    assert len(await index.query("vs_a", NORTH, 100)) == 2


async def test_unknown_collection_is_empty(index: VectorIndex) -> None:
    """Nothing has to be made before it is asked for, counted, emptied or dropped."""
    assert await index.query("vs_none", EAST, 5) == []
    assert await index.count("vs_none") == 0
    await index.delete("vs_none", ["x"])
    await index.drop("vs_none")


async def test_upsert_replaces(index: VectorIndex) -> None:
    """A second upsert of an id replaces its vector."""
    await index.upsert("vs_a", ["x"], [EAST], "file-1")
    await index.upsert("vs_a", ["x"], [WEST], "file-1")

    assert await index.count("vs_a") == 1
    assert (await index.query("vs_a", WEST, 1))[0][1] == pytest.approx(1.0, abs=1e-5)


async def test_collections_are_apart(index: VectorIndex) -> None:
    """The same id in two collections is two vectors; dropping one leaves the other."""
    await index.upsert("vs_a", ["x"], [EAST], "file-1")
    await index.upsert("vs_b", ["x"], [NORTH], "file-1")

    await index.drop("vs_a")

    assert await index.count("vs_a") == 0
    assert await index.query("vs_a", EAST, 1) == []
    assert (await index.query("vs_b", NORTH, 1))[0][1] == pytest.approx(1.0, abs=1e-5)


async def test_delete_removes_ids(index: VectorIndex) -> None:
    """Deleted ids are neither counted nor found; unknown ids do not matter."""
    await index.upsert("vs_a", ["e", "n", "w"], [EAST, NORTH, WEST], "file-1")

    await index.delete("vs_a", ["e", "never-there"])

    assert await index.count("vs_a") == 2
    assert [id_ for id_, _ in await index.query("vs_a", EAST, 3)] == ["n", "w"]


async def test_a_dropped_collection_can_be_made_again(index: VectorIndex) -> None:
    """A name is free after its collection was dropped."""
    await index.upsert("vs_a", ["e"], [EAST], "file-1")
    await index.drop("vs_a")
    await index.upsert("vs_a", ["n"], [NORTH], "file-2")

    assert [id_ for id_, _ in await index.query("vs_a", EAST, 5)] == ["n"]


async def test_takes_thousands_at_once(index: VectorIndex) -> None:
    """One upsert may hold more than any batch limit inside."""
    ids = [f"id-{number}" for number in range(6000)]
    vectors = [[1.0, number / 6000, 0.0] for number in range(6000)]

    await index.upsert("vs_a", ids, vectors, "file-1")

    assert await index.count("vs_a") == 6000


async def test_empty_upsert(index: VectorIndex) -> None:
    """Upserting nothing is no error."""
    await index.upsert("vs_a", [], [], "file-1")

    assert await index.count("vs_a") == 0
