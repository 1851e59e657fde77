"""Sums what a whole sandbox uses, where rlimits only bound each process and each file.

Ten processes of 1 GiB stay below a limit of 4 GiB each; so do a thousand small files. Looked at twice a second from a
worker thread, so an overrun may go some way past the limit before it is seen. Where the host offers a writable cgroup
that would be exact; this does not use one.
"""

import contextlib
import os
from pathlib import Path

from . import processes
from .folders import Footprint, measure
from .limits import MIB, Limits

TICK = 0.5  # seconds
SHARE = (
    0.1  # of one core that looking may cost: a folder of very many files is looked at less often
)
_LOOKS = 5  # at folders that are moved meanwhile, before that counts as an overrun
_NOTHING = Footprint()


def overrun(pid: int, data: Path, limits: Limits, *, spared: Footprint = _NOTHING) -> str | None:
    """Which limit the sandbox with the outermost process `pid` exceeds, in words, or None.

    `spared`: what /mnt/data already held when the sandbox was started; code that is to delete files of an overfull
    folder must be able to run.
    """
    memory = processes.resident_bytes(pid)
    if memory > limits.memory_bytes and _proportional_bytes(pid) > limits.memory_bytes:
        return f"its processes used more than {limits.memory_bytes // MIB} MiB of memory together"
    entries = max(limits.data_entries, spared.entries)
    looks = (measure(data, entries) for _ in range(_LOOKS))
    taken = next((look for look in looks if look is not None), None)
    if taken is None:
        return "folders in /mnt/data were moved about faster than they can be measured"
    if taken.entries > entries:
        return f"there were more than {limits.data_entries} files and folders in /mnt/data"
    if taken.bytes + _unlinked_bytes(pid) > max(limits.data_bytes, spared.bytes):
        return f"the files in /mnt/data took more than {limits.data_bytes // MIB} MiB"
    return None


def _proportional_bytes(pid: int) -> int:
    """Like resident bytes, but a page shared by n processes counts 1/n in each; slower, so only near the limit."""
    total = 0
    for process in (pid, *processes.descendants(pid)):
        try:
            text = Path(f"/proc/{process}/smaps_rollup").read_text()
            total += (
                next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
                * 1024
            )
        except (OSError, StopIteration):
            total += processes.resident_bytes(process)
    return total


def _unlinked_bytes(pid: int) -> int:
    """Files that were deleted but are still held open: on the disk, in no folder."""
    seen: dict[tuple[int, int], int] = {}
    for process in processes.descendants(pid):
        with contextlib.suppress(OSError):
            for entry in os.scandir(f"/proc/{process}/fd"):
                with contextlib.suppress(OSError):
                    status = entry.stat()
                    if status.st_nlink == 0:
                        seen[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(seen.values())
