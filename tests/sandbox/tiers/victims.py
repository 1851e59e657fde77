"""What an engine has that code in its sandbox must not touch: files, sockets, processes, a key, a secret.

All of it is as open as the user's rights allow, so that only the sandbox stands before it.
"""

import contextlib
import ctypes
import os
import platform
import socket
import subprocess
from pathlib import Path
from typing import Any

from local_assistants.tools.code_interpreter.isolation.seccomp import ARCHITECTURES

SECRET = "sk-very-secret"
_USER_KEYRING = -4


class Victims:
    """Made in `folder`; `facts` says where each is. `received` tells what reached the sockets."""

    def __init__(self, folder: Path) -> None:
        self.facts: dict[str, Any] = {"engine": os.getpid(), "parent": os.getppid()}
        self._open = folder / "open"
        self._make_files(folder)
        self._streams = {"tcp": _tcp(socket.AF_INET, "127.0.0.1")}
        with contextlib.suppress(OSError):  # machines without IPv6
            self._streams["tcp6"] = _tcp(socket.AF_INET6, "::1")
        self._datagrams = {"udp": socket.socket(socket.AF_INET, socket.SOCK_DGRAM)}
        self._datagrams["udp"].bind(("127.0.0.1", 0))
        for name, made in {**self._streams, **self._datagrams}.items():
            self.facts[name] = made.getsockname()[1]
        self._make_unix_sockets()
        self._process = subprocess.Popen(
            ["sleep", "3600"], start_new_session=True, stdout=subprocess.DEVNULL
        )
        self.facts["process"] = self._process.pid
        self.facts["key"] = _make_key(f"key-{os.getpid()}")

    def received(self) -> list[str]:
        """Names of the sockets that somebody reached since the last look."""
        names: list[str] = []
        for name, listener in self._streams.items():
            with contextlib.suppress(BlockingIOError):
                listener.accept()[0].close()
                names.append(name)
        for name, receiver in self._datagrams.items():
            with contextlib.suppress(BlockingIOError):
                receiver.recv(100)
                names.append(name)
        return names

    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()

    def _make_files(self, folder: Path) -> None:
        closed = folder / "closed"
        closed.mkdir(mode=0o700)
        self._open.mkdir()
        self._open.chmod(0o777)
        for name, path in {
            "secret": closed / "secret.txt",
            "file": self._open / "file.txt",
        }.items():
            path.write_text(SECRET)
            self.facts[name] = str(path)
        (self._open / "file.txt").chmod(0o666)
        self.facts["folder"] = str(self._open)
        self.facts["fifo"] = str(self._open / "fifo")
        os.mkfifo(self.facts["fifo"])
        os.chmod(self.facts["fifo"], 0o666)
        # Left inheritable, as a careless library would.
        os.set_inheritable(os.open(self.facts["secret"], os.O_RDONLY), True)

    def _make_unix_sockets(self) -> None:
        abstract = f"victim-{os.getpid()}"
        places: dict[str, tuple[socket.SocketKind, str]] = {
            "stream": (socket.SOCK_STREAM, str(self._open / "stream.sock")),
            "datagram": (socket.SOCK_DGRAM, str(self._open / "datagram.sock")),
            "abstract_stream": (socket.SOCK_STREAM, f"\0{abstract}-stream"),
            "abstract_datagram": (socket.SOCK_DGRAM, f"\0{abstract}-datagram"),
        }
        for name, (kind, address) in places.items():
            made = socket.socket(socket.AF_UNIX, kind)
            made.bind(address)
            if not address.startswith("\0"):
                os.chmod(address, 0o777)
            if kind == socket.SOCK_STREAM:
                made.listen(5)
            (self._streams if kind == socket.SOCK_STREAM else self._datagrams)[name] = made
            self.facts[name] = address
        for made in (*self._streams.values(), *self._datagrams.values()):
            made.setblocking(False)


def _tcp(family: socket.AddressFamily, address: str) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    made.bind((address, 0))
    made.listen(5)
    return made


def _make_key(name: str) -> str | None:
    """A key in the user's keyring; None where that is not allowed to the engine itself."""
    number = ARCHITECTURES[platform.machine()].denied["add_key"]
    made = ctypes.CDLL(None).syscall(
        ctypes.c_long(number), b"user", name.encode(), SECRET.encode(), len(SECRET), _USER_KEYRING
    )
    return name if made > 0 else None
