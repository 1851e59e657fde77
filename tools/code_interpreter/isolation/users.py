"""Unused users of the host, lent to sandboxes one each, where the engine is root and no namespaces can be had.

A lent user is reserved by a locked file, so that two engines of one host never lend the same: who kills all processes
of "his" user would kill the other's. A user with processes of unknown origin is never lent.

It knows no sandbox. What was lent when the engine is killed is free again at once.
"""

import contextlib
import fcntl
import os
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from .refusal import ORDINARY_USER, Refusal
from .spawner import CANDIDATE_UIDS, Identity, is_unused

_PLACES = ("/run", "/var/run", tempfile.gettempdir())
_FOLDER = "local-assistants-users"


@dataclass(frozen=True)
class Lent:
    """A user for the programs of one sandbox, and a second one that only their guard has.

    Attributes:
        lock: the descriptor that reserves both.
    """

    identity: Identity
    keeper: int
    lock: int


class Users:
    """Lends users. For a root engine only; safe to use from any thread."""

    def __init__(self) -> None:
        self._folder = _lock_folder()
        self._lock = threading.Lock()

    def lend(self, wanted: int | None = None) -> Lent:
        """An unused user; the one with the number `wanted` if it is free.

        Raises:
            Refusal: all are lent, or no other user can be taken here.
        """
        # Every second number: the one above it is the guard's.
        numbers = list(CANDIDATE_UIDS[2::2])
        if wanted in numbers:
            numbers.insert(0, wanted)
        with self._lock:
            busy = users_at_work()
            for number in numbers:
                free = not {number, number + 1} & busy
                if free and is_unused(number) and is_unused(number + 1):
                    lock = self._reserve(number)
                    if lock is not None:
                        return Lent(Identity(number, number), number + 1, lock)
        raise Refusal(
            "no unused user id is left for another sandbox of a root engine", ORDINARY_USER
        )

    def give_back(self, lent: Lent) -> None:
        """Its processes must be gone."""
        os.close(lent.lock)

    def _reserve(self, number: int) -> int | None:
        descriptor = os.open(
            self._folder / str(number), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        return descriptor


def users_at_work() -> set[int]:
    """Users that have a process right now."""
    found: set[int] = set()
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                found.add(os.stat(f"/proc/{name}").st_uid)
    return found


def tasks_of(user: int) -> int:
    """How many processes and threads a user has, as RLIMIT_NPROC counts them."""
    count = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                if os.stat(f"/proc/{name}").st_uid == user:
                    count += len(os.listdir(f"/proc/{name}/task"))
    return count


def _lock_folder() -> Path:
    """A folder that only root can write and that all engines of this host share."""
    for place in _PLACES:
        folder = Path(place, _FOLDER)
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, exist_ok=True)
            status = folder.lstat()
            if folder.is_dir() and not folder.is_symlink() and status.st_uid == os.geteuid():
                folder.chmod(0o700)
                return folder
    raise Refusal(
        f"no folder for reserving user ids can be made in {' or '.join(_PLACES)}",
        f"make one of them writable for root, or {ORDINARY_USER}",
    )
