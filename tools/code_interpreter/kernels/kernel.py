"""A Python kernel as its users see it: runs code, streams what it says, keeps its state between calls.

A call that takes too long is interrupted, then killed; a kernel that died is noticed at once and replaced, and the
output says what was lost.

It does not know threads, files or tools, nor how a kernel is started (`running.py`) or understood (`call.py`). One
call at a time; more wait for each other.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ....engine.errors import ToolFault
from ..isolation.folders import Footprint
from . import running
from .call import Call, now
from .outputs import Lost, Output, Text, reworded
from .running import Running

if TYPE_CHECKING:
    from .provisioner import Place

_FEW = 4  # processes of a sandbox at rest: its two and what a library may keep
_STRAYS_END = 0.05  # seconds that killed processes may take to be gone
_COUNT_EVERY = 0.02  # seconds of calls; in less than that, code starts no crowd of processes


class Kernel:
    """A kernel at a `Place`; started by the first call, replaced when it dies."""

    def __init__(self, place: "Place") -> None:
        self._place = place
        self._limits = place.runner.limits
        self._lock = asyncio.Lock()
        self._running: Running | None = None
        self._starting: asyncio.Task[None] | None = None
        self._settling: asyncio.Task[None] | None = None
        self._uncounted = 0.0  # seconds of calls since processes were counted
        self._closed = False

    @property
    def alive(self) -> bool:
        """Whether a kernel runs right now."""
        return self._running is not None and self._running.alive

    @property
    def busy(self) -> bool:
        """Whether a call runs right now."""
        return self._lock.locked()

    async def start(self) -> None:
        """Spawn the kernel and connect; does not wait until it answers, the first call does.

        A caller that is cancelled meanwhile leaves the start to be finished for the next one.

        Raises:
            MissingDependency: jupyter_client is not installed.
            SandboxUnavailable: the sandbox cannot be started.
        """
        starting = self._starting = self._starting or asyncio.create_task(self._start())
        try:
            await asyncio.shield(starting)
        finally:
            if starting.done():
                self._starting = None

    async def execute(
        self, code: str, *, seconds: float | None = None, silent: bool = False
    ) -> AsyncGenerator[Output, None]:
        """Run `code` and give its outputs as they come. `seconds` of wall clock (default: the limit).

        A silent call leaves no trace in the history of inputs and results. Closing the generator early interrupts
        the code.

        Raises:
            ToolFault: the kernel never came up; the message holds its last words.
        """
        async with self._lock:
            await self._settled()
            if self._starting is not None:
                await self.start()
            if self._running is not None and not self._running.alive:
                yield await self._replace(
                    await self._running.ending("its process ended between two calls")
                )
            kernel = await self._started()
            await kernel.watchdog.ready()
            call = kernel.call(code, seconds=seconds, silent=silent)
            try:
                call.send()
                async for output in self._follow(kernel, call):
                    yield reworded(output, self._shown)
            finally:
                if not call.over and kernel.alive:
                    self._settling = asyncio.create_task(
                        self._settle(kernel, call), name="kernel-settle"
                    )

    def moved(self, data: Path) -> None:
        """The folder behind /mnt/data lies at `data` now, with what it holds; its quota is counted anew."""
        self._place = replace(self._place, data=data)
        if self._running is not None:
            self._running.watchdog.moved(data)

    def lend(self, files: Footprint) -> None:
        """The host itself puts so much into /mnt/data, in this session at most: code may store what it may besides."""
        known = self._place.lent
        lent = Footprint(max(known.bytes, files.bytes), max(known.entries, files.entries))
        self._place = replace(self._place, lent=lent)
        if self._running is not None:
            self._running.watchdog.lend(lent)

    async def close(self) -> None:
        """End the kernel and all its processes, for good; a second time is harmless."""
        self._closed = True
        if self._settling is not None:
            self._settling.cancel()
        if self._starting is not None:
            await asyncio.wait([self._starting])
        await self._end()

    def _shown(self, text: str) -> str:
        return self._place.runner.shown(text, self._place.data)

    async def _start(self) -> None:
        if self._closed:
            raise ToolFault("the interpreter was closed")
        self._running = await running.start(self._place)

    async def _started(self) -> Running:
        if self._running is None:
            await self.start()
        assert self._running is not None  # else starting it has raised
        return self._running

    async def _follow(self, kernel: Running, call: Call) -> AsyncGenerator[Output, None]:
        started = now()
        while not call.over:
            for output in await call.listen():
                yield output
            if call.begun and not kernel.answered:  # what the start took is not the call's
                kernel.answered = True
                kernel.watchdog.call_begins()
            if call.cut_off:
                call.end()
                yield await self._died(kernel)
                return
            if call.late and not call.over:
                yield await self._out_of_time(kernel, call)
        self._uncounted += now() - started
        for remark in kernel.watchdog.remarks():
            yield Text(f"[{remark}]\n", "note")
        if kernel is self._running and kernel.alive:
            async for output in self._tidy(kernel, call):
                yield output

    async def _tidy(self, kernel: Running, call: Call) -> AsyncGenerator[Output, None]:
        """End what an interrupted call left running, or so many strays that the next call could start none."""
        if self._uncounted < _COUNT_EVERY and not call.interrupted:
            return
        self._uncounted = 0.0
        crowded = kernel.count_processes() > self._limits.processes // 2
        if call.interrupted or crowded:
            await kernel.end_strays()
        if crowded:
            await asyncio.sleep(_STRAYS_END)
            if kernel.count_processes() > _FEW:
                yield await self._replace("its code went on starting processes")
            else:
                yield Text("[too many background processes: they were ended]\n", "note")

    async def _out_of_time(self, kernel: Running, call: Call) -> Output:
        """First an interrupt, then, after the grace, a kill."""
        if not call.interrupted:
            call.interrupted = True
            call.grant(self._limits.grace_seconds)
            await kernel.interrupt()
            return Text("[time limit reached: the code was interrupted]\n", "note")
        call.end()
        return await self._replace(
            "the code ran into the time limit and did not stop when interrupted"
        )

    async def _died(self, kernel: Running) -> Output:
        reason = await kernel.ending("its process ended")
        if not kernel.answered and not self._closed:
            await self._end()
            raise ToolFault(f"the interpreter did not start: {reason}", detail=kernel.last_words)
        return await self._replace(reason)

    async def _replace(self, reason: str) -> Lost:
        await self._end()
        if not self._closed:
            await self.start()
        return Lost(reason)

    async def _settle(self, kernel: Running, call: Call) -> None:
        """Bring an abandoned call to its end, so that the next one finds a kernel that listens."""
        call.grant(0.0)
        with contextlib.suppress(ToolFault):
            async for _ in self._follow(kernel, call):
                pass

    async def _settled(self) -> None:
        if self._settling is not None:
            await asyncio.wait([self._settling])
            self._settling = None

    async def _end(self) -> None:
        if self._running is not None:
            ended, self._running = self._running, None
            await ended.end()
