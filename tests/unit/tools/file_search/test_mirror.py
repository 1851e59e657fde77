"""The vector index follows the store: after crashes, removals and failures, without any vector computed again."""

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from local_assistants.storage.vectors.index import open_index
from tests.support.chroma_server import chroma_server
from tests.support.vector_rooms import SMALL, holders, question, units, vector_room

A, B = "vs_a", "vs_b"


async def test_small_stores_open_nothing(tmp_path: Path) -> None:
    """Hundreds of small stores cost the index neither a file nor a handle."""
    async with vector_room(tmp_path) as room:
        vectors = units(40)
        for number in range(40):
            await room.put(f"vs_{number}", "one", vectors[:39])
            await room.found(f"vs_{number}", vectors[0], 1)
        await room.remove("vs_1", "one")
        await room.drop("vs_2")

        assert not (tmp_path / "vectors").exists()


async def test_a_setting_gives_every_store_a_collection(tmp_path: Path) -> None:
    """With collection_from = 1 the smallest store has one, though it is searched exactly."""
    async with vector_room(tmp_path, replace(SMALL, collection_from=1)) as room:
        await room.put(A, "one", units(3))
        await room.nearest.settled()

        assert (await room.index.names(), await room.index.count(A)) == ([A], 3)


async def test_the_index_is_kept_over_a_restart(tmp_path: Path) -> None:
    """What agrees with the store is not filled again: the same graph serves the next start."""
    vectors = units(1200)  # enough for a graph on the disk
    async with vector_room(tmp_path) as room:
        await room.put(A, "one", vectors)
        await room.nearest.settled()
    before = graphs(tmp_path)
    async with vector_room(tmp_path) as room:
        await room.found(A, vectors[5], 3)
        await room.nearest.settled()

        assert await room.found(A, vectors[1100], 1) == [f"{A}/one/1100"]
    assert (len(before), graphs(tmp_path)) == (1, before)


async def test_what_comes_later_is_added(tmp_path: Path) -> None:
    """A filled collection takes every further commit, also after a restart."""
    vectors = units(120)
    async with vector_room(tmp_path) as room:
        await room.put(A, "one", vectors[:80])
        await room.nearest.settled()
        await room.put(A, "two", vectors[80:100])
        counted = await room.index.count(A)
    async with vector_room(tmp_path) as room:
        await room.put(A, "three", vectors[100:])
        await room.nearest.settled()

        assert (counted, await room.index.count(A)) == (100, 120)


async def test_commits_while_it_is_filled_are_not_lost(tmp_path: Path) -> None:
    """A filling ends with everything that was committed while it ran."""
    vectors = units(2100)
    async with vector_room(tmp_path) as room:
        await room.put(A, "large", vectors[:1500])
        for number in range(60):
            await room.put(A, f"f{number}", vectors[1500 + 10 * number : 1510 + 10 * number])
            await asyncio.sleep(0.01)
        await room.nearest.settled()

        assert await room.index.count(A) == 2100


async def test_removing_a_file_erases_its_vectors(tmp_path: Path) -> None:
    """Nothing finds them when the removal returns, soon no file of the index holds them; the others are filled in."""
    vectors = units(1300)
    async with vector_room(tmp_path) as room:
        await room.put(A, "gone", vectors[:1250])
        await room.put(A, "kept", vectors[1250:] + units(50, seed=2))
        await room.nearest.settled()
        probe = vectors[40]
        before = holders(tmp_path / "vectors", probe)

        await room.remove(A, "gone")
        found = await room.found(A, probe, 100)
        await room.nearest.erased()

        assert before != []
        assert (100, {f"{A}/kept"}) == (len(found), {key.rpartition("/")[0] for key in found})
        assert holders(tmp_path / "vectors", probe) == []
        await room.nearest.settled()
        assert await room.index.count(A) == 100
        assert await room.found(A, vectors[1260], 1) == [f"{A}/kept/10"]
        assert holders(tmp_path / "vectors", probe) == []


async def test_removing_while_it_is_filled(tmp_path: Path) -> None:
    """A filling that runs does not bring back what was removed meanwhile."""
    vectors = units(2000)
    async with vector_room(tmp_path) as room:
        await room.put(A, "gone", vectors[:1900])
        await room.put(A, "kept", vectors[1900:])
        await asyncio.sleep(0.3)  # in the middle of it, or near

        await room.remove(A, "gone")

        await room.nearest.settled()
        assert await room.index.count(A) == 100
        assert holders(tmp_path / "vectors", vectors[7]) == []


async def test_removing_what_had_no_vectors(tmp_path: Path) -> None:
    """A file that failed before it was embedded costs the index nothing when it goes."""
    async with vector_room(tmp_path) as room:
        await room.put(A, "one", units(1200))
        await room.nearest.settled()
        before = graphs(tmp_path)

        await room.remove(A, "never there")

        assert (await room.index.count(A), graphs(tmp_path)) == (1200, before)


async def test_deleting_a_store_erases_its_vectors(tmp_path: Path) -> None:
    """Its collection, its folder and its bytes are gone soon after; other stores stay."""
    vectors = units(1300)
    async with vector_room(tmp_path) as room:
        await room.put(A, "one", vectors)
        await room.put(B, "one", units(60, seed=3))
        await room.nearest.settled()
        before = graphs(tmp_path)

        await room.drop(A)
        await room.nearest.erased()

        assert await room.index.names() == [B]
        assert len(before) - len(graphs(tmp_path)) == 1
        # In a graph's free room stands what memory held before (docs/decisions/0022): B's is not looked at.
        (other,) = graphs(tmp_path)
        shutil.rmtree(tmp_path / "vectors" / "db" / other)
        assert [holders(tmp_path / "vectors", each) for each in vectors[::200]] == [[]] * 7


