"""Deleted files and shared memory that only processes know of."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from local_assistants.tools.code_interpreter.isolation.held import Held, Holdings

_MIB = 1 << 20
_STRANGER = 64999
_OPEN = "exec 3> gone; head -c 3145728 /dev/zero >&3; rm gone; echo ready; read answer"
_MAPPED = """
import ctypes, os
f = open('gone', 'w+b'); f.write(bytes(3 << 20)); f.flush()
mmap = ctypes.CDLL(None).mmap
mmap.restype = ctypes.c_void_p
mmap(None, ctypes.c_size_t(4096), 1, 1, f.fileno(), ctypes.c_long(0))
os.unlink('gone'); f.close()
"""
_SHARED = """
import mmap
m = mmap.mmap(-1, 5 << 20); m.write(bytes(5 << 20)); m.madvise(mmap.MADV_DONTNEED)
"""
# Looks as a root may look in a container: without CAP_SYS_PTRACE, after an exec that takes it away.
_LOOK = """
import ctypes, json, os, sys
from local_assistants.tools.code_interpreter.isolation.held import Holdings
from local_assistants.tools.code_interpreter.isolation.spawner import Identity
number, device, user = map(int, sys.argv[1:4])
if len(sys.argv) == 4:
    ctypes.CDLL(None).prctl(24, 19, 0, 0, 0)
    os.execv(sys.executable, [sys.executable, "-c", sys.orig_argv[2], *sys.argv[1:], "again"])
held = Holdings(device, Identity(user, user) if user else None).look([number])
print(json.dumps([held.disk_bytes, len(held.closed), os.geteuid(), os.getegid()]))
"""


@contextlib.contextmanager
def program(command: Sequence[str], folder: Path, user: int | None = None) -> Iterator[int]:
    """A process that has done its work in the folder and waits to be ended; gives its number."""
    folder.chmod(0o777)
    with subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        user=user,
        group=user,
    ) as process:
        assert process.stdout is not None
        assert b"ready\n" == process.stdout.readline()
        yield process.pid
        process.kill()


def python(code: str) -> list[str]:
    """The command of a program in Python."""
    return [sys.executable, "-c", f"{code}\nprint('ready', flush=True)\ninput()"]


def look(folder: Path, pid: int) -> Held:
    """What a process holds on the folder's disk, and in memory."""
    return Holdings(folder.stat().st_dev).look([pid])


def test_a_deleted_file_that_is_open_counts(tmp_path: Path) -> None:
    """Until its last descriptor is closed, it is on the disk."""
    with program(["/bin/sh", "-c", _OPEN], tmp_path) as pid:
        held = look(tmp_path, pid)
    assert 3 * _MIB <= held.disk_bytes < 4 * _MIB
    assert (0, set()) == (held.unknown_files, held.closed)


def test_files_of_other_disks_do_not_count(tmp_path: Path) -> None:
    """What lies on a tmpfs of fixed size is bounded already."""
    with program(["/bin/sh", "-c", _OPEN], tmp_path) as pid:
        assert 0 == Holdings(tmp_path.stat().st_dev + 1).look([pid]).disk_bytes


def test_a_deleted_file_of_which_one_page_is_mapped_counts(tmp_path: Path) -> None:
    """As a whole where its size can be learned, as a file of unknown size elsewhere."""
    with program(python(_MAPPED), tmp_path) as pid:
        held = look(tmp_path, pid)
    expected = (3, 0) if os.geteuid() == 0 else (0, 1)
    assert expected == (held.disk_bytes // _MIB, held.unknown_files)


def test_shared_memory_counts_when_it_is_not_resident(tmp_path: Path) -> None:
    """It stays in memory although no process has its pages mapped."""
    with program(python(_SHARED), tmp_path) as pid:
        assert 5 * _MIB == look(tmp_path, pid).shared_bytes


def test_a_process_that_closed_itself_is_named(tmp_path: Path) -> None:
    """A process may forbid its own user to look into it. A root can look all the same."""
    with program(python("import ctypes\nctypes.CDLL(None).prctl(4, 0, 0, 0, 0)"), tmp_path) as pid:
        closed = look(tmp_path, pid).closed
    assert (set[int]() if os.geteuid() == 0 else {pid}) == closed


def test_one_that_has_ended_holds_nothing(tmp_path: Path) -> None:
    """Neither an error nor a secret."""
    with program(["/bin/sh", "-c", _OPEN], tmp_path) as pid:
        pass
    assert Held() == look(tmp_path, pid)


def test_a_root_without_the_right_to_trace_looks_as_the_owner(tmp_path: Path) -> None:
    """As in a container; afterwards it is itself again. Who is no root runs all as himself and may look anyway."""
    user = _STRANGER if os.geteuid() == 0 else None
    with program(["/bin/sh", "-c", _OPEN], tmp_path, user) as pid:
        arguments = [str(pid), str(tmp_path.stat().st_dev), str(user or 0)]
        path = os.pathsep.join(path for path in sys.path if path)
        said = subprocess.run(
            [sys.executable, "-c", _LOOK, *arguments],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            check=True,
        ).stdout
    disk, closed, as_user, as_group = json.loads(said)
    assert 3 * _MIB <= disk < 4 * _MIB
    assert (0, os.geteuid(), os.getegid()) == (closed, as_user, as_group)
