"""What every sandbox has: system folders and the interpreter of the host, a few variables, limits. Pure data."""

import os
from collections.abc import Iterator
from pathlib import Path

from ..environment import Environment
from .limits import Limits

HOME = "/home/sandbox"
"""The program's home, as it is called inside."""
TOP_LEVEL = ("bin", "sbin", "lib", "lib32", "lib64")
"""Beside /usr; on most systems links into it."""
ETC = ("ld.so.cache", "alternatives", "fonts", "localtime", "mime.types")
"""Of /etc, and nothing else."""


def python_folders(environment: Environment) -> Iterator[Path]:
    """The interpreter's environment and the Python it was made from, as far as /usr does not hold them."""
    yield environment.prefix
    if not environment.base.is_relative_to("/usr"):
        yield environment.base


def variables(environment: Environment, home: str, scratch: str) -> dict[str, str]:
    """The program's whole process environment."""
    threads = str(min(4, os.cpu_count() or 1))
    return {
        "PATH": f"{environment.prefix}/bin:/usr/bin:/bin",
        "HOME": home,
        "USER": "sandbox",
        "LANG": "C.UTF-8",
        "TMPDIR": scratch,
        "MPLCONFIGDIR": f"{home}/.matplotlib",
        # A thread a core, on a big machine, would alone be more than RLIMIT_NPROC lets live.
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
    }


def rlimits(limits: Limits, processes: int) -> dict[str, int]:
    """What bounds each process by itself; `processes` are all that the kernel counts together."""
    return {
        "RLIMIT_DATA": limits.memory_bytes,  # AS refuses libraries that only reserve addresses
        "RLIMIT_NPROC": processes,
        "RLIMIT_NOFILE": limits.open_files,
        "RLIMIT_FSIZE": limits.file_bytes,
        "RLIMIT_CORE": 1,  # as 0, but it also keeps a host's collector of crashes from being started
        "RLIMIT_SIGPENDING": limits.open_files,  # counted over all that the user runs
        "RLIMIT_MSGQUEUE": 0,
    }
