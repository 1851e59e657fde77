"""Seeing a program through: what is kept of its output, and what ends it."""

import os
import signal
import subprocess
import sys
import time

from local_assistants.tools.code_interpreter.isolation.job import Finished, finish


def see(code: str, seconds: float = 20.0, *, too_much: bool = False) -> Finished:
    """Run a program of our own to its end."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    return finish(
        process,
        seconds,
        kill=lambda pid: os.kill(pid, signal.SIGKILL),
        too_much=lambda: too_much,
    )


def test_output_and_exit_code_are_told() -> None:
    """Both streams apart, and the code."""
    done = see("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert Finished(3, "out\n", "err\n") == done


def test_little_is_kept_of_much_output() -> None:
    """A program may print what it likes: it is read to its end and cut at 1 MiB."""
    done = see("import sys\nfor _ in range(64): sys.stdout.write('x' * (1 << 20))")
    assert (0, 1 << 20) == (done.returncode, len(done.stdout))


def test_time_ends_it() -> None:
    """A program that takes too long is killed."""
    assert -signal.SIGKILL == see("import time; time.sleep(60)", 0.5).returncode


def test_time_ends_a_program_that_closed_its_output() -> None:
    """Silence is no end."""
    started = time.monotonic()
    code = "import os, time; os.close(1); os.close(2); time.sleep(60)"
    assert -signal.SIGKILL == see(code, 0.5).returncode
    assert time.monotonic() - started < 10


def test_taking_too_much_ends_it() -> None:
    """Whoever measures it has the last word, however busily it prints."""
    assert -signal.SIGKILL == see("while True: print('x' * 1000)", too_much=True).returncode
