"""Control groups: exact bounds on a sandbox's memory and processes, where the host lets us make groups.

Below the group that the engine itself is in, each sandbox gets one of its own, in the version 1 hierarchies and in the
unified one alike. All its processes together weigh as much there as one thread of the engine, however many they are.
Nobody's group but ours is touched, and ours are removed with the sandbox; those of an engine that was killed are
removed by the next. Where nothing may be written (an ordinary user, a container) there are none, and the watchdog's
sums must do.

It does not know what a sandbox is: it is given the process that all others come from. Blocking, and quick.
"""

import contextlib
import functools
import itertools
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import processes
from .limits import Limits

_LOG = logging.getLogger(__name__)
_NAME = "local-assistants"
_SPARE = 8  # processes: the sandbox's own two, and those on their way out
_ROUNDS = 50  # of looking for processes that were started while others were taken in
_REMOVALS = 20  # attempts; a killed process leaves its group when it has been reaped
_REMOVAL_PAUSE = 0.02  # seconds


@dataclass(frozen=True)
class Place:
    """Where groups can be made, by controller ("memory", "pids", "cpu", "cpuacct").

    Attributes:
        folders: the engine's own group in each hierarchy; in the unified one they are all the same.
        unified: whether it is version 2.
    """

    folders: Mapping[str, Path]
    unified: bool

    @property
    def text(self) -> str:
        """What it bounds, in words."""
        version = "version 2" if self.unified else "version 1"
        return (
            f"{' and '.join(sorted({'memory', 'pids'} & set(self.folders)))} by cgroups ({version})"
        )


