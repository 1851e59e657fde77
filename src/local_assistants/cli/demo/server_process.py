"""The server as a child process: started on a free loopback port, waited for, stopped.

The child is told by the kernel to end when the demo ends, however that happens, and gets no signals from the terminal:
who stops it is this class. It does not know the API and does not read answers.
"""

import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from local_assistants.engine.errors import ServerFault

START_SECONDS = 120.0
STOP_SECONDS = 20.0
_POLL_SECONDS = 0.05
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class ServerProcess:
    """`local-assistants serve` on `data`; a context manager that leaves nothing running.

    Args:
        model: what `serve --model` takes.
        data: the server's data folder.
        log: file to which everything that the server prints is appended.
    """

    def __init__(self, model: str, data: Path, log: Path) -> None:
        self._model = model
        self._data = data
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Start the server and return its address once it answers.

        Raises:
            ServerFault: it ended, or did not answer in time; carries the last words of its log.
        """
        before = self._log.stat().st_size if self._log.exists() else 0
        self._process = self._spawn()
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            address = _ADDRESS.search(self._printed(before))
            if address is not None:
                return address[0]
            if self._process.poll() is not None:
                break
            time.sleep(_POLL_SECONDS)
        self.stop()
        raise ServerFault(f"The server did not start. {self.last_words()}")

    def stop(self) -> int | None:
        """Ask the server to end, make sure that it does, and return its exit status; None if there was none."""
        process, self._process = self._process, None
        if process is None:
            return None
        process.terminate()
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return process.wait()

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._process.pid if self._process is not None else None

    def last_words(self) -> str:
        """The end of the log, or where it lies."""
        lines = [line for line in self._printed(0).splitlines() if line.strip()]
        return f"It said: {lines[-1]} (all of it: {self._log})" if lines else f"Log: {self._log}"

    def __enter__(self) -> "ServerProcess":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "local_assistants", "serve", "--port", "0"]
        command += ["--model", self._model, "--data", str(self._data)]
        with self._log.open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
                preexec_fn=_end_with_parent(),
            )

    def _printed(self, start: int) -> str:
        with self._log.open("rb") as log:
            log.seek(start)
            return log.read().decode(errors="replace")


def _end_with_parent() -> Callable[[], None] | None:
    """What makes the child get SIGTERM when the demo dies without a word; Linux only."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up before the fork: nothing may be loaded after it

    def ask_kernel() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return ask_kernel
