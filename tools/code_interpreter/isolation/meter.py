"""Measures one sandbox against its limits: processor time, memory, processes, and what it keeps on the disk.

It is asked again and again, so a look is cheap: one file of /proc a process, and the folders only when the sandbox
has computed since the last look. It changes nothing; whoever asks decides what is to be done. Blocking.
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from . import processes
from .cgroups import Group
from .folders import NOTHING, Footprint, measure
from .held import Held, Holdings
from .limits import MIB, Limits
from .processes import Usage
from .spawner import Identity

_LOOKS = 5  # at folders that are moved meanwhile, before that counts as an overrun
_SOCKET_BYTES = 212_992  # that may wait in one: net.core.wmem_default
_MEMORY_FOLDERS = (
    "tmp",
    "dev/shm",
    "home/sandbox",
)  # of tier A, as tmpfs of a size but of any number of files
_SPARE = 8  # processes: the sandbox's own two, and those on their way out


@dataclass(frozen=True)
class Overrun:
    """A limit that is exceeded, in words. A mild one may be mended by an interrupt."""

    text: str
    mild: bool = False


@dataclass(frozen=True)
class Folders:
    """What code may fill on the host's disk.

    Attributes:
        data: what lies behind /mnt/data.
        scratch: what lies behind /tmp and the like, where these are no tmpfs of a fixed size.
        owner: whom processes and files belong to when that is not the engine's own user.
    """

    data: Path
    scratch: Path | None = None
    owner: Identity | None = None


class Meter:
    """Compares what a sandbox uses with its limits.

    What the host lent is no part of what code may store. What the data folder holds before code runs may stay, even
    above the limit: code that is to delete files of an overfull folder must be able to run.

    Attributes:
        group: the sandbox's cgroup, where it has one.
    """

    def __init__(self, folders: Folders, limits: Limits) -> None:
        self.group: Group | None = None
        self._limits = limits
        self._cpu = _Stopwatch()
        self._cpu_seconds = limits.cpu_seconds
        self._closed: set[int] = set()
        self._lent = NOTHING
        self.watch(folders)

    def watch(self, folders: Folders) -> None:
        """The sandbox's folders are these from now on; `take_stock` of what they hold, before code runs in them."""
        self._folders = folders
        self._spared: Footprint | None = None
        self._disk = _Disk(folders.data)
        self._holdings = Holdings(self._disk.device, folders.owner)

    @property
    def knows_folder(self) -> bool:
        """Whether stock was taken."""
        return self._spared is not None

    def take_stock(self) -> None:
        """What the data folder holds now may stay; only the first time counts."""
        folders = self._folders
        taken = _settled(folders.data, None) or NOTHING
        if self._spared is None and folders is self._folders:
            self._spared = taken

    def lend(self, files: Footprint) -> None:
        """The host itself puts that into the folder, all in all."""
        self._lent = files

    def grant(self, cpu_seconds: float) -> None:
        """From now on, that much processor time may be used."""
        self._cpu.used, self._cpu_seconds = 0.0, cpu_seconds

    def overrun(self, pid: int) -> Overrun | None:
        """The first limit that the sandbox with the outermost process `pid` exceeds."""
        used = processes.usages(pid)
        counted = self.group.cpu_seconds() if self.group is not None else None
        if counted is None:
            counted = sum(each.cpu_seconds for each in used)
        worked = self._cpu.advance(counted)
        found = self._crowd(used) or self._memory(used)
        if self._spared is None:
            self.take_stock()
        elif found is None and worked:
            held = self._holdings.look(each.pid for each in used)
            found = self._hidden(held) or self._shared(held) or self._stored(held)
            found = found or self._scratch(pid)
        return found or self._time()

    def _time(self) -> Overrun | None:
        limit = self._limits.cpu_seconds
        if self._cpu.used <= self._cpu_seconds:
            return None
        return Overrun(f"its code used more than {limit:g} s of processor time", mild=True)

    def _crowd(self, used: list[Usage]) -> Overrun | None:
        limit = self._limits.processes
        if sum(each.threads for each in used) <= limit + _SPARE:
            return None
        return Overrun(f"there were more than {limit} processes and threads")

    def _memory(self, used: list[Usage]) -> Overrun | None:
        limit = self._limits.memory_bytes
        if self.group is not None and self.group.bounds_memory:
            return None
        tables = sum(processes.page_table_bytes(each.pid) for each in used)
        if sum(each.resident_bytes for each in used) + tables <= limit:
            return None
        # There, a page counts for each process that shares it. The exact sum is slow: only near the limit.
        if sum(processes.proportional_bytes(each) for each in used) + tables <= limit:
            return None
        return Overrun(f"its processes used more than {limit // MIB} MiB of memory together")

    def _hidden(self, held: Held) -> Overrun | None:
        stubborn = self._closed & held.closed  # twice: not one that was just beginning or ending
        self._closed = held.closed
        return Overrun("one of its processes hid what it holds") if stubborn else None

    def _shared(self, held: Held) -> Overrun | None:
        limit = self._limits.memory_bytes
        if self.group is not None and self.group.bounds_memory:
            return None
        unseen = self._disk.more_shared_memory() if held.unknown_shared else 0
        if max(held.shared_bytes, unseen) > limit:
            return Overrun(f"its processes shared more than {limit // MIB} MiB of memory")
        if held.sockets * _SOCKET_BYTES > limit:
            return Overrun(
                f"its {held.sockets} sockets may hold more than {limit // MIB} MiB of memory"
            )
        return None

    def _stored(self, held: Held) -> Overrun | None:
        limits, spared, lent = self._limits, self._spared or NOTHING, self._lent
        entries = max(limits.data_entries + lent.entries, spared.entries)
        taken = _settled(self._folders.data, entries)
        if taken is None:
            return Overrun("folders in /mnt/data were moved about faster than they can be measured")
        if taken.entries > entries:
            return Overrun(
                f"there were more than {limits.data_entries} files and folders in /mnt/data"
            )
        unseen = min(held.unknown_files * limits.file_bytes, self._disk.less_room())
        most = max(limits.data_bytes + lent.bytes, spared.bytes)
        if taken.bytes + held.disk_bytes + unseen > most:
            return Overrun(
                f"the files in /mnt/data took more than {limits.data_bytes // MIB} MiB: delete some before you "
                "write more"
            )
        return None

    def _scratch(self, pid: int) -> Overrun | None:
        scratch, limits = self._folders.scratch, self._limits
        if scratch is None:
            if _most_files_in_memory(pid) > limits.data_entries:
                return Overrun("there were too many files in /tmp")
            return None
        taken = _settled(scratch, limits.data_entries)
        if taken is None or taken.entries > limits.data_entries:
            return Overrun("there were too many files in /tmp")
        if taken.bytes > limits.scratch_bytes:
            return Overrun(f"the files in /tmp took more than {limits.scratch_bytes // MIB} MiB")
        return None


