"""A clock that stands still until a test turns it: no waiting, the same times in every run."""

import asyncio
import heapq
import itertools

START = 1_700_000_000
"""Unix seconds at which a virtual clock begins."""

_PATIENCE = 60.0  # real seconds to wait for the sleepers


class VirtualClock:
    """The `Clock` port, turned by `advance`. Sleepers wake in the order of their times, then of their coming."""

    def __init__(self, start: float = START) -> None:
        self._now = float(start)
        self._arrivals = itertools.count()
        self._arrived = asyncio.Event()
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
        self._arrived.set()
        await woken

    def set_back(self, seconds: float) -> None:
        """Let it be earlier, as when a machine's clock is mended; sleepers have as long to go as before."""
        self._now -= seconds
        self._sleepers = [
            (time - seconds, arrival, woken) for time, arrival, woken in self._sleepers
        ]

    async def advance(self, seconds: float, sleepers: int = 1) -> None:
        """Turn the clock, once so many sleep (a worker's heartbeat does), and wake those whose time has come.

        They all see the new time, as after a machine's sleep; nobody lives through the seconds between.
        """
        async with asyncio.timeout(_PATIENCE):
            while self.sleepers < sleepers:
                self._arrived.clear()
                await self._arrived.wait()
        self._now += seconds
        while self._sleepers and self._sleepers[0][0] <= self._now:
            _, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():  # else its task was cancelled
                woken.set_result(None)
        await asyncio.sleep(0)