async def test_shrinking_below_the_limit(tmp_path: Path) -> None:
    """A store that has become small has no collection any more."""
    vectors = units(100)
    async with vector_room(tmp_path) as room:
        await room.put(A, "one", vectors[:70])
        await room.put(A, "two", vectors[70:])
        await room.nearest.settled()

        await room.remove(A, "one")

        await room.nearest.settled()
        assert await room.index.names() == []
        assert await room.found(A, vectors[75], 1) == [f"{A}/two/5"]


async def test_what_a_crash_left_is_put_right_at_the_next_start(tmp_path: Path) -> None:
    """Collections of stores that are gone, or that have other vectors, are erased or filled again."""
    vectors = units(200)
    async with vector_room(tmp_path) as room:
        await room.put(A, "one", vectors[:100])
        await room.put(B, "one", vectors[100:])
        await room.nearest.settled()
        await room.store.write(lambda tx: tx.delete_chunks(B))  # and the index never hears of it
        await room.store.write(lambda tx: tx.delete_chunks(A, "one"))
    async with vector_room(tmp_path) as room:
        await room.put(A, "two", vectors[:60])
        await room.nearest.settled()

        assert await room.index.names() == [A]
        assert await room.found(A, question(), 60) == await room.expected(A, question(), 60)


async def test_a_deletion_that_a_crash_cut_off(tmp_path: Path) -> None:
    """The first search in any store of the next process has the rest of it erased."""
    vectors = units(1300)
    async with vector_room(tmp_path) as room:
        await room.put(A, "one", vectors)
        await room.nearest.settled()
        await room.store.write(lambda tx: tx.delete_chunks(A))  # and the index never hears of it
    async with vector_room(tmp_path) as room:
        await room.put(B, "one", units(5))
        await room.found(B, vectors[0], 1)
        await room.nearest.settled()

        assert await room.index.names() == []
        assert holders(tmp_path / "vectors", vectors[40]) == []


async def test_replaced_vectors_after_a_crash(tmp_path: Path) -> None:
    """A file replaced by as many vectors, the index not told: what is committed next makes it look again."""
    old, new = units(60), units(60, seed=9)
    async with vector_room(tmp_path) as room:
        await room.put(A, "one", old)
        await room.nearest.settled()
        await room.store.write(lambda tx: tx.delete_chunks(A))
    async with vector_room(tmp_path) as room:
        await room.put(A, "one", new)
        await room.nearest.settled()

        assert await room.found(A, new[30], 1) == [f"{A}/one/30"]
        ((best,),) = await room.index.query(A, [new[30]], 1)
        assert best[0] == f"{A}/one/30"
        assert best[1] == pytest.approx(1.0)


@pytest.mark.parametrize("harm", ["garbage", "no folder", "no graph"])
async def test_a_broken_index_is_filled_from_the_store(tmp_path: Path, harm: str) -> None:
    """Whatever happened to its files, searches find the same as before, and the index is whole again."""
    vectors = units(1200)
    async with vector_room(tmp_path) as room:
        await room.put(A, "one", vectors)
        await room.nearest.settled()
    database = tmp_path / "vectors" / "db"
    (tmp_path / "vectors" / "clean").unlink()  # as after a crash
    if harm == "garbage":
        (database / "chroma.sqlite3").write_bytes(b"\xff" * 9000)
    elif harm == "no folder":
        shutil.rmtree(tmp_path / "vectors")
    else:
        for head in database.glob("*/header.bin"):
            head.write_bytes(b"")
    async with vector_room(tmp_path) as room:
        first = await room.found(A, question(), 3)
        await room.nearest.settled()

        assert first == await room.expected(A, question(), 3)
        assert await room.index.count(A) == 1200
        assert await room.found(A, vectors[900], 1) == [f"{A}/one/900"]


async def test_an_index_that_another_process_has(tmp_path: Path) -> None:
    """Files come and go and are found all the same."""
    owner = open_index(tmp_path / "vectors")
    await owner.upsert("vs_x", [("x", units(1)[0])])
    vectors = units(90)
    async with vector_room(tmp_path) as room:
        await room.put(A, "one", vectors[:60])
        await room.put(A, "two", vectors[60:])
        await room.remove(A, "two")

        assert await room.found(A, vectors[33], 1) == [f"{A}/one/33"]
    await owner.close()


async def test_an_index_on_a_server(tmp_path: Path) -> None:
    """Large stores are searched there, and are found without it when it is gone."""
    vectors = units(90)
    with chroma_server(tmp_path / "chroma") as address:
        async with vector_room(tmp_path / "data", SMALL, address) as room:
            await room.put(A, "one", vectors)
            await room.nearest.settled()
            counted = await room.index.count(A)
            found = await room.found(A, vectors[33], 1)
    async with vector_room(tmp_path / "data", SMALL, address) as room:
        without = await room.found(A, vectors[33], 1)

    assert (counted, found, without) == (90, [f"{A}/one/33"], [f"{A}/one/33"])


def graphs(folder: Path) -> list[str]:
    """Names of the graphs that lie on the disk."""
    return sorted(path.name for path in (folder / "vectors" / "db").iterdir() if path.is_dir())
