"""What starts programs for a session: the sandbox, or nothing but a folder when the operator insists.

`Unsandboxed` isolates nothing: model-written code can read and send away all that the engine's user can. It exists
for machines that are a sandbox themselves, and only an explicit setting brings it up.
"""

import asyncio
import logging
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from ..environment import Environment
from . import folders, oneshot, processes, spawner
from .job import DATA, Finished, Job
from .limits import Limits
from .spawner import Identity

TIERS = ("A", "A'", "B")
"""Kinds of sandbox, best first."""
_LOG = logging.getLogger(__name__)
_ANY_NUMBER = (
    1 << 20
)  # of processes: outside a user namespace the limit counts all those of the user


class Runner(Protocol):
    """Starts programs of the interpreter's environment."""

    limits: Limits
    environment: Environment

    @property
    def isolated(self) -> bool:
        """Whether code is kept from the host."""
        ...

    @property
    def tier(self) -> str:
        """A short name of how."""
        ...

    @property
    def beside_host(self) -> bool:
        """Whether paths and process numbers of the host mean the same to a program."""
        ...

    @property
    def process_limit(self) -> int:
        """RLIMIT_NPROC for a program; above `limits.processes` where it counts more than this sandbox."""
        ...

    def owner_of(self, data: Path) -> Identity | None:
        """Who must own what lies in a prepared folder; None for the engine's own user."""
        ...

    async def start(self, job: Job, *, stdout: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        """Start a program; its stderr is a pipe that the caller must drain."""
        ...

    async def run(self, job: Job, *, seconds: float) -> Finished:
        """Run a program to its end, or kill it."""
        ...

    def prepare(self, folder: Path) -> None:
        """Make a folder that the program may write."""
        ...

    async def release(self, folder: Path) -> None:
        """The folder will not be shown again."""
        ...

    async def moved(self, before: Path, after: Path) -> None:
        """A prepared folder was renamed on the host; programs go on with it, and what was put in is theirs."""
        ...

    def scratch_of(self, data: Path) -> Path | None:
        """What else on the host's disk the programs at `data` may fill; None when that is bounded already."""
        ...

    def localise(self, code: str, data: Path) -> str:
        """Code with /mnt/data as it is called where the program runs."""
        ...

    def shown(self, text: str, data: Path) -> str:
        """What a program wrote, with its folder called /mnt/data again."""
        ...

    def program_of(self, pid: int) -> int | None:
        """Host pid of the job's own program, below the process that was started; None when it is not there."""
        ...

    def kill(self, pid: int) -> None:
        """SIGKILL to all below and including the started process `pid`; does not wait."""
        ...

    def end_strays(self, pid: int) -> None:
        """SIGKILL to every process of the sandbox but those that it consists of."""
        ...


class Unsandboxed:
    """Runs programs as the engine's own user, with its files and its network. Says so loudly."""

    isolated = False
    tier = "none"
    beside_host = True
    process_limit = _ANY_NUMBER

    def __init__(self, environment: Environment, limits: Limits) -> None:
        self.environment = environment
        self._places: list[Path] = []
        self.limits = limits
        _LOG.critical(
            "code_interpreter runs WITHOUT A SANDBOX because the operator allowed it: "
            "code written by a model has this user's files and network"
        )

    async def start(self, job: Job, *, stdout: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        """Start `job` with /mnt/data as its working directory; its input files lie in a temporary folder."""
        return await spawner.started(
            spawner.shared().run(lambda: self._spawn(job, stdout)), self.kill
        )

    async def run(self, job: Job, *, seconds: float) -> Finished:
        """Run `job` to its end, or kill it after `seconds` or when it takes too much."""
        process = await self.start(job, stdout=subprocess.PIPE)
        return await oneshot.finished(self, process, job, seconds)

    def prepare(self, folder: Path) -> None:
        """Make `folder`; it stays the engine's."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def release(self, folder: Path) -> None:
        """Remove the programs' input files."""
        while self._places:
            await asyncio.to_thread(folders.remove_tree, self._places.pop())

    def owner_of(self, data: Path) -> Identity | None:
        """The engine's own user."""
        return None

    async def moved(self, before: Path, after: Path) -> None:
        """Nothing is kept by path."""

    def scratch_of(self, data: Path) -> Path | None:
        """Nothing bounds what the program writes anywhere; there is no folder to look at."""
        return None

    def localise(self, code: str, data: Path) -> str:
        """There is no /mnt/data here, so the text is replaced wherever it stands."""
        return code.replace(DATA, str(data))

    def shown(self, text: str, data: Path) -> str:
        """The folder's name on the host is nothing that a model should read."""
        return text.replace(str(data), DATA)

    def program_of(self, pid: int) -> int | None:
        """The started process itself."""
        return pid

    def kill(self, pid: int) -> None:
        """What it has started, then the process itself; what left it before is not found."""
        for each in (*processes.descendants(pid), pid):
            processes.signal_quietly(each, signal.SIGKILL)

    def end_strays(self, pid: int) -> None:
        """All that the program has started and not left to others."""
        for each in processes.descendants(pid):
            processes.signal_quietly(each, signal.SIGKILL)

    def _spawn(self, job: Job, stdout: int) -> subprocess.Popen[bytes]:
        place = Path(tempfile.mkdtemp(prefix="unsandboxed-"))
        self._places.append(place)
        _write(place, job.files)
        argv = [
            f"{place}{text}" if text.startswith("/run/") else self.localise(text, job.data or place)
            for text in job.argv
        ]
        return subprocess.Popen(
            [str(self.environment.python), "-I", *argv],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            pass_fds=tuple(job.descriptors),
            env={"PATH": os.defpath, "HOME": str(place), "LANG": "C.UTF-8"},
            cwd=job.data or place,
            start_new_session=True,
        )


def _write(place: Path, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        target = Path(f"{place}{path}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
