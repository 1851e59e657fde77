"""Things of the host that the self-test's program reaches for: sockets that listen, a file, a process's end.

Whether the program got at them is seen here, on the host, where it can be seen; the rest the program itself says.
"""

import importlib.util
import os
import secrets
import select
import socket
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .runner import Runner

_CONTENT = b"bait"
_PATIENCE = 1.0  # seconds for a sandbox's last process to be gone


@dataclass(frozen=True)
class Check:
    """One thing that code must not be able to do, and whether it held."""

    name: str
    passed: bool


class Bait:
    """A file in `folder`, which the program's user may pass through, and sockets; gone when the block ends."""

    def __init__(self, folder: Path, data: Path, runner: Runner) -> None:
        self._data = data
        self._runner = runner
        self._stack = ExitStack()
        self._file = folder / "file"

    def __enter__(self) -> "Bait":
        self._file.write_bytes(_CONTENT)
        self._file.chmod(0o644)
        self._before = self._file.stat()
        self._tcp = self._stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self._abstract = f"code-room-{secrets.token_hex(8)}"
        # Names of sockets must be short.
        sockets = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="probe-"))
        self._sockets = Path(sockets)
        self._sockets.chmod(0o711)
        self._listen(self._sockets / "stream", socket.SOCK_STREAM)
        self._listen(self._sockets / "datagram", socket.SOCK_DGRAM)
        self._listen("\0" + self._abstract, socket.SOCK_STREAM)
        self._end, self.held = os.pipe()
        self._stack.callback(os.close, self._end)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        if self.held >= 0:
            os.close(self.held)

    def told(self, descriptors: tuple[int, ...]) -> dict[str, Any]:
        """What the program is told; `descriptors` are those that a daemon of its shall hold."""
        hidden = _hidden(self._runner)
        beside = self._runner.beside_host
        return {
            "port": self._tcp.getsockname()[1],
            "stream": str(self._sockets / "stream"),
            "datagram": str(self._sockets / "datagram"),
            "abstract": self._abstract,
            "engine": os.getpid() if beside else None,
            "nice": os.getpriority(os.PRIO_PROCESS, 0),
            "file": str(self._file),
            "hidden": [] if beside else hidden,
            "unreadable": [*hidden, f"/proc/{os.getpid()}"] if beside else [],
            "data": self._runner.localise("/mnt/data", self._data),
            "descriptors": descriptors,
        }

    def checks(self, said: Mapping[str, object]) -> tuple[Check, ...]:
        """What the program said, and what became of the file."""
        unchanged = self._look() == (_CONTENT, _facts(self._before))
        return (
            *(Check(str(name), held is True) for name, held in said.items()),
            Check("change files of the engine", unchanged),
        )

    def outlived(self) -> Check:
        """Whether a process of the sandbox still lives after its end. To be asked once."""
        os.close(self.held)
        self.held = -1
        ended = select.poll()
        ended.register(self._end, select.POLLIN)
        return Check("outlive its session", bool(ended.poll(_PATIENCE * 1000)))

    def _look(self) -> tuple[bytes, tuple[int, ...]] | None:
        try:
            return self._file.read_bytes(), _facts(self._file.lstat())
        except OSError:
            return None

    def _listen(self, address: Path | str, kind: socket.SocketKind) -> None:
        listener = self._stack.enter_context(socket.socket(socket.AF_UNIX, kind))
        listener.bind(str(address))
        if isinstance(address, Path):
            address.chmod(0o666)
        if kind == socket.SOCK_STREAM:
            listener.listen(1)


def _facts(status: os.stat_result) -> tuple[int, ...]:
    return status.st_ino, status.st_mode, status.st_uid, status.st_nlink, status.st_mtime_ns


def _hidden(runner: Runner) -> list[str]:
    """Host paths that exist and are none of a program's business: secrets, the engine's packages, others' files."""
    shown = (Path("/usr"), runner.environment.prefix, runner.environment.base)
    candidates = [Path(each) for each in ("/etc/shadow", "/etc/machine-id", "/var/lib")]
    candidates += [Path("/sys/kernel"), Path.home()]
    own = importlib.util.find_spec("pydantic")
    if own is not None and own.origin is not None:
        candidates.append(Path(own.origin))
    return [
        str(path)
        for path in candidates
        if os.path.lexists(path)
        and not any(path.is_relative_to(folder) or folder.is_relative_to(path) for folder in shown)
    ]
