"""What every VectorIndex must do."""

import asyncio
import random

import pytest

from local_assistants.engine.errors import StorageFault
from local_assistants.engine.ports import VectorIndex
from tests.support.vectors import packed, paired

EAST, NORTH, WEST = (packed(each) for each in ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]))


async def nearest(
    index: VectorIndex, collection: str, vector: bytes, limit: int
) -> list[tuple[str, float]]:
    """The answer to one query."""
    (found,) = await index.query(collection, [vector], limit)
    return found


async def test_finds_nearest_first(index: VectorIndex) -> None:
    """A query gives ids with their cosine similarity, best first."""
    await index.upsert("vs_a", [("e", EAST), ("n", NORTH), ("w", WEST)])

    (found,) = await index.query("vs_a", [EAST], 3)

    assert [id_ for id_, _ in found] == ["e", "n", "w"]
    assert [score for _, score in found] == pytest.approx([1.0, 0.0, -1.0], abs=1e-5)


async def test_limit_bounds_the_answer(index: VectorIndex) -> None:
    """No more than `limit` ids come back."""
    await index.upsert("vs_a", [("e", EAST), ("n", NORTH), ("w", WEST)])

    assert [id_ for id_, _ in await nearest(index, "vs_a", NORTH, 1)] == ["n"]


async def test_limit_beyond_the_collection(index: VectorIndex) -> None:
    """Asking for more than there is gives what there is."""
    await index.upsert("vs_a", [("e", EAST), ("n", NORTH)])

    assert len(await nearest(index, "vs_a", NORTH, 100)) == 2


async def test_unknown_collection_is_empty(index: VectorIndex) -> None:
    """Nothing has to be made before it is asked for, counted, emptied or dropped."""
    assert await nearest(index, "vs_none", EAST, 5) == []
    assert await index.count("vs_none") == 0
    await index.delete("vs_none", ["x"])
    await index.drop("vs_none")


async def test_upsert_replaces(index: VectorIndex) -> None:
    """A second upsert of an id replaces its vector."""
    await index.upsert("vs_a", [("x", EAST)])
    await index.upsert("vs_a", [("x", WEST)])

    assert await index.count("vs_a") == 1
    assert (await nearest(index, "vs_a", WEST, 1))[0][1] == pytest.approx(1.0, abs=1e-5)


async def test_collections_are_apart(index: VectorIndex) -> None:
    """The same id in two collections is two vectors; dropping one leaves the other."""
    await index.upsert("vs_a", [("x", EAST)])
    await index.upsert("vs_b", [("x", NORTH)])

    await index.drop("vs_a")

    assert await index.count("vs_a") == 0
    assert await nearest(index, "vs_a", EAST, 1) == []
    assert (await nearest(index, "vs_b", NORTH, 1))[0][1] == pytest.approx(1.0, abs=1e-5)


async def test_delete_removes_ids(index: VectorIndex) -> None:
    """Deleted ids are neither counted nor found; unknown ids do not matter."""
    await index.upsert("vs_a", [("e", EAST), ("n", NORTH), ("w", WEST)])

    await index.delete("vs_a", ["e", "never-there"])

    assert await index.count("vs_a") == 2
    assert [id_ for id_, _ in await nearest(index, "vs_a", EAST, 3)] == ["n", "w"]


async def test_a_dropped_collection_can_be_made_again(index: VectorIndex) -> None:
    """A name is free after its collection was dropped."""
    await index.upsert("vs_a", [("e", EAST)])
    await index.drop("vs_a")
    await index.upsert("vs_a", [("n", NORTH)])

    assert [id_ for id_, _ in await nearest(index, "vs_a", EAST, 5)] == ["n"]


async def test_takes_thousands_at_once(index: VectorIndex) -> None:
    """One upsert may hold more than any batch limit inside."""
    ids = [f"id-{number}" for number in range(6000)]
    vectors = [[1.0, number / 6000, 0.0] for number in range(6000)]

    await index.upsert("vs_a", paired(ids, vectors))

    assert await index.count("vs_a") == 6000


async def test_empty_upsert(index: VectorIndex) -> None:
    """Upserting nothing is no error."""
    await index.upsert("vs_a", [])

    assert await index.count("vs_a") == 0


async def test_several_queries_have_an_answer_each(index: VectorIndex) -> None:
    """Queries asked together are answered in their order."""
    await index.upsert("vs_a", [("e", EAST), ("n", NORTH), ("w", WEST)])

    found = await index.query("vs_a", [NORTH, WEST], 1)

    assert [[id_ for id_, _ in ranking] for ranking in found] == [["n"], ["w"]]
    assert await index.query("vs_none", [NORTH, WEST], 1) == [[], []]
    assert await index.query("vs_a", [], 1) == []


async def test_names_its_collections(index: VectorIndex) -> None:
    """Every collection that is there is named, dropped ones are not."""
    before = await index.names()
    await index.upsert("vs_a", [("e", EAST)])
    await index.upsert("vs_b", [("e", EAST)])
    await index.upsert("vs_c", [("e", EAST)])

    await index.drop("vs_b")

    assert before == []
    assert sorted(await index.names()) == ["vs_a", "vs_c"]


async def test_searches_while_it_is_filled(index: VectorIndex) -> None:
    """A query in the middle of a large upsert is answered from what is there by then."""
    numbers = random.Random(7)
    vectors = [[numbers.gauss(0, 1) for _ in range(16)] for _ in range(5001)]
    pairs = paired([f"id-{number}" for number in range(5001)], vectors)
    await index.upsert("vs_a", pairs[:1])
    filling = asyncio.create_task(index.upsert("vs_a", pairs[1:]))

    found = [await nearest(index, "vs_a", pairs[0][1], 1) for _ in range(20)]
    await filling

    assert [ranking[0][0] for ranking in found] == ["id-0"] * 20
    assert await index.count("vs_a") == 5001


async def test_wrong_dimensions_are_a_storage_fault(index: VectorIndex) -> None:
    """What Chroma refuses arrives as an error of our own tree, and what was there stays."""
    await index.upsert("vs_a", [("e", EAST)])

    with pytest.raises(StorageFault, match="The vector index failed"):
        await index.upsert("vs_a", [("short", packed([1.0, 2.0]))])
    assert [id_ for id_, _ in await nearest(index, "vs_a", EAST, 5)] == ["e"]


async def test_a_closed_index_says_so(index: VectorIndex) -> None:
    """Closing twice is no error; using it afterwards is, in words."""
    await index.close()
    await index.close()

    with pytest.raises(StorageFault, match="closed"):
        await index.count("vs_a")
