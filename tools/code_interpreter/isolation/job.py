"""A program to run in a sandbox, and how it ended. Knows no sandbox: each tier runs the same jobs."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .limits import MIB

DATA = "/mnt/data"
"""Where a session's files are, for the program and for the model."""
_OUTPUT_BYTES = 1 * MIB


@dataclass(frozen=True)
class Job:
    """A program to run inside: `argv` after the environment's python, its input files, the folder at /mnt/data.

    Attributes:
        argv: arguments of `python -I`.
        data: host folder shown at /mnt/data; None shows an empty tmpfs.
        writable: whether /mnt/data may be written.
        files: path inside -> content, read-only there.
        descriptors: the engine's descriptors that the program inherits, under the same numbers.
    """

    argv: Sequence[str]
    data: Path | None = None
    writable: bool = True
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    descriptors: Sequence[int] = ()


@dataclass(frozen=True)
class Finished:
    """How a one-shot program ended; output is cut at 1 MiB each."""

    returncode: int
    stdout: str
    stderr: str


def finish(process: subprocess.Popen[bytes], seconds: float) -> Finished:
    """Wait for a program with piped output, at most `seconds`; blocking."""
    with process:
        try:
            stdout, stderr = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            stdout, stderr = process.communicate()
    cut = slice(None, _OUTPUT_BYTES)
    return Finished(
        process.returncode,
        stdout[cut].decode(errors="replace"),
        stderr[cut].decode(errors="replace"),
    )
