"""One life of the model process: from its start to its death, with a watchdog."""

import asyncio
from collections.abc import Callable

from ....engine.chat import Capabilities
from ....engine.ports import Clock
from .link import Link

_LOOKS = 10  # of the watchdog in the time that it allows


class Died(Exception):
    """The process is dead; says how."""


class Life:
    """One process.

    Attributes:
        link: the line to it, once it is started.
        loaded: what its model can do, once it is loaded.
        since: when that was.
        quiet: seconds without a sign of work.
        evaluated: tokens, as far as it has told.
    """

    def __init__(self) -> None:
        self.link: Link | None = None
        self.loaded: asyncio.Future[Capabilities] = asyncio.get_running_loop().create_future()
        self.since = 0.0
        self.quiet = 0.0
        self.evaluated = 0
        self._watchdog: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether the model is loaded."""
        return self.loaded.done() and not self.loaded.cancelled() and not self.loaded.exception()

    def feel(self, evaluated: int) -> None:
        """Its pulse: tokens evaluated so far."""
        if evaluated != self.evaluated:
            self.evaluated, self.quiet = evaluated, 0.0

    def watch(self, clock: Clock, patience: float, is_awaited: Callable[[], bool]) -> None:
        """Kill the process when it does nothing for `patience` seconds while it loads or is awaited."""
        self._watchdog = asyncio.ensure_future(self._watch(clock, patience, is_awaited))

    def over(self) -> None:
        """The process is dead: nothing to watch any more."""
        if self._watchdog is not None:
            self._watchdog.cancel()

    async def end(self, patience: float) -> None:
        """See to it that the process ends: by itself within `patience` seconds, or at once when that is 0."""
        self.over()
        self.loaded.cancel()
        if self.link is None:
            return
        try:
            if not patience:
                self.link.kill("it is not needed")
            await self.link.finish(patience or 1.0)
        except asyncio.CancelledError:
            self.link.kill("nobody waits for its end")
            raise

    async def _watch(self, clock: Clock, patience: float, is_awaited: Callable[[], bool]) -> None:
        look = patience / _LOOKS
        while True:
            await clock.sleep(look)
            # Counted in looks, not read from a clock: that jumps when the machine was asleep.
            self.quiet = 0.0 if self.ready and not is_awaited() else self.quiet + look
            if self.quiet >= patience and self.link is not None:
                self.link.kill(f"it did nothing for {patience:.0f} seconds")
