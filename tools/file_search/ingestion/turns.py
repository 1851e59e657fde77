"""Who may send passages to the embedding model next: vector stores in turn, and only so many passages at a time.

So a large file holds up a small one of another store for a batch or two, not until its end, and what waits to be
embedded waits on the disk. It knows no passage and no model. Lives on one event loop.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

ROOM = 64  # passages: one batch at the model, and the next ones ready for it


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    passages: int
    called: asyncio.Future[None]


class Turns:
    """Shares `room` passages between vector stores.

    Args:
        room: how many passages may be with the model; one that asks for more has it alone.
    """

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._taken = 0
        self._queues: OrderedDict[str, deque[_Waiting]] = OrderedDict()

    @asynccontextmanager
    async def turn(self, store_id: str, passages: int) -> AsyncGenerator[None]:
        """Wait until there is room for `passages` of a store, and have it for the length of the block."""
        mine = _Waiting(passages, asyncio.get_running_loop().create_future())
        self._queues.setdefault(store_id, deque()).append(mine)
        self._call()
        try:
            await mine.called
            yield
        finally:
            if mine.called.done() and not mine.called.cancelled():
                self._taken -= passages
            else:
                self._leave(store_id, mine)
            self._call()

    def _leave(self, store_id: str, one: _Waiting) -> None:
        queue = self._queues.get(store_id, deque())
        if one in queue:  # not if it was passed over after its caller had been cancelled
            queue.remove(one)
            if not queue:
                del self._queues[store_id]

    def _call(self) -> None:
        """Let in whoever is next, as long as there is room."""
        while self._queues:
            store_id = next(iter(self._queues))
            one = self._queues[store_id][0]
            if self._taken and self._taken + one.passages > self._room:
                return
            self._leave(store_id, one)
            if store_id in self._queues:
                self._queues.move_to_end(store_id)
            if not one.called.done():
                self._taken += one.passages
                one.called.set_result(None)
