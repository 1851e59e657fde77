"""A real `chroma run` on a free port of the loopback."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_START = "import sys; from chromadb.cli.cli import app; sys.argv[0] = 'chroma'; app()"
_SECONDS = 60.0


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def chroma_server(folder: Path, port: int | None = None) -> Iterator[str]:
    """The address of a server that keeps its data in `folder`; it ends with the block."""
    port = port or free_port()
    where = ("--path", str(folder), "--host", "127.0.0.1", "--port", str(port))
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        [sys.executable, "-c", _START, "run", *where], stdout=quiet, stderr=quiet
    )
    try:
        _wait(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _wait(port: int, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, "chroma ended"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError("chroma does not listen")
