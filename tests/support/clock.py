"""A clock that stands still until a test turns it: no waiting, the same times in every run."""

import asyncio
import heapq
import itertools

START = 1_700_000_000
"""Unix seconds at which a virtual clock begins."""

_TURNS = 20  # of the event loop, given to whoever was woken before time goes on


class VirtualClock:
    """The `Clock` port, turned by `advance`. Sleepers wake in the order of their times, then of their coming."""

    def __init__(self, start: float = START) -> None:
        self._now = float(start)
        self._arrivals = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> float:
        """Unix seconds; whole ones as long as only whole ones were advanced."""
        return self._now

    @property
    def sleepers(self) -> int:
        """How many wait for a time to come."""
        return sum(not future.done() for _, _, future in self._sleepers)

    async def sleep(self, seconds: float) -> None:
        """Return when the clock has been turned by `seconds`; at once when that is nothing."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._arrivals), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Turn the clock, stopping at every sleeper on the way so that it acts at its own time."""
        end = self._now + seconds
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, woken = heapq.heappop(self._sleepers)
            if woken.done():
                continue  # its task was cancelled
            self._now = max(self._now, due)
            woken.set_result(None)
            for _ in range(_TURNS):
                await asyncio.sleep(0)
        self._now = end
