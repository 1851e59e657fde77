"""What one code_interpreter session may use, as settings with their defaults.

Numbers only: who enforces which is said beside each. Nothing here knows how.
"""

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """Bounds of a session (bytes, seconds, counts). Frozen: a session keeps those it was started with."""

    wall_seconds: float = 120.0  # one call; then interrupt, grace, kill (kernel.py)
    grace_seconds: float = 2.5  # how long an interrupted call may take to come to its senses
    start_seconds: float = 30.0  # from spawn to the first reply
    memory_bytes: int = (
        4096 * MIB
    )  # RLIMIT_DATA of each process, and the watchdog's sum over all of them
    processes: int = 64  # RLIMIT_NPROC, counted per user namespace, so per session
    open_files: int = 1024  # RLIMIT_NOFILE
    file_bytes: int = 1024 * MIB  # RLIMIT_FSIZE, one file
    data_bytes: int = 2048 * MIB  # all of /mnt/data together, by the watchdog
    data_entries: int = 200_000  # files and folders in /mnt/data, by the watchdog
    scratch_bytes: int = 256 * MIB  # /tmp and /dev/shm, each
    message_bytes: int = (
        8 * MIB
    )  # one message from the kernel; a larger one cuts its output (ZMQ_MAXMSGSIZE)
    log_chars: int = 100_000  # text of one call that is stored
    model_chars: int = 6_000  # text of one call that the model is shown
    images: int = 20  # pictures of one call
    files: int = 20  # files collected after one call
    collected_bytes: int = 512 * MIB  # one collected file; all of one call: data_bytes
    nice: int = 5  # engine and neighbours go first
