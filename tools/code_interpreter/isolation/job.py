"""A program to run in a sandbox, and how it ended. Knows no sandbox: each tier runs the same jobs."""

import os
import select
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .limits import MIB

DATA = "/mnt/data"
"""Where a session's files are, for the program and for the model."""
_OUTPUT_BYTES = 1 * MIB
_TICK = 0.25  # seconds
_LAST_WORDS = 2.0  # seconds


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


def finish(
    process: subprocess.Popen[bytes],
    seconds: float,
    *,
    kill: Callable[[int], None],
    too_much: Callable[[], bool] = lambda: False,
) -> Finished:
    """Read a program's piped output to its end; blocking. However much it prints, little is kept.

    Args:
        process: the program, both pipes open.
        seconds: after which it is killed.
        kill: ends all that the program consists of, by its pid.
        too_much: asked several times a second whether it uses more than it may; then it is killed.
    """
    assert process.stdout is not None
    assert process.stderr is not None
    kept = {process.stdout.fileno(): bytearray(), process.stderr.fileno(): bytearray()}
    output, errors = kept.values()
    now = time.monotonic()
    deadline, next_look, killed = now + seconds, now + _TICK, False
    with process:
        while not _said_all(process, kept):
            now = time.monotonic()
            if now >= deadline and killed:
                break  # what left the program's process tree may hold the pipes for ever
            looked = now >= next_look and not killed
            if now >= deadline or (looked and too_much()):
                kill(process.pid)
                killed, deadline = True, time.monotonic() + _LAST_WORDS
            next_look = now + _TICK if looked else next_look
    return Finished(
        process.returncode, output.decode(errors="replace"), errors.decode(errors="replace")
    )


def _said_all(process: subprocess.Popen[bytes], kept: dict[int, bytearray]) -> bool:
    """Listen a moment; whether the program has ended and its pipes too. It may close them and go on."""
    if kept:
        _read(kept)
        return not kept and process.poll() is not None
    try:
        process.wait(_TICK)
    except subprocess.TimeoutExpired:
        return False
    return True


def _read(kept: dict[int, bytearray]) -> None:
    """Wait a moment for output, and take it; a pipe that has ended is left out from then on."""
    waiting = select.poll()  # select() knows no descriptor above 1023
    for descriptor in kept:
        waiting.register(descriptor, select.POLLIN)
    for descriptor, _ in waiting.poll(_TICK * 1000):
        piece = os.read(descriptor, 1 << 16)
        room = _OUTPUT_BYTES - len(kept[descriptor])
        kept[descriptor] += piece[:room]
        if not piece:
            del kept[descriptor]
