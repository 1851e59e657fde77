"""One life of the worker process: started with a socket and nothing else of ours, heard, and ended.

It gets a process group of its own, so that Ctrl-C in a terminal reaches the server alone; no standard input or output;
an environment of what the libraries need and no secrets. It dies with us: when the socket closes, and by the kernel's
hand. What it writes to standard error goes to the log; the end of it tells why it died. Knows nothing of calls.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable

from ....engine.errors import ToolFault
from .frames import FrameError, Message, read_frame

_log = logging.getLogger("local_assistants.worker")
_MODULE = "local_assistants.tools.file_search.ingestion.serve"
_TAIL = 5  # lines of standard error that tell why it died
_LINE = 2000  # characters
_MOST_LOGGED = 500  # lines of one process; a flood is not worth the disk
_READ = 1 << 20  # bytes that wait to be read before the process has to
_PASSED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY")
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Process:
    """A worker process. Made by `start`, on the loop that it belongs to."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", heard: Callable[[Message, bytes], None]
    ) -> None:
        self._process = process
        self._heard = heard
        self._tail: deque[str] = deque(maxlen=_TAIL)
        self._writer: asyncio.StreamWriter | None = None
        self._end: asyncio.Task[str] | None = None

    @classmethod
    async def start(
        cls,
        threads: int,
        heard: Callable[[Message, bytes], None],
        lost: Callable[[str], None],
    ) -> "Process":
        """Start a process.

        Args:
            threads: of each library that computes.
            heard: gets what it says; may raise FrameError, which ends the process.
            lost: told once, with the reason, when the process is dead.

        Raises:
            ToolFault: no process can be started.
        """
        try:
            ours, theirs = socket.socketpair()
            with theirs:
                try:
                    made = cls(_spawned(theirs.fileno(), threads), heard)
                except OSError:
                    ours.close()
                    raise
            reader, made._writer = await asyncio.open_unix_connection(sock=ours, limit=_READ)
        except OSError as error:
            raise ToolFault(
                f"The worker process of file search cannot be started: {error.strerror}.",
                detail=str(error),
                passing=True,
            ) from error
        made._end = asyncio.create_task(made._live(reader))
        made._end.add_done_callback(lambda end: lost(end.result()))
        return made

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def send(self, frame: bytes) -> None:
        """Say something. Harmless when the process is gone."""
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(frame)

    def kill(self) -> None:
        """End the process at once."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def end(self) -> None:
        """End the process, which has nothing to save, and wait until it is dead."""
        self.kill()
        if self._end is not None:
            await asyncio.shield(self._end)

    async def _live(self, reader: asyncio.StreamReader) -> str:
        """Hear it until it is dead; returns why it is."""
        log = asyncio.create_task(self._log_lines())
        reason = ""
        try:
            while True:
                self._heard(*await read_frame(reader))
        except (EOFError, asyncio.IncompleteReadError):
            pass
        except FrameError as error:
            reason = str(error)
        self.kill()  # the line is gone, whoever let go of it
        code = await asyncio.to_thread(self._process.wait)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(log, 1)  # a child of the process may hold the other end
        if self._writer is not None:
            self._writer.close()
        return _obituary(code, reason or " / ".join(self._tail))

    async def _log_lines(self) -> None:
        """Standard error, line by line. What is in it is not trusted."""
        stream = self._process.stderr
        assert stream is not None
        reader = asyncio.StreamReader(limit=_LINE)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), stream
        )
        left = _MOST_LOGGED
        with contextlib.closing(transport):
            while block := await reader.read(_LINE):
                for line in block.decode("utf-8", "replace").splitlines():
                    text = "".join(char if char.isprintable() else " " for char in line).strip()
                    self._tail.append(text)
                    left -= 1
                    if left >= 0:
                        _log.info("worker process %d: %s", self.pid, text)


def _spawned(descriptor: int, threads: int) -> "subprocess.Popen[bytes]":
    """Start the process. In the loop's own thread, though it takes milliseconds: it is to die with that thread."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", _MODULE, str(descriptor), str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=[descriptor],
        process_group=0,
        env=_environment(threads),
    )


def _environment(threads: int) -> dict[str, str]:
    """The whole environment: it finds the same modules as we do, asks no network, computes on `threads`."""
    passed = {name: os.environ[name] for name in _PASSED if name in os.environ}
    return {
        **passed,
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        "PYTHONUTF8": "1",
        "PYTHONUNBUFFERED": "1",
        "TOKENIZERS_PARALLELISM": "false",
        **dict.fromkeys(_OFFLINE, "1"),
        **dict.fromkeys(_THREADS, str(threads)),
    }


def _obituary(code: int, reason: str) -> str:
    try:
        how = (
            f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        )
    except ValueError:
        how = f"was ended by signal {-code}"
    return f"{how} ({reason})" if reason else how
