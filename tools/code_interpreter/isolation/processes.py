"""The processes of a sandbox as the host sees them, read from /proc. Linux only.

bwrap (the pid we spawned) has one child, the first process of the new pid namespace; the kernel is that one's first
child, number 2 inside. Ancestry is checked by the host's own /proc, never by what the sandbox says.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")
_ROUNDS = 20  # strays that fork are faster than one look at them


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


def resident_bytes(pid: int) -> int:
    """Memory of `pid` and all below it; pages that they share are counted once for each."""
    total = 0
    page = os.sysconf("SC_PAGE_SIZE")
    for process in (pid, *descendants(pid)):
        with contextlib.suppress(OSError, ValueError, IndexError):
            total += int((_PROC / str(process) / "statm").read_text().split()[1]) * page
    return total


def signal_quietly(pid: int, number: int) -> None:
    """Send a signal; a process that is gone is fine."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _number_inside(pid: int) -> int:
    """The pid in its own innermost namespace, 0 when it cannot be read."""
    with contextlib.suppress(OSError):
        for line in (_PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return int(line.split()[-1])
    return 0
