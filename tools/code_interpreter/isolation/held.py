"""What processes hold that no folder shows: deleted files, open or mapped; shared memory without a file; sockets.

A deleted file takes its room on the disk until the last descriptor and the last mapping of it are gone; shared memory
stays whole until the last mapping of any part of it is, whatever is resident. Both are read from /proc as the host
sees it. Only a root is told the size of what is merely mapped: for others such things are counted, not measured.

Linux only. Blocking, about a millisecond a process.
"""

import contextlib
import ctypes
import functools
import mmap
import os
import platform
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from . import processes
from .spawner import Identity

_PROC = Path("/proc")
_BLOCK = 512  # bytes; the unit of st_blocks whatever the file system's is
_DELETED = re.compile(
    rb"^([0-9a-f]+)-([0-9a-f]+) \S+ \S+ (\S+) (\d+) +(\S.*) \(deleted\)$", re.MULTILINE
)
_EVERY = 4  # looks: mappings are four fifths of the work, and hiding something there takes a while
_SHARED_NAME = b"/dev/zero"  # what the system calls shared memory that has no file
_SETRESGID, _SETRESUID = {"x86_64": (119, 117), "aarch64": (149, 147)}.get(
    platform.machine(), (None, None)
)


@dataclass
class Held:
    """What was found, summed over processes.

    Attributes:
        disk_bytes: of deleted files.
        unknown_files: deleted files that are mapped, and of which no size could be learned.
        shared_bytes: of shared memory without a file; where no size could be learned, what is mapped of it.
        unknown_shared: pieces of it of which no size could be learned.
        sockets: each with buffers of the system's memory, whose filling cannot be seen.
        closed: processes that cannot be looked into.
    """

    disk_bytes: int = 0
    unknown_files: int = 0
    shared_bytes: int = 0
    unknown_shared: int = 0
    sockets: int = 0
    closed: set[int] = field(default_factory=set[int])


class Holdings:
    """Looks at processes of one sandbox.

    Args:
        device: files on it count, by its st_dev.
        owner: whom the processes belong to; None: the engine's own user.
    """

    def __init__(self, device: int, owner: Identity | None = None) -> None:
        self._device = device
        self._owner = owner
        self._looks = 0

    def look(self, pids: Iterable[int]) -> Held:
        """What these processes hold now; what is mapped is only looked at now and then."""
        glance = _Glance(self._device, mappings=self._looks % _EVERY == 0)
        self._looks += 1
        for pid in pids:
            try:
                glance.look_into(pid)
            except PermissionError:
                if not self._look_as_owner(glance, pid) and self._is_of_code(pid):
                    glance.held.closed.add(pid)
            except OSError:
                pass  # it is gone
        return glance.held

    def _is_of_code(self, pid: int) -> bool:
        """Whether what hides itself may be model-written code: it lives, and has no other user than code can have."""
        # The guard of a lent user has that user as its effective one only, and nobody may look into it.
        of_code = self._owner is None or processes.user_of(pid) in (self._owner.uid, None)
        return of_code and not processes.has_ended(pid)

    def _look_as_owner(self, glance: "_Glance", pid: int) -> bool:
        """A root without CAP_SYS_PTRACE, as in a container, may look only as the one whom the process belongs to."""
        if self._owner is None or os.geteuid() != 0:
            return False
        try:
            with _acting_as(self._owner):
                glance.look_into(pid)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True


class _Glance:
    """One look at several processes; what two of them hold counts once."""

    def __init__(self, device: int, *, mappings: bool) -> None:
        self.held = Held()
        self._device = device
        self._mappings = mappings
        self._files: set[int] = set()
        self._sockets: set[int] = set()
        self._shared: set[int] = set()

    def look_into(self, pid: int) -> None:
        for status in _open_files(pid):
            self._add_file(status)
        for mapping in _deleted_mappings(pid) if self._mappings else ():
            known = self._shared if mapping.is_shared_memory else self._files
            if mapping.inode not in known:
                self._add_mapped(mapping)
                known.add(mapping.inode)

    def _add_file(self, status: os.stat_result) -> None:
        deleted = status.st_nlink == 0 and status.st_dev == self._device
        if deleted and status.st_ino not in self._files:
            self._files.add(status.st_ino)
            self.held.disk_bytes += status.st_blocks * _BLOCK
        elif stat.S_ISSOCK(status.st_mode) and status.st_ino not in self._sockets:
            self._sockets.add(status.st_ino)
            self.held.sockets += 1

    def _add_mapped(self, mapping: "_Mapping") -> None:
        status = None
        with contextlib.suppress(FileNotFoundError):  # unmapped meanwhile
            with contextlib.suppress(PermissionError):
                status = mapping.file.stat()
            if mapping.is_shared_memory:
                self.held.shared_bytes += status.st_blocks * _BLOCK if status else mapping.bytes
                self.held.unknown_shared += status is None
            elif status is None:
                self.held.unknown_files += 1
            else:
                self._add_file(status)


@dataclass(frozen=True)
class _Mapping:
    """A piece of a process's memory behind which there is a file without a name."""

    file: Path
    bytes: int
    inode: int
    device: str

    @property
    def is_shared_memory(self) -> bool:
        return self.device == _memory_device()


def _open_files(pid: int) -> Iterator[os.stat_result]:
    with os.scandir(_PROC / str(pid) / "fd") as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                yield entry.stat()


def _deleted_mappings(pid: int) -> Iterator[_Mapping]:
    folder = _PROC / str(pid)
    for match in _DELETED.finditer((folder / "maps").read_bytes()):
        start, end = int(match[1], 16), int(match[2], 16)
        file = folder / "map_files" / f"{start:x}-{end:x}"
        yield _Mapping(file, end - start, int(match[4]), match[3].decode())


@functools.cache
def _memory_device() -> str:
    """The device of shared memory, as maps write it. Learned from our own: names of others' files may lie."""
    with mmap.mmap(-1, mmap.PAGESIZE):
        own = (_PROC / "self" / "maps").read_bytes()
        found = (match[3] for match in _DELETED.finditer(own) if match[5] == _SHARED_NAME)
        return next(found, b"").decode()


@contextlib.contextmanager
def _acting_as(owner: Identity) -> Iterator[None]:
    """Take the effective user and group of `owner` in this thread alone, past the C library, which tells all threads.

    Raises:
        OSError: it is not allowed, or not known how on this processor.
    """
    set_group, set_user = _setter(_SETRESGID), _setter(_SETRESUID)
    set_group(owner.gid)
    try:
        set_user(owner.uid)
        try:
            yield
        finally:
            set_user(0)
    finally:
        set_group(0)


def _setter(number: int | None) -> Callable[[int], None]:
    if number is None:
        raise OSError("the numbers of this processor's system calls are not known")
    call = ctypes.CDLL(None, use_errno=True).syscall
    same = ctypes.c_long(-1)

    def set_effective(value: int) -> None:
        if call(ctypes.c_long(number), same, ctypes.c_long(value), same) != 0:
            raise OSError(ctypes.get_errno(), "the thread's user cannot be changed")

    return set_effective
