"""Runs a program of the interpreter's environment where no namespaces can be had: tier B, as in a default container.

Landlock hides the host's files and a strict seccomp filter takes the network and what reaches other processes; a root
engine also gives each session folder a user of its own. `confine.py` puts all that in force and stays as the guard of
what the program starts. There is no /mnt/data: the working directory is the session's folder, and its name is changed
in code and in what code says (`localising.py`). /tmp and the home are folders on the host's disk, whose size whoever
watches must bound (`scratch_of`).

It refuses to exist where that would not isolate: without Landlock; with signals unconfined (ABI below 6) unless each
session has a user of its own; as root without a second user. It does not know what a kernel is.
"""

import asyncio
import ctypes
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ....engine.errors import SandboxUnavailable
from ..environment import Environment
from . import guard, localising, oneshot, processes, seccomp, spawner, users
from .job import DATA, Finished, Job
from .limits import Limits
from .prepared import Prepared, PreparedFolders
from .refusal import Refusal
from .seccomp import Walls
from .spawner import Identity
from .surroundings import ETC, TOP_LEVEL, python_folders, rlimits, variables

LOST = (
    "multiprocessing pools, managers and shared memory; !commands; servers on localhost; running programs from "
    "/mnt/data; /mnt/data in paths that code puts together from pieces. Names, sizes and times of host files whose "
    "path code can guess are visible, their contents are not"
)
"""What code cannot do, or can see, in tier B and not in tier A."""

_CREATE_RULESET, _ASK_VERSION = 444, 1
_SIGNALS_CONFINED_FROM = 6  # ABI
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_FACTS = ("/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu/online")
_ROUNDS = 20  # strays that fork are faster than one look at them
# Without a user namespace RLIMIT_NPROC counts all that the user runs; the watchdog counts the session's own.
_ROOM_FOR_OTHERS = 8


def abi() -> int:
    """The version of Landlock that this host offers, 0 for none."""
    version: int = ctypes.CDLL(None).syscall(
        ctypes.c_long(_CREATE_RULESET), None, ctypes.c_long(0), ctypes.c_long(_ASK_VERSION)
    )
    return max(version, 0)


