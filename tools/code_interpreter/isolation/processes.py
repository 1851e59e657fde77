"""The processes of a sandbox as the host sees them, read from /proc. Linux only.

bwrap (the pid we spawned) has one child, the first process of the new pid namespace; the kernel is that one's first
child, number 2 inside. Ancestry is checked by the host's own /proc, never by what the sandbox says.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_ROUNDS = 20  # strays that fork are faster than one look at them
_ENDED = ("Z", "X", "x")  # states of processes that hold nothing any more
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Usage:
    """What one process uses: seconds of processor time (its ended children's too), bytes in memory, threads."""

    pid: int
    cpu_seconds: float
    resident_bytes: int
    threads: int


def children(pid: int) -> list[int]:
    """Direct children of `pid` over all its threads; empty when it is gone."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in (_PROC / str(pid) / "task").iterdir():
            found += [int(child) for child in (thread / "children").read_text().split()]
    return found


def descendants(pid: int) -> Iterator[int]:
    """All processes below `pid`, parents before children."""
    for child in children(pid):
        yield child
        yield from descendants(child)


def first_process(bwrap: int) -> int | None:
    """Host pid of the sandbox's process number 1, None before it is there."""
    return next((pid for pid in children(bwrap) if _number_inside(pid) == 1), None)


def kernel_of(bwrap: int) -> int | None:
    """Host pid of the program that the sandbox was made for, None before it is there."""
    first = first_process(bwrap)
    if first is None:
        return None
    return next((pid for pid in children(first) if _number_inside(pid) == 2), None)


def kill_sandbox(bwrap: int) -> None:
    """SIGKILL to the namespace's first process, with which the kernel ends all others."""
    first = first_process(bwrap)
    if first is not None:
        signal_quietly(first, signal.SIGKILL)


def kill_strays(bwrap: int) -> None:
    """SIGKILL to every process of the sandbox but its first one and its program."""
    spared = {first_process(bwrap), kernel_of(bwrap)}
    if None in spared:
        return
    for _ in range(_ROUNDS):
        strays = [pid for pid in descendants(bwrap) if pid not in spared]
        if not strays:
            return
        for pid in strays:
            signal_quietly(pid, signal.SIGKILL)


def signal_quietly(pid: int, number: int) -> None:
    """Send a signal; a process that is gone is fine."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def usages(pid: int) -> list[Usage]:
    """`pid` and all processes below it, parents before children; those that ended meanwhile are left out."""
    found = (_usage(each) for each in (pid, *descendants(pid)))
    return [each for each in found if each is not None]


def proportional_bytes(usage: Usage) -> int:
    """Memory of a process in which a page that n processes share counts 1/n; slow."""
    try:
        text = (_PROC / str(usage.pid) / "smaps_rollup").read_text()
        lines = (line.split() for line in text.splitlines())
        return next(int(words[1]) for words in lines if words[0] == "Pss:") * 1024
    except (OSError, StopIteration):
        return usage.resident_bytes


def page_table_bytes(pid: int) -> int:
    """What the process's address space itself takes; no part of its memory, but it can grow as large."""
    with contextlib.suppress(OSError):
        for line in (_PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith("VmPTE:"):
                return int(line.split()[1]) * 1024
    return 0


def shared_memory_bytes() -> int:
    """Shared memory and tmpfs of the whole machine."""
    lines = (line.split() for line in (_PROC / "meminfo").read_text().splitlines())
    return next((int(words[1]) for words in lines if words[0] == "Shmem:"), 0) * 1024


def has_ended(pid: int) -> bool:
    """Whether it is gone, or only waits for its parent to notice."""
    fields = _stat(pid)
    return fields is None or fields[0] in _ENDED


def user_of(pid: int) -> int | None:
    """The real user of a process; None when it is gone."""
    with contextlib.suppress(OSError):
        for line in (_PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith("Uid:"):
                return int(line.split()[1])
    return None


def _usage(pid: int) -> Usage | None:
    fields = _stat(pid)
    if fields is None:
        return None
    ticks = sum(int(field) for field in fields[11:15])
    return Usage(pid, ticks / _TICKS, int(fields[21]) * _PAGE, int(fields[17]))


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state on; the name before them may hold anything."""
    with contextlib.suppress(OSError):
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
        return text.rpartition(")")[2].split()
    return None


def _number_inside(pid: int) -> int:
    """The pid in its own innermost namespace, 0 when it cannot be read."""
    with contextlib.suppress(OSError):
        for line in (_PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return int(line.split()[-1])
    return 0
