"""Keeps full garbage collections out of the way of requests.

Python begins one in the middle of whatever allocates, and looks through everything that is alive: tens of milliseconds
in which nobody is answered. A server can wait with it until no run is under way. Reference counting and the collections
of young objects, which free nearly everything, go on as ever.

It changes settings of the whole process, so it is for one that does nothing but serve.
"""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

_NEVER = 1_000_000_000
_DUE = 10  # middle collections after which Python itself would think of a full one
_OVERDUE = 200  # about a million objects more than were freed: now it has to be, busy or not


@asynccontextmanager
async def collected_when_idle(busy: Callable[[], bool], every: float = 1.0) -> AsyncIterator[None]:
    """Full collections only while not `busy`, as far as memory allows; looks `every` so many seconds."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()  # what start-up made stays to the end: no collection need look at it
    gc.set_threshold(before[0], before[1], _NEVER)
    looking = asyncio.create_task(_look(busy, every))
    try:
        yield
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking
        gc.set_threshold(*before)
        gc.unfreeze()


async def _look(busy: Callable[[], bool], every: float) -> None:
    while True:
        await asyncio.sleep(every)
        waiting = gc.get_count()[2]
        if waiting >= _OVERDUE or (waiting >= _DUE and not busy()):
            gc.collect()