class Landlocked:
    """Starts programs of one environment behind Landlock and a filter. Cheap; holds no process.

    Args:
        environment: the interpreter.
        limits: what a session may use.
        root: the engine's own folder for sessions. A root engine lets sessions' users pass through it.

    Raises:
        SandboxUnavailable: it would not isolate here; says why and what mends it.
    """

    isolated = True
    tier = "B"
    beside_host = True

    def __init__(self, environment: Environment, limits: Limits, root: Path | None = None) -> None:
        self.environment = environment
        self.limits = limits
        self._abi = _sufficient_abi()
        self._folders = PreparedFolders(root)
        own = self._folders.lends_users
        self._filter = seccomp.build(walls=Walls.OWN_USER if own else Walls.SAME_USER)
        self._spawner = spawner.shared()

    @property
    def process_limit(self) -> int:
        """The session's own where it has a user of its own; else with room for all else that the user runs."""
        if self._folders.lends_users:
            return self.limits.processes
        return users.tasks_of(os.geteuid()) + _ROOM_FOR_OTHERS * self.limits.processes

    def owner_of(self, data: Path) -> Identity | None:
        """The folder's own user where the engine is root."""
        found = self._folders.find(data)
        return found.lent.identity if found and found.lent else None

    def scratch_of(self, data: Path) -> Path | None:
        """The folder that holds /tmp and the home."""
        found = self._folders.find(data)
        return found.place.scratch if found else None

    def localise(self, code: str, data: Path) -> str:
        """Code with the real names of /mnt/data, /tmp and the home."""
        found = self._folders.find(data)
        return localising.localise(code, found.names) if found else code

    def shown(self, text: str, data: Path) -> str:
        """Text with the names that code uses."""
        found = self._folders.find(data)
        return localising.shown(text, found.names).replace(str(found.data), DATA) if found else text

    async def start(self, job: Job, *, stdout: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        """Start `job`; its stderr is a pipe that the caller must drain.

        Raises:
            SandboxUnavailable: the guard could not even be started.
        """
        prepared = await asyncio.to_thread(self._ready, job)
        spawning = self._spawner.run(lambda: self._spawn(job, prepared, stdout))
        return await spawner.started(spawning, self.kill)

    async def run(self, job: Job, *, seconds: float) -> Finished:
        """Run `job` to its end, or kill it after `seconds` or when it takes too much (returncode 137)."""
        own = job.data is None
        data = job.data or self._folders.temporary()
        try:
            job = replace(job, data=data)
            process = await self.start(job, stdout=subprocess.PIPE)
            finished = await oneshot.finished(self, process, job, seconds)
            return replace(finished, stdout=self.shown(finished.stdout, data))
        finally:
            if own:
                await self.release(data)

    def prepare(self, folder: Path) -> None:
        """Make `folder` one that its programs may write; a root engine lends it a user until its release."""
        self._folders.prepare(folder)

    async def release(self, folder: Path) -> None:
        """End what its user may still run, take the user back, and remove the scratch space."""
        await asyncio.to_thread(self._folders.release, folder)

    async def moved(self, before: Path, after: Path) -> None:
        """Landlock's rules hold the folder itself; what was put into it is given to its user."""
        await asyncio.to_thread(self._folders.moved, before, after)

    def program_of(self, pid: int) -> int | None:
        """The innermost guard's first child; orphans that it took on come after it."""
        return next(iter(processes.children(self._guards(pid)[-1])), None)

    def kill(self, pid: int) -> None:
        """The guard kills all at once when it is told to. Killed itself, it would leave what was orphaned."""
        processes.signal_quietly(pid, signal.SIGTERM)

    def end_strays(self, pid: int) -> None:
        """All but the guards and the program."""
        spared = {*self._guards(pid), self.program_of(pid)}
        for _ in range(_ROUNDS):
            strays = [each for each in processes.descendants(pid) if each not in spared]
            if not strays:
                return
            for each in strays:
                processes.signal_quietly(each, signal.SIGKILL)

    def _guards(self, pid: int) -> list[int]:
        """The process that was started, and below it the second one where they are two (`confine.py`)."""
        return [pid] if self._folders.lends_users else [pid, *processes.children(pid)[:1]]

    def _ready(self, job: Job) -> Prepared:
        prepared = self._folders.prepare(job.data or self._folders.temporary())
        prepared.place.fill(job.files, self.environment.font_caches())
        return prepared

    def _spawn(self, job: Job, prepared: Prepared, stdout: int) -> subprocess.Popen[bytes]:
        with guard.order(self._order(job, prepared)) as order:
            try:
                return subprocess.Popen(
                    guard.command(order),
                    stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE,
                    pass_fds=(order, *job.descriptors), env={}, cwd="/", start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                raise SandboxUnavailable(
                    f"the sandbox's helper cannot be started: {error.strerror}", detail=str(error)
                ) from error

    def _order(self, job: Job, prepared: Prepared) -> dict[str, object]:
        place, lent = prepared.place, prepared.lent
        names = prepared.names
        argv = [
            f"{place.folder}{each}"
            if each.startswith("/run/")
            else localising.localise(each, names)
            for each in job.argv
        ]
        data, scratch = str(prepared.data), str(place.scratch)
        return {
            "engine": os.getpid(),
            "user": None if lent is None else [lent.identity.uid, lent.keeper],
            "groups": self._folders.groups,
            "abi": self._abi,
            "read": [*self._readable(), str(place.inputs), *(() if job.writable else (data,))],
            "write": [scratch, *((data,) if job.writable else ())],
            "devices": [each for each in _DEVICES if os.path.exists(each)],
            "rlimits": rlimits(self.limits, self.process_limit),
            "descriptors": list(job.descriptors),
            "filter": self._filter.hex(),
            "folder": data,
            "argv": [str(self.environment.python), "-I", *argv],
            "environment": variables(self.environment, str(place.home), str(place.temporary)),
        }

    def _readable(self) -> Iterator[str]:
        system = ("/usr", *(f"/{name}" for name in TOP_LEVEL), *(f"/etc/{name}" for name in ETC))
        yield from (each for each in (*system, *_FACTS) if os.path.exists(each))
        yield from map(str, python_folders(self.environment))


def _sufficient_abi() -> int:
    found = abi()
    if found == 0:
        raise Refusal(
            "this kernel offers no Landlock",
            "use Linux 5.13 or newer with landlock among its security modules (boot parameter lsm=landlock,...)",
        )
    if found < _SIGNALS_CONFINED_FROM and os.geteuid() != 0:
        raise Refusal(
            f"Landlock of this kernel (version {found}) does not confine signals",
            "use Linux 6.12 or newer, or an engine that runs as root and can give each session a user of its own",
        )
    return found
