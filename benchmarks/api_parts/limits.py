"""What the machine itself can do, measured beside the rest: the disk's flushes, the loopback's bytes."""

import os
import socket
import threading
import time
from pathlib import Path

_PIECE = 256 * 1024


def flushes(folder: Path, count: int = 100) -> list[float]:
    """Milliseconds of one 4 KiB write with fdatasync, appended to a file as a commit is."""
    samples: list[float] = []
    handle = os.open(folder / "flushes", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        for _ in range(count):
            began = time.perf_counter()
            os.write(handle, bytes(4096))
            os.fdatasync(handle)
            samples.append(1000 * (time.perf_counter() - began))
    finally:
        os.close(handle)
        os.unlink(folder / "flushes")
    return samples


def loopback(megabytes: int = 256) -> float:
    """MB/s over one TCP connection on 127.0.0.1, sent in pieces of 256 KiB."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        reader = threading.Thread(target=_drain, args=(listener,))
        reader.start()
        with socket.create_connection(listener.getsockname()) as sender:
            piece = bytes(_PIECE)
            began = time.perf_counter()
            for _ in range(megabytes * 1024 * 1024 // _PIECE):
                sender.sendall(piece)
        reader.join()
    return megabytes * 1.048576 / (time.perf_counter() - began)


def _drain(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        buffer = bytearray(_PIECE)
        while connection.recv_into(buffer):
            pass
