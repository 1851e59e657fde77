"""What every sandbox shows a program of the host: system folders, the interpreter, a few variables. Pure data."""

import os
from collections.abc import Iterator
from pathlib import Path

from ..environment import Environment

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
