"""The folder of the vector index is deleted while it is in use: it is only a mirror of the store, and grows again."""

import shutil
from pathlib import Path

from tests.support.vector_rooms import question, units, vector_room

A = "vs_a"


async def test_an_index_deleted_at_work_costs_no_file(tmp_path: Path) -> None:
    """Searches find what they found before, files can be added, and the next start has it whole again."""
    vectors, more = units(600), units(90, seed=5)
    async with vector_room(tmp_path) as room:
        await room.put(A, "one", vectors)
        await room.nearest.settled()
        before = await room.found(A, question(), 3)
        shutil.rmtree(tmp_path / "vectors")
        after = await room.found(A, question(), 3)
        await room.put(A, "two", more)
        await room.nearest.settled()
        added = await room.found(A, more[7], 1)
        expected = await room.expected(A, question(3), 3)
        both = await room.found(A, question(3), 3)
    async with vector_room(tmp_path) as room:
        await room.found(A, question(), 3)
        await room.nearest.settled()
        count = await room.index.count(A)
        restarted = await room.found(A, question(3), 3)

    assert before == after
    assert [f"{A}/two/7"] == added
    assert 690 == count
    assert expected == both == restarted
