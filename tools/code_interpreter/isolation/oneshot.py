"""Sees a program through that runs alone, not in a session: reads what it prints, and ends it when it takes too much.

The same limits hold as for a session, by the same measure; there is no time to react to a first warning.
"""

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from .job import Finished, Job, finish
from .limits import Limits
from .meter import Folders, Meter
from .spawner import Identity


class Starter(Protocol):
    """What started the program: as much of a `Runner` as is needed here."""

    limits: Limits

    def owner_of(self, data: Path) -> Identity | None:
        """Whom the program belongs to."""
        ...

    def scratch_of(self, data: Path) -> Path | None:
        """What it may fill beside its folder."""
        ...

    def kill(self, pid: int) -> None:
        """End all of it."""
        ...


async def finished(
    starter: Starter, process: subprocess.Popen[bytes], job: Job, seconds: float
) -> Finished:
    """How the program ended, by itself or killed: after `seconds`, or above a limit."""
    return await asyncio.to_thread(_see_through, starter, process, job.data, seconds)


def _see_through(
    starter: Starter, process: subprocess.Popen[bytes], data: Path | None, seconds: float
) -> Finished:
    # A program without a folder of the host can fill none, and is one of ours.
    too_much = _never if data is None else _watch(starter, process.pid, data)
    return finish(process, seconds, kill=starter.kill, too_much=too_much)


def _watch(starter: Starter, pid: int, data: Path) -> Callable[[], bool]:
    folders = Folders(data, starter.scratch_of(data), starter.owner_of(data))
    meter = Meter(folders, starter.limits)

    def too_much() -> bool:
        try:
            return meter.overrun(pid) is not None
        except Exception:
            return True  # code that cannot be watched must not go on

    return too_much


def _never() -> bool:
    return False
