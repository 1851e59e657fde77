"""The folders that tier B's programs may write: each with its place for scratch space and, for a root engine, a user.

A folder keeps its user from `prepare` to `release`; before the user is lent again, nothing of his runs any more. It
starts no program.
"""

import logging
import os
import stat
import subprocess
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path

from . import guard, spawner, users
from .job import DATA
from .places import PLAIN, Place, Places
from .surroundings import HOME
from .users import Lent, Users

_LOG = logging.getLogger(__name__)
_PATIENCE = 5.0  # seconds for killed processes to go


@dataclass(frozen=True)
class Prepared:
    """A folder that a program may write, with all that belongs to it."""

    data: Path
    place: Place
    lent: Lent | None

    @property
    def names(self) -> dict[str, str]:
        """What code calls things -> what they are called here."""
        # The link only where the path could not stand in a program's text: some tools do not follow links.
        data = self.data if PLAIN.fullmatch(str(self.data)) else self.place.data
        return {
            DATA: str(data),
            "/tmp": str(self.place.temporary),
            HOME: str(self.place.home),
        }


class PreparedFolders:
    """All of an engine; safe to use from any thread. Blocking.

    Args:
        root: the engine's own folder for sessions. A root engine lets sessions' users pass through it.

    Attributes:
        lends_users: whether each folder has a user of its own.
    """

    def __init__(self, root: Path | None) -> None:
        self._root = None if root is None else root.resolve()
        self._users = Users() if os.geteuid() == 0 else None
        self._common = spawner.shared().identity
        self._places = Places()
        self._known: dict[Path, Prepared] = {}
        self._lock = threading.RLock()

    @property
    def lends_users(self) -> bool:
        return self._users is not None

    @property
    def groups(self) -> list[int]:
        """What lets programs pass through the folders above their own."""
        return [] if self._common is None else [self._common.gid]

    def temporary(self) -> Path:
        """A path for a folder that is deleted when it is released."""
        return self._places.folder()

    def find(self, data: Path) -> Prepared | None:
        """What belongs to a folder; None when it is not prepared."""
        with self._lock:
            return self._known.get(data.resolve())

    def prepare(self, data: Path) -> Prepared:
        """Make `data`, give it a place and lend it a user, unless it has them; what was put into it is its user's."""
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        data = data.resolve()
        with self._lock:
            if data not in self._known:
                lent = None if self._users is None else self._users.lend(data.stat().st_uid)
                place = self._places.make(data, lent.identity if lent else None)
                self._known[data] = Prepared(data, place, lent)
            prepared = self._known[data]
        self._hand_over(prepared, whole=False)
        return prepared

    def release(self, data: Path) -> None:
        """End what its user may still run, take the user back, and remove the scratch space."""
        with self._lock:
            prepared = self._known.pop(data.resolve(), None)
        if prepared is not None:
            self._clear(prepared)

    def moved(self, before: Path, after: Path) -> None:
        """A prepared folder has another name now; what was put into it is given to its user."""
        self.release(after)  # of whatever lay there before
        with self._lock:
            prepared = self._known.pop(before.resolve(), None)
            if prepared is None:
                return
            there = self._known[after.resolve()] = replace(prepared, data=after.resolve())
        there.place.point_to(there.data)
        self._hand_over(there, whole=True)

    def _hand_over(self, prepared: Prepared, *, whole: bool) -> None:
        """Make the folder its user's, and let him pass to it where the way is ours."""
        if prepared.lent is None or self._common is None:
            return
        spawner.hand_over(prepared.data, prepared.lent.identity, whole=whole)
        _let_pass(prepared.data.parent, prepared.lent.identity.gid)
        for folder in prepared.data.parent.parents:
            if self._root is None or not folder.is_relative_to(self._root):
                break
            _let_pass(folder, self._common.gid)

    def _clear(self, prepared: Prepared) -> None:
        if prepared.lent is not None:
            if not _nobody_left(prepared.lent):
                # Neither lent to others nor forgotten: the next engine finds it at work and takes another.
                _LOG.critical("processes of user %d cannot be killed", prepared.lent.identity.uid)
                return
            assert self._users is not None
            self._users.give_back(prepared.lent)
        self._places.remove(prepared.place, prepared.data)


def _let_pass(folder: Path, gid: int) -> None:
    """Let a group pass through a folder of ours without seeing what is in it."""
    status = folder.stat()
    if status.st_uid == os.geteuid() and not status.st_mode & 0o001:
        os.chown(folder, -1, gid)
        folder.chmod(stat.S_IMODE(status.st_mode) | 0o010)


def _nobody_left(lent: Lent) -> bool:
    """End what a user still runs, which is nothing unless its guard was killed; whether all of it went."""
    deadline = time.monotonic() + _PATIENCE
    while lent.identity.uid in users.users_at_work():
        if time.monotonic() > deadline:
            return False
        with guard.order({"end": [lent.identity.uid, lent.keeper]}) as order:
            subprocess.run(guard.command(order), pass_fds=(order,), env={}, check=False)
        time.sleep(0.01)
    return True
