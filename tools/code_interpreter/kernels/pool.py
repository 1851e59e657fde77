"""Kernels that wait for a session, with pandas and pyplot imported: a session that takes one starts in milliseconds.

A spare has an empty data folder of its own. Whoever takes it makes that folder his own, by moving it to its place: what
the kernel sees at /mnt/data goes along. No code but ours ever ran in a spare.

The pool is filled in the background: one kernel at a time, a moment after one was taken, so that whoever took it is
not held up, and at the kernels' own low priority. It never counts more kernels than its owner says there is room for.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ....engine.errors import ToolFault
from ..isolation import folders
from ..isolation.claims import Claim
from ..isolation.runner import Runner
from .kernel import Kernel
from .outputs import Lost

if TYPE_CHECKING:
    from .provisioner import Place

_LOG = logging.getLogger("local_assistants.code_interpreter")
_PAUSE = 1.0  # seconds: the call that took a spare, or started without one, has the machine first
_WARMING_SECONDS = 60.0
_CLAIM = "of-engine-"
# Imported by the running kernel and not before it: IPython tells pyplot where to draw when it starts. Without names, as
# the session's variables are its own; the first figure finds the fonts, the first value how values are shown. What is
# not installed is left out.
_WARMING = """
get_ipython().display_formatter.format(0)
try:
    __import__("pandas")
    (lambda pyplot: pyplot.close(pyplot.figure()))(__import__("matplotlib.pyplot").pyplot)
except ImportError:
    pass
"""


@dataclass(eq=False)
class Spare:
    """A kernel nobody has used, and the empty folder that it sees as /mnt/data."""

    kernel: Kernel
    data: Path
    warming: "asyncio.Task[None]" = field(init=False)


class Pool:
    """Up to `size` spares below `root`, as far as `room` says how many more kernels there may be."""

    def __init__(
        self,
        root: Path,
        size: int,
        *,
        runner: Runner,
        place: "Callable[[Path], Place]",
        room: Callable[[], int],
    ) -> None:
        self._root = root
        self._size = size
        self._runner = runner
        self._place = place
        self._room = room
        self._spares: list[Spare] = []
        self._filling: asyncio.Task[None] | None = None
        self._claim: Claim | None = None
        self._count = 0

    def __len__(self) -> int:
        return len(self._spares)

    @property
    def ready(self) -> int:
        """Spares that could be taken without waiting."""
        return sum(_is_warm(spare) for spare in self._spares)

    def fill(self) -> None:
        """Have the pool filled, in the background; call it whenever there may be room."""
        if self._size > 0 and (self._filling is None or self._filling.done()):
            self._filling = asyncio.create_task(self._fill(), name="kernel-pool")

    async def take(self) -> Spare | None:
        """A warm spare, None when there is none. One that is being warmed is waited for: it is further than a new one.

        The taker moves its folder away and removes the empty one above it, or gives the spare to `discard`.
        """
        while self._spares:
            spare = next((spare for spare in self._spares if _is_warm(spare)), self._spares[0])
            self._spares.remove(spare)
            try:
                await asyncio.wait([spare.warming])
            except asyncio.CancelledError:
                self._spares.append(spare)
                raise
            if _is_warm(spare):
                return spare
            await self.discard(spare)
        return None

    async def discard(self, spare: Spare) -> None:
        """End a spare that is of no use."""
        spare.warming.cancel()
        await asyncio.wait([spare.warming])
        await spare.kernel.close()
        await self._runner.release(spare.data)
        await asyncio.to_thread(folders.remove_tree, spare.data.parent)

    async def close(self) -> None:
        """End all spares."""
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.wait([self._filling])
        while self._spares:
            await self.discard(self._spares.pop())
        if self._claim is not None:
            await asyncio.to_thread(self._claim.release)
            self._claim = None

    async def _fill(self) -> None:
        await asyncio.sleep(_PAUSE)
        for spare in [spare for spare in self._spares if spare.warming.done()]:
            if not _is_warm(spare):  # it died while it waited
                self._spares.remove(spare)
                await self.discard(spare)
        if self._claim is None:
            self._claim = await asyncio.to_thread(self._claimed)
        while len(self._spares) < min(self._size, self._room()):
            spare = self._add(self._claim.path)
            await asyncio.wait([spare.warming])
            problem = None if spare.warming.cancelled() else spare.warming.exception()
            if problem is not None:
                _LOG.warning("no interpreter could be kept ready: %s", problem)
                if spare in self._spares:  # else who took it has discarded it
                    self._spares.remove(spare)
                    await self.discard(spare)
                return

    def _claimed(self) -> Claim:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Claim(self._root, _CLAIM)

    def _add(self, folder: Path) -> Spare:
        self._count += 1
        data = folder / str(self._count) / "data"
        spare = Spare(Kernel(self._place(data)), data)
        spare.warming = asyncio.create_task(self._warm(spare), name="kernel-warming")
        self._spares.append(spare)
        return spare

    async def _warm(self, spare: Spare) -> None:
        await asyncio.to_thread(self._runner.prepare, spare.data)
        warming = spare.kernel.execute(_WARMING, seconds=_WARMING_SECONDS, silent=True)
        async for output in warming:
            if isinstance(output, Lost):
                # The kernel in its place is only starting, and its folder must not be moved before it is up.
                raise ToolFault(output.reason)


def _is_warm(spare: Spare) -> bool:
    warming = spare.warming
    done = warming.done() and not warming.cancelled() and warming.exception() is None
    return done and spare.kernel.alive
