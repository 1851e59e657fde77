"""Turns at the embedding model: so many passages at a time, vector stores one after the other."""

import asyncio

from local_assistants.tools.file_search.ingestion.turns import Turns


class Line:
    """Callers that hold their turn until they are told to leave."""

    def __init__(self, room: int) -> None:
        self.turns = Turns(room)
        self.inside: list[str] = []
        self._leave: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def come(self, name: str, store_id: str, passages: int) -> None:
        """Ask for a turn."""
        self._leave[name] = asyncio.Event()
        self._tasks[name] = asyncio.create_task(self._hold(name, store_id, passages))
        await asyncio.sleep(0)

    async def _hold(self, name: str, store_id: str, passages: int) -> None:
        async with self.turns.turn(store_id, passages):
            self.inside.append(name)
            await self._leave[name].wait()
            self.inside.remove(name)

    async def go(self, name: str) -> None:
        """Leave, and let the next one in."""
        self._leave[name].set()
        await self._tasks[name]
        await asyncio.sleep(0)

    async def give_up(self, name: str) -> None:
        """Be cancelled, waiting or inside."""
        self._tasks[name].cancel()
        await asyncio.gather(self._tasks[name], return_exceptions=True)
        await asyncio.sleep(0)


async def test_no_more_passages_than_there_is_room_for() -> None:
    """Small ones go in together; one that does not fit waits."""
    line = Line(room=64)
    for name in ("a", "b", "c"):
        await line.come(name, "store", 30)

    assert ["a", "b"] == line.inside
    await line.go("a")
    assert ["b", "c"] == line.inside


async def test_more_than_the_room_goes_in_alone() -> None:
    """Else it would wait for ever."""
    line = Line(room=10)
    await line.come("large", "store", 100)
    await line.come("small", "store", 1)

    assert ["large"] == line.inside
    await line.go("large")
    assert ["small"] == line.inside


async def test_stores_take_turns() -> None:
    """A store that comes later is let in before the third file of the one that was first."""
    line = Line(room=1)
    for name, store_id in (("a1", "a"), ("a2", "a"), ("a3", "a"), ("b1", "b"), ("b2", "b")):
        await line.come(name, store_id, 1)
    order: list[str] = []
    while line.inside:
        order += line.inside
        await line.go(order[-1])

    assert ["a1", "a2", "b1", "a3", "b2"] == order


async def test_whoever_gives_up_leaves_its_room() -> None:
    """One that is cancelled while it waits or while it is inside holds up nobody."""
    line = Line(room=1)
    for name in ("inside", "waiting", "next"):
        await line.come(name, "store", 1)
    await line.give_up("waiting")
    await line.give_up("inside")

    assert "next" in line.inside
    await line.go("next")
    await line.come("later", "store", 1)
    assert "later" in line.inside
