"""Watches what a whole sandbox uses, where rlimits only bound each process and each file.

Ten processes of 1 GiB stay below a limit of 4 GiB each; so do a thousand small files. A cgroup bounds memory and
processes exactly, and where the host offers one this only tells what happened. All else is looked at four times a
second from a worker thread, so an overrun may go some way past its limit before it is seen.

It knows one sandbox by its outermost process and its folder. It ends it, and keeps the reason in words for whoever
has to tell; it knows no kernel, and of calls only when one begins.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from . import cgroups
from .cgroups import Group
from .folders import Footprint
from .limits import MIB, Limits
from .meter import Folders, Meter, Overrun
from .spawner import Identity

_LOG = logging.getLogger(__name__)

TICK = 0.25  # seconds between looks
SHARE = 0.1  # of one core that looking may cost: what takes long to look at is looked at less often


class Guarded(Protocol):
    """A running sandbox, as its guard sees it."""

    exited: asyncio.Event

    @property
    def pid(self) -> int | None:
        """Its outermost process on the host; None when there is none."""
        ...

    def send_signal(self, signum: int) -> Awaitable[None]:
        """SIGINT to the program inside."""
        ...

    def kill(self) -> Awaitable[None]:
        """SIGKILL to everything in it; does not wait."""
        ...

    def end_strays(self) -> None:
        """SIGKILL to all that the program inside started."""
        ...


class Watchdog:
    """Guards one sandbox, with its /mnt/data at `data`, until it ends.

    Args:
        sandbox: what is guarded.
        data: the host folder behind /mnt/data.
        limits: what it may use.
        owner: whom its processes belong to when that is not the engine's own user.
        scratch: what else of the host's disk it may fill; None when that is bounded already.
    """

    def __init__(
        self,
        sandbox: Guarded,
        data: Path,
        limits: Limits,
        *,
        owner: Identity | None = None,
        scratch: Path | None = None,
    ) -> None:
        self._sandbox = sandbox
        self._limits = limits
        self._folders = Folders(data, scratch, owner)
        self._meter = Meter(self._folders, limits)
        self._group: Group | None = None
        self._reason: str | None = None
        self._remark: str | None = None
        self._kills = 0  # for want of memory, not told yet
        self._interrupted = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Bound the sandbox by a cgroup where there can be one, and begin to look at it."""
        pid = self._sandbox.pid
        if pid is None:
            return
        if self._limits.cgroups:
            self._group = await asyncio.to_thread(cgroups.enclose, pid, self._limits)
            self._meter.group = self._group
        self._task = asyncio.create_task(self._guard(), name="sandbox-watchdog")

    async def close(self) -> None:
        """End looking; once the sandbox has ended, nothing of it is left on the host."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self._group is not None:
            await asyncio.to_thread(self._group.remove)

    async def ready(self) -> None:
        """Await this before code runs: what /mnt/data holds without its doing is known then."""
        if not self._meter.knows_folder:
            await asyncio.to_thread(self._meter.take_stock)

    def call_begins(self) -> None:
        """From now on, processor time counts for a new call."""
        self._interrupted = False
        self._meter.grant(self._limits.cpu_seconds)

    def moved(self, data: Path) -> None:
        """The folder behind /mnt/data is another one; what it holds when code runs next (`ready`) may stay."""
        self._folders = replace(self._folders, data=data)
        self._meter.watch(self._folders)

    def lend(self, files: Footprint) -> None:
        """The host itself puts these into /mnt/data, all in all: they are no part of what code may store."""
        self._meter.lend(files)

    @property
    def reason(self) -> str | None:
        """Why the sandbox had to end, in words; None when that was not for a limit."""
        self._note_kills()
        return self._reason or self._memory_ended()

    def remarks(self) -> list[str]:
        """What happened since they were last asked for that the sandbox survived, in words."""
        self._note_kills()
        said = [self._remark, self._memory_ended()]
        self._remark, self._kills = None, 0
        return [text for text in said if text is not None]

    async def _guard(self) -> None:
        pause = TICK
        loop = asyncio.get_running_loop()
        while not self._sandbox.exited.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._sandbox.exited.wait(), pause)
            started = loop.time()
            found = await self._look()
            if found is not None:
                await self._act_on(found)
            pause = max(TICK, (loop.time() - started) / SHARE)

    async def _look(self) -> Overrun | None:
        pid = self._sandbox.pid
        if pid is None or self._sandbox.exited.is_set():
            return None
        try:
            return await asyncio.to_thread(self._meter.overrun, pid)
        except Exception as error:  # code that cannot be watched must not go on
            _LOG.exception("a sandbox cannot be measured")
            return Overrun(f"what it uses could not be measured ({type(error).__name__})")

    async def _act_on(self, found: Overrun) -> None:
        if found.mild and not self._interrupted:
            _LOG.warning("code in a sandbox is interrupted: %s", found.text)
            self._remark = f"{found.text}: the code was interrupted"
            self._interrupted = True
            self._meter.grant(self._limits.grace_seconds)  # to come to its senses, not to go on
            await self._sandbox.send_signal(signal.SIGINT)
            await asyncio.to_thread(self._sandbox.end_strays)
        else:
            _LOG.warning("a sandbox is ended: %s", found.text)
            self._reason = found.text
            await self._sandbox.kill()

    def _note_kills(self) -> None:
        kills = self._group.new_kills() if self._group is not None else 0
        self._kills += kills
        if kills:
            _LOG.warning("%d processes of a sandbox were ended for want of memory", kills)

    def _memory_ended(self) -> str | None:
        if not self._kills:
            return None
        most = f"{self._limits.memory_bytes // MIB} MiB of memory"
        ended = "one of them was" if self._kills == 1 else f"{self._kills} of them were"
        return f"its processes used more than {most} together, and {ended} ended"
