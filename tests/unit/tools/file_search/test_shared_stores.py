"""Vectors that another server on the same data folder has put in or taken out: they are found, or not, here too."""

from pathlib import Path

from local_assistants.engine.objects import VectorStoreFile
from local_assistants.engine.states import StoreFileStatus
from tests.support.vector_rooms import VectorRoom, holders, units, vector_room

A = "vs_a"


async def attach(room: VectorRoom, file_id: str) -> None:
    """As a client does before the file is indexed."""
    file = VectorStoreFile(
        id=file_id, created_at=1, vector_store_id=A, status=StoreFileStatus.IN_PROGRESS
    )
    await room.store.write(lambda tx: tx.put(file))


async def test_a_file_that_took_another_s_place_is_found(tmp_path: Path) -> None:
    """As many vectors as before, in a store whose vectors are kept in memory here."""
    old, new = units(20), units(20, seed=2)
    async with vector_room(tmp_path) as here, vector_room(tmp_path) as there:
        await there.put(A, "old", old)
        await attach(there, "old")
        before = await here.found(A, old[3], 1)
        await there.remove(A, "old")
        await there.store.write(lambda tx: tx.delete(VectorStoreFile, f"{A}/old"))
        await attach(there, "new")
        await there.put(A, "new", new)
        after = await here.found(A, new[3], 1)

    assert ([f"{A}/old/3"], [f"{A}/new/3"]) == (before, after)


async def test_what_another_took_out_leaves_the_index(tmp_path: Path) -> None:
    """Its bytes, too; what is left is searched by the index again."""
    kept, gone = units(60), units(60, seed=2)
    async with vector_room(tmp_path) as here, vector_room(tmp_path) as there:
        await here.put(A, "kept", kept)
        await here.put(A, "gone", gone)
        await here.nearest.settled()
        before = holders(tmp_path / "vectors", gone[7])
        await there.remove(A, "gone")
        await here.nearest.look()
        await here.nearest.settled()
        after, count = holders(tmp_path / "vectors", gone[7]), await here.index.count(A)
        found = await here.found(A, kept[3], 1)

    assert before
    assert ([], 60, [f"{A}/kept/3"]) == (after, count, found)
