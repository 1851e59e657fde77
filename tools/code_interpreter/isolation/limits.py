"""What one code_interpreter session may use, as settings with their defaults.

Numbers only: who enforces which is said beside each. Nothing here knows how.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

KIB = 1024
MIB = 1024 * KIB
_ANY = float("inf")


@dataclass(frozen=True)
class Limits:
    """Bounds of a session (bytes, seconds, counts). Frozen: a session keeps those it was started with.

    BOUNDS: the least and the most of what makes sense, for whoever takes values from an operator.
    """

    wall_seconds: float = 120.0  # one call; then interrupt, grace, kill (kernel.py)
    cpu_seconds: float = 300.0  # processor time of one call, all processes together (watchdog)
    grace_seconds: float = 2.5  # how long an interrupted call may take to come to its senses
    start_seconds: float = 30.0  # from spawn to the first reply
    memory_bytes: int = 4096 * MIB  # RLIMIT_DATA of each process; a cgroup's or the watchdog's sum
    processes: int = 64  # and threads: RLIMIT_NPROC, a cgroup's pids, the watchdog
    open_files: int = 1024  # RLIMIT_NOFILE
    file_bytes: int = 1024 * MIB  # RLIMIT_FSIZE, one file
    data_bytes: int = 2048 * MIB  # all of /mnt/data together (watchdog)
    data_entries: int = 200_000  # files and folders in /mnt/data (watchdog)
    scratch_bytes: int = 256 * MIB  # /tmp and /dev/shm, each
    message_bytes: int = 8 * MIB  # one message from the kernel; a larger one is left out (zmtp.py)
    log_chars: int = 100_000  # text of one call that is stored
    model_chars: int = 6_000  # text of one call that the model is shown
    images: int = 20  # pictures of one call
    files: int = 20  # files collected after one call
    session_files: int = 200  # files and pictures collected in a session
    collected_bytes: int = 512 * MIB  # one collected file; all of one call: data_bytes
    failed_calls: int = 5  # calls of a run whose code may fail; the core counts (CoreSettings)
    nice: int = 5  # engine and neighbours go first
    cgroups: bool = True  # keep memory and processes exactly, where the host lets us

    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {
        "wall_seconds": (1, _ANY),
        "cpu_seconds": (1, _ANY),
        "grace_seconds": (0.1, _ANY),
        "start_seconds": (1, _ANY),
        "memory_bytes": (512 * MIB, _ANY),  # pandas and pyplot reserve more than half of that
        "processes": (32, _ANY),  # the kernel's own threads count
        "open_files": (64, _ANY),
        "file_bytes": (MIB, _ANY),
        "data_bytes": (MIB, _ANY),
        "data_entries": (10, _ANY),
        "scratch_bytes": (MIB, _ANY),
        "message_bytes": (256 * KIB, 64 * MIB),  # one for each socket may be in the engine's memory
        "log_chars": (1_000, 10_000_000),
        "model_chars": (200, _ANY),
        "failed_calls": (1, _ANY),
        "nice": (0, 19),
    }
