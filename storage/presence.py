"""Who is at work on a data folder: whoever serves holds a shared lock on a file in it.

One of them keeps house: it holds another lock, alone. Locks end with their process, however that ends, and the next
who asks has it; so nobody waits for a dead one. Nobody is kept out: several servers may work on one folder.
"""

import fcntl
import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_LOCK = "serving.lock"
_KEEPER = "keeper.lock"


@contextmanager
def at_work(folder: Path) -> Generator[None]:
    """Be a server at work on `folder` for the length of the block.

    Raises:
        OSError: the folder cannot be written to.
    """
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


def somebody_is_at_work(folder: Path) -> bool:
    """Whether a server is, in any process of this machine; touches nothing."""
    try:
        handle = os.open(folder / _LOCK, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


@contextmanager
def alone(folder: Path) -> Generator[bool]:
    """Keep servers from `folder` for the length of the block: one that starts meanwhile waits for its end.

    Yields:
        Whether nobody was at work; else nobody is kept from anything.

    Raises:
        OSError: the folder cannot be written to.
    """
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


class Keeper:
    """Asks for the one place of the server that keeps house on `folder`, and holds it once it has it."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / _KEEPER
        self._handle: int | None = None
        self._closed = False
        self._asking = threading.Lock()

    def keeps_house(self) -> bool:
        """Whether this is the one; takes the place if it is free. Some microseconds; safe to call from any thread."""
        with self._asking:
            if self._handle is None and not self._closed:
                self._handle = _locked(self._file)
            return self._handle is not None

    def close(self) -> None:
        """Give the place up for good."""
        with self._asking:
            self._closed = True
            if self._handle is not None:
                os.close(self._handle)
                self._handle = None


def _locked(file: Path) -> int | None:
    """An open handle with the lock; None when somebody else has it, or the folder cannot be written to."""
    try:
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle
