"""A model process that runs: started with a socket and nothing else of ours, heard, and ended.

It gets a process group of its own, so that Ctrl-C in a terminal reaches the server alone; no standard input or output;
an environment of what the libraries need and no secrets. It dies with us: when the socket closes, and by the kernel's
hand when the thread that started it ends. Linux does the latter; elsewhere the socket is what counts.

What it writes to standard error goes to the log; the end of it tells why it died. Knows nothing of turns.
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

from ....engine.errors import BackendFault
from ..child import environment
from .wire import HUNG_UP, MOST_TO_HOST, Message, Wire

_log = logging.getLogger("local_assistants.model")
_TAIL = 20  # lines
_LINE = 4000  # characters
_MOST_LOGGED = 2000  # lines of one process; a flood is not worth the disk
_REAPING = 5.0  # seconds that a process may take to die once it has let go of the socket
_TERMINATING = 2.0  # seconds between SIGTERM and SIGKILL
_LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}


class Link:
    """One model process and the line to it. Made by `start`, on the loop that it belongs to."""

    def __init__(self, process: "subprocess.Popen[bytes]", on_lost: Callable[[str], None]) -> None:
        self._process = process
        self._on_lost = on_lost
        self._lines = _Lines(process.pid)
        self._pipe: asyncio.ReadTransport | None = None
        self._wire: Wire | None = None
        self._burial: asyncio.Task[None] | None = None
        self._gone = asyncio.Event()

    @classmethod
    async def start(
        cls,
        module: str,
        name: str,
        on_message: Callable[[Message], None],
        on_lost: Callable[[str], None],
    ) -> "Link":
        """Start a process.

        Args:
            module: what it runs.
            name: shown to people by `ps`.
            on_message: gets what it says; may raise WireError, which ends the process.
            on_lost: told once, with the reason, when the process is dead.

        Raises:
            BackendFault: no process can be started.
        """
        try:
            ours, theirs = socket.socketpair()
            with theirs:
                try:
                    link = cls(_spawned(module, theirs.fileno(), name), on_lost)
                except OSError:
                    ours.close()
                    raise
            await link._connect(ours, on_message)
        except OSError as error:
            raise BackendFault(
                f"The model's process cannot be started: {error.strerror}."
            ) from error
        return link

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def send(self, frame: bytes) -> None:
        """Say something. Harmless when the process is gone."""
        if self._wire is not None:
            self._wire.send(frame)

    def kill(self, reason: str) -> None:
        """End the process at once; `on_lost` hears the reason."""
        self._signal(signal.SIGKILL)
        if self._wire is not None:
            self._wire.hang_up(reason)

    async def finish(self, patience: float) -> None:
        """Wait until the process has ended by itself; after `patience` seconds make it."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                async with asyncio.timeout(patience):
                    await self._gone.wait()
                    return
            except TimeoutError:
                _log.warning(
                    "model process %d does not end: %s", self.pid, signal.Signals(number).name
                )
                self._signal(number)
                patience = _TERMINATING
        await self._gone.wait()

    async def _connect(self, ours: socket.socket, on_message: Callable[[Message], None]) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._pipe, _ = await loop.connect_read_pipe(lambda: self._lines, self._process.stderr)
            _, self._wire = await loop.create_unix_connection(
                lambda: Wire(on_message, self._hung_up, most=MOST_TO_HOST), sock=ours
            )
        except BaseException:
            ours.close()
            self._process.kill()
            self._process.wait()
            raise

    def _hung_up(self, reason: str) -> None:
        if reason != HUNG_UP:
            self._signal(signal.SIGKILL)  # it was us, and for a reason
        self._burial = asyncio.ensure_future(self._bury(reason))

    async def _bury(self, reason: str) -> None:
        """Reap the process and tell why it died."""
        try:
            code = await asyncio.to_thread(self._process.wait, _REAPING)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            code = await asyncio.to_thread(self._process.wait)
        await self._lines.ended()
        if self._pipe is not None:
            self._pipe.close()
        self._gone.set()
        self._on_lost(_obituary(code, reason, self._lines.tail))

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)


def _spawned(module: str, descriptor: int, name: str) -> "subprocess.Popen[bytes]":
    """Start the process. In the loop's own thread, though it takes milliseconds: it is to die with that thread."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module, str(descriptor), str(os.getpid()), name],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=[descriptor],
        process_group=0,  # a session of its own gets less processor time: docs/decisions/0013
        env=environment(),
    )


class _Lines(asyncio.Protocol):
    """Standard error: logged line by line, its end kept. What is in it is not trusted."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._rest = b""
        self._lines: deque[str] = deque(maxlen=_TAIL)
        self._left = _MOST_LOGGED
        self._end = asyncio.Event()

    @property
    def tail(self) -> str:
        """The last lines as one."""
        return " / ".join(self._lines)

    async def ended(self) -> None:
        """Wait until no more can come; not long, for a child of the process may hold the other end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await self._end.wait()

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[-_LINE:]
        for line in lines:
            self._take(line)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._take(self._rest)
        self._end.set()

    def _take(self, line: bytes) -> None:
        text = line[:_LINE].decode("utf-8", "replace")
        text = "".join(char if char.isprintable() else " " for char in text).strip()
        if not text:
            return
        level, _, message = text.partition(" ")
        if level in _LEVELS:
            text = message
        else:  # not one of our log's lines: what a library says before the process dies
            self._lines.append(text)
        self._left -= 1
        if self._left >= 0:
            _log.log(_LEVELS.get(level, logging.WARNING), "model process %d: %s", self._pid, text)


def _obituary(code: int, reason: str, tail: str) -> str:
    try:
        how = (
            f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        )
    except ValueError:
        how = f"was ended by signal {-code}"
    if reason != HUNG_UP:
        how = f"was ended because {reason}"
    return f"{how}: {tail}" if tail else how
