"""One parsing child as its supervisor sees it: started when needed, given one file at a time, ended when in doubt.

Blocking: its methods are for threads. It trusts the child with nothing but the text.
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from threading import Lock
from time import monotonic

from ....engine.errors import InvalidRequest, ToolFault
from . import answers, offspring, refusals
from .child import LONGEST_ORDER, READY, TAKEN
from .documents import Document
from .limits import ParseLimits

_START = 60.0  # seconds for the start; a machine may be busy
_FILES = 2_000  # after which a child is replaced, whatever it may have lost on the way
_BYTES_A_CHARACTER = 6  # in JSON, at most
_STATUS = 64  # bytes
_ROOM = 64 << 20  # bytes of an answer beside its text


class _Gone(Exception):
    """The child has ended, before it took the order."""


class ParsingProcess:
    """A child that parses, or the place for one: `parse` starts it when there is none."""

    def __init__(self, limits: ParseLimits) -> None:
        self._limits = limits
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None
        self._files = 0
        self._stops = 0

    def parse(self, path: Path, filename: str) -> Document:
        """Have the file at `path` parsed; blocks. One call at a time.

        Raises:
            UnsupportedFile: no parser for it.
            InvalidRequest: it cannot be parsed within the limits; the message says why.
            ToolFault: no child can be started, or it was stopped meanwhile.
        """
        stops = self._stops
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise refusals.invalid(f"it cannot be read ({error.strerror})") from error
        try:
            return self._parsed(file, filename, stops)
        except InvalidRequest:
            self._check(stops)
            raise
        finally:
            os.close(file)

    def stop(self) -> None:
        """End the child at once; from any thread. The next `parse` starts another one."""
        with self._lock:
            self._stops += 1
            self._end()

    def _check(self, stops: int) -> None:
        """Whatever comes of a file after a stop is not the file's doing."""
        if stops != self._stops:
            raise ToolFault("Parsing was stopped.") from None

    def _parsed(self, file: int, filename: str, stops: int) -> Document:
        for _ in range(2):
            self._check(stops)
            link = self._started()
            try:
                return self._served(link, file, filename)
            except _Gone:  # it died in its sleep; a new one has not
                self._discard()
        raise ToolFault(
            "The parsing process ends as soon as it is started; see the server's log.", passing=True
        )

    def _served(self, link: socket.socket, file: int, filename: str) -> Document:
        mine, of_child = os.pipe()
        try:
            try:
                socket.send_fds(link, [_order(filename)], [file, of_child])
            except OSError:
                raise _Gone from None
            finally:
                os.close(of_child)
            answer = self._read(mine)
        finally:
            os.close(mine)
        if not _heard(link, TAKEN):
            raise _Gone
        status = self._status(link)
        try:
            return answers.document_of(answer)
        except answers.FalseAnswerError:
            raise refusals.invalid(_why(status, self._limits)) from None

    def _read(self, pipe: int) -> bytes:
        """All that the child writes, within the time allowed."""
        most = _BYTES_A_CHARACTER * self._limits.characters + _ROOM
        end = monotonic() + self._limits.seconds
        poller = select.poll()
        poller.register(pipe, select.POLLIN)
        parts: list[bytes] = []
        while poller.poll(max(0.0, end - monotonic()) * 1000):
            part = os.read(pipe, 1 << 20)
            if not part:
                return b"".join(parts)
            parts.append(part)
            most -= len(part)
            if most < 0:
                self._discard()
                raise refusals.invalid("it holds too much text")
        self._discard()
        raise refusals.invalid(f"parsing took more than {self._limits.seconds:g} seconds; split it")

    def _status(self, link: socket.socket) -> int:
        """How reading ended, as `wait` says it; SIGKILL where the child is gone or is not alone any more."""
        with contextlib.suppress(OSError, ValueError):
            return int(link.recv(_STATUS))
        self._discard()
        return signal.SIGKILL

    def _started(self) -> socket.socket:
        with self._lock:
            self._files += 1
            if self._files > _FILES:
                self._end()
            if self._link is None:
                self._start()
            link = self._link
            assert link is not None
            return link

    def _start(self) -> None:
        self._files = 1
        link, of_child = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with of_child:
            try:
                self._process = _spawned(of_child.fileno(), self._limits)
            except OSError as error:
                link.close()
                raise ToolFault(
                    f"The parsing process cannot be started: {error.strerror}.",
                    detail=str(error),
                    passing=True,
                ) from error
        self._link = link
        link.settimeout(_START)
        if not _heard(link, READY):
            self._end()
            raise ToolFault(
                "The parsing process cannot be started: it ends before it is ready.", passing=True
            )

    def _discard(self) -> None:
        with self._lock:
            self._end()

    def _end(self) -> None:
        process, link = self._process, self._link
        self._process = self._link = None
        if process is not None:
            offspring.end(process.pid)  # not reaped yet, so the number is its own
            process.wait()
        if link is not None:
            link.close()


def _order(filename: str) -> bytes:
    """A name as the child takes it: of a long one the end, for that says what the file is."""
    return filename[-LONGEST_ORDER // 4 :].encode("utf-8", "replace")


def _heard(link: socket.socket, word: bytes) -> bool:
    try:
        return link.recv(len(word)) == word
    except OSError:
        return False


def _spawned(link: int, limits: ParseLimits) -> subprocess.Popen[bytes]:
    # fmt: off
    return subprocess.Popen(
        [sys.executable, "-m", f"{__package__}.child", str(link), json.dumps(asdict(limits))],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        pass_fds=(link,), env=_environment(), start_new_session=True,
    )
    # fmt: on


def _environment() -> dict[str, str]:
    """The child's whole environment: it finds the same modules as we do and gets no secrets."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        "PYTHONUTF8": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _why(status: int, limits: ParseLimits) -> str:
    """What ended a reading that gave no answer."""
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGALRM, signal.SIGXCPU):
        return f"parsing took more than {limits.seconds:g} seconds; split it"
    return f"its parser crashed; the file is damaged, or takes more than {limits.memory_bytes >> 20} MB of memory"