class _Stopwatch:
    """Adds up processor time. The sum over processes falls when one ends whose time no other inherits."""

    def __init__(self) -> None:
        self.used = 0.0
        self._last: float | None = None

    def advance(self, total: float) -> bool:
        """Take the next reading; whether there is anything new."""
        more = 0.0 if self._last is None else total - self._last
        self._last = total
        self.used += max(0.0, more)
        return more != 0


class _Disk:
    """What the whole machine lost since the sandbox was first looked at: a bound for what cannot be measured."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self.device = data.stat().st_dev
        self._room = 0
        self._room = self._free()
        self._memory = processes.shared_memory_bytes()

    def less_room(self) -> int:
        """Bytes."""
        return max(0, self._room - self._free())

    def more_shared_memory(self) -> int:
        """Bytes."""
        return max(0, processes.shared_memory_bytes() - self._memory)

    def _free(self) -> int:
        try:
            room = os.statvfs(self._data)
        except FileNotFoundError:
            return (
                self._room
            )  # the folder was renamed a moment ago, and `watch` tells its new place
        return room.f_bfree * room.f_frsize


def _most_files_in_memory(pid: int) -> int:
    """In one of the folders that a tier A sandbox keeps in memory; 0 where there is none, or no look into it."""
    found = [0]
    for folder in _MEMORY_FOLDERS:
        with contextlib.suppress(OSError):
            room = os.statvfs(f"/proc/{processes.first_process(pid)}/root/{folder}")
            found.append(room.f_files - room.f_ffree)
    return max(found)


def _settled(folder: Path, most_entries: int | None) -> Footprint | None:
    looks = (measure(folder, most_entries) for _ in range(_LOOKS))
    return next((look for look in looks if look is not None), None)