@dataclass
class Group:
    """The group of one sandbox: a folder in each hierarchy."""

    folders: Mapping[str, Path]
    unified: bool
    _known_kills: int = field(default=0, init=False)

    @property
    def bounds_memory(self) -> bool:
        """Whether the system itself keeps the memory below the limit."""
        return "memory" in self.folders

    def adopt(self, pid: int) -> None:
        """Take in `pid` and all that it started; what they start from now on is in from its beginning.

        Raises:
            OSError: a process cannot be moved.
        """
        inside: set[int] = set()
        for _ in range(_ROUNDS):
            outside = [each for each in (pid, *processes.descendants(pid)) if each not in inside]
            if not outside:
                return
            for each in outside:
                self._move(each)
            inside.update(outside)

    def new_kills(self) -> int:
        """How many processes were ended for want of memory since this was last asked."""
        name = "memory.events" if self.unified else "memory.oom_control"
        kills = self._numbers("memory", name).get("oom_kill", 0)
        fresh, self._known_kills = kills - self._known_kills, kills
        return fresh

    def cpu_seconds(self) -> float | None:
        """Processor time of all that ever were in the group; None where it is not counted."""
        if self.unified:
            used = self._numbers("cpu", "cpu.stat").get("usage_usec")
            return None if used is None else used / 1e6
        with contextlib.suppress(OSError, ValueError, KeyError):
            return int((self.folders["cpuacct"] / "cpuacct.usage").read_text()) / 1e9
        return None

    def remove(self) -> None:
        """Remove the group once its processes are gone; waits for them a little, and leaves it when they stay."""
        for folder in set(self.folders.values()):
            for _ in range(_REMOVALS):
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(_REMOVAL_PAUSE)
                else:
                    break

    def _move(self, pid: int) -> None:
        for folder in dict.fromkeys(self.folders.values()):
            with contextlib.suppress(ProcessLookupError):
                (folder / "cgroup.procs").write_text(str(pid))

    def _numbers(self, controller: str, name: str) -> dict[str, int]:
        """The "key value" lines of one of the group's files; none where it cannot be read."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            lines = (self.folders[controller] / name).read_text().splitlines()
            return {key: int(value) for key, _, value in (line.partition(" ") for line in lines)}
        return {}


_numbers = itertools.count(1)


def enclose(pid: int, limits: Limits, place: Place | None = None) -> Group | None:
    """Put a sandbox's outermost process and all below it into a group with these limits; None where none can be made.

    Args:
        pid: the process; it must have been started just now.
        limits: memory_bytes and processes.
        place: where; None: where `found` says.
    """
    place = place or found()
    if place is None:
        return None
    group = _make(place, f"{_NAME}-{os.getpid()}-{next(_numbers)}", limits)
    if group is None:
        return None
    try:
        group.adopt(pid)
    except OSError as error:
        _LOG.warning("a sandbox is bounded by the watchdog alone: %s", error)
        group.remove()
        return None
    return group


@functools.cache
def found() -> Place | None:
    """Where this process can make groups that bound memory or processes, tried once; None for nowhere."""
    try:
        place = find(
            Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text()
        )
    except OSError:
        return None
    if place is None:
        return None
    _sweep(place)
    trial = _make(place, f"{_NAME}-{os.getpid()}-0", Limits())
    if trial is None:
        return None
    trial.remove()
    return Place({name: place.folders[name] for name in trial.folders}, place.unified)


def find(own: str, mounts: str) -> Place | None:
    """The engine's own group by the text of /proc/self/cgroup and /proc/self/mountinfo, if it can be written.

    A unified group must hold nobody but this process before it can have bounded groups below; it is then moved one
    down. That is so for a service with `Delegate=yes`; anywhere else the watchdog is the milder choice.
    """
    groups = [line.split(":", 2) for line in own.splitlines()]
    old = {
        name: folder
        for _, names, path in groups
        for name in names.split(",")
        if name in ("memory", "pids", "cpu", "cpuacct")
        and (folder := _folder(mounts, "cgroup", name, path)) is not None
    }
    if {"memory", "pids"} & set(old):
        return Place(old, unified=False)
    path = next((path for _, names, path in groups if not names), None)
    folder = None if path is None else _folder(mounts, "cgroup2", "", path)
    return None if folder is None else _unified(folder)


def _unified(folder: Path) -> Place | None:
    wanted = [
        name for name in ("memory", "pids", "cpu") if name in _words(folder / "cgroup.controllers")
    ]
    if not {"memory", "pids"} & set(wanted):
        return None
    try:
        if not set(wanted) <= set(_words(folder / "cgroup.subtree_control")):
            _delegate(folder, wanted)
    except OSError:
        return None
    return Place(dict.fromkeys((*wanted, "cpu"), folder), unified=True)


def _delegate(folder: Path, controllers: Sequence[str]) -> None:
    """Hand controllers to the groups below, which needs a group without processes of its own."""
    members = [int(word) for word in _words(folder / "cgroup.procs")]
    family = {os.getpid(), *processes.descendants(os.getpid())}
    if set(members) - family:
        raise PermissionError(f"{folder} has other processes")
    leaf = folder / f"{_NAME}-engine"
    if members:
        leaf.mkdir(exist_ok=True)
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                (leaf / "cgroup.procs").write_text(str(pid))
    (folder / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in controllers))


def _folder(mounts: str, kind: str, controller: str, path: str) -> Path | None:
    """Where the group `path` of a hierarchy is to be seen, if we may write there."""
    for line in mounts.splitlines():
        head, _, tail = line.partition(" - ")
        fields, (kind_here, _, options) = head.split(), tail.split(" ", 2)
        root, point = fields[3], fields[4]
        if kind_here != kind or (controller and controller not in options.split(",")):
            continue
        if path != root and not path.startswith(root.rstrip("/") + "/"):
            continue
        folder = Path(point, path[len(root) :].lstrip("/"))
        return folder if os.access(folder, os.W_OK | os.X_OK) else None
    return None


def _make(place: Place, name: str, limits: Limits) -> Group | None:
    """A group with its limits set, in the hierarchies that take it; None when none does."""
    made: dict[str, Path] = {}
    for controller, parent in place.folders.items():
        folder = parent / name
        try:
            if folder not in made.values():
                folder.mkdir()
            for file, value in _settings(controller, limits, unified=place.unified):
                _write(folder / file, value)
        except OSError:
            if folder not in made.values():
                with contextlib.suppress(OSError):
                    folder.rmdir()
            continue
        made[controller] = folder
    group = Group(made, place.unified)
    if {"memory", "pids"} & set(made):
        return group
    group.remove()
    return None


def _settings(controller: str, limits: Limits, *, unified: bool) -> Sequence[tuple[str, str]]:
    """Files of a group and what to write there; a name that ends in ? is not there everywhere."""
    memory, pids = str(limits.memory_bytes), str(limits.processes + _SPARE)
    if unified:
        return {
            "memory": (("memory.max", memory), ("memory.swap.max?", "0")),
            "pids": (("pids.max", pids),),
        }.get(controller, ())
    return {
        "memory": (("memory.limit_in_bytes", memory), ("memory.memsw.limit_in_bytes?", memory)),
        "pids": (("pids.max", pids),),
    }.get(controller, ())


def _write(file: Path, value: str) -> None:
    optional = file.name.endswith("?")
    path = file.with_name(file.name.removesuffix("?"))
    if optional and not path.exists():
        return
    with path.open("r+") as existing:  # never makes a file, wherever this is
        existing.write(value)


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def _sweep(place: Place) -> None:
    """Remove what engines left that were killed; a group that still has processes stays."""
    for parent in set(place.folders.values()):
        for folder in parent.glob(f"{_NAME}-*-*"):
            pid = folder.name.split("-")[2]
            if not (pid.isdigit() and Path("/proc", pid).exists()):
                with contextlib.suppress(OSError):
                    folder.rmdir()
