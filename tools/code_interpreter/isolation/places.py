"""Folders on the host for programs that have no file system of their own: input files, /tmp, a home.

All of an engine's lie in one folder below the system's temporary one. It is locked while the engine lives, so that the
next engine can tell what a killed one left behind, and removes it. It knows no sandbox.
"""

import atexit
import contextlib
import fcntl
import itertools
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .folders import remove_tree
from .spawner import Identity

_PREFIX = "code-room-"
_LOCK = "lock"
PLAIN = re.compile(r"[\w./-]+", re.ASCII)
"""Paths that can be put into the text of programs wherever they stand."""


@dataclass(frozen=True)
class Place:
    """What one session's programs find beside /mnt/data.

    Attributes:
        folder: holds all of it; nobody but `owner` can pass through.
        owner: whom programs run as when that is not the engine's own user.
    """

    folder: Path
    owner: Identity | None

    @property
    def data(self) -> Path:
        """A short link to the session's folder, wherever that lies."""
        return self.folder / "data"

    @property
    def scratch(self) -> Path:
        """All that may be written here."""
        return self.folder / "scratch"

    @property
    def temporary(self) -> Path:
        """What programs call /tmp."""
        return self.scratch / "tmp"

    @property
    def home(self) -> Path:
        """What programs call their home."""
        return self.scratch / "home"

    @property
    def inputs(self) -> Path:
        """Where programs find their input files; these are called /run/... in a job."""
        return self.folder / "run"

    def point_to(self, data: Path) -> None:
        """Let the link lead to `data`."""
        fresh = self.folder / "data.new"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(data)
        fresh.replace(self.data)

    def fill(self, files: Mapping[str, bytes], font_caches: Sequence[Path]) -> None:
        """Begin anew: empty scratch space, and these files for the next program."""
        remove_tree(self.scratch)
        remove_tree(self.inputs)
        for folder in (self.scratch, self.temporary, self.home, self.home / ".matplotlib"):
            folder.mkdir(mode=0o700)
            self._give(folder)
        for cache in font_caches:
            (self.home / ".matplotlib" / cache.name).symlink_to(cache)
        self._folder_of_ours(self.inputs)
        for path, content in files.items():
            self._write(Path(f"{self.folder}{path}"), content)

    def _write(self, path: Path, content: bytes) -> None:
        for folder in reversed(path.parents):
            if folder.is_relative_to(self.inputs):
                self._folder_of_ours(folder)
        path.write_bytes(content)
        self._show(path, 0o440)

    def _folder_of_ours(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self._show(folder, 0o750)

    def _show(self, path: Path, mode: int) -> None:
        """Let the owner's group read, and nobody else."""
        if self.owner is not None:
            os.chown(path, -1, self.owner.gid)
            path.chmod(mode)

    def _give(self, path: Path) -> None:
        if self.owner is not None:
            os.chown(path, self.owner.uid, self.owner.gid)


class Places:
    """Makes places; safe to use from any thread. All of them go with the engine's process."""

    def __init__(self) -> None:
        base = Path(tempfile.gettempdir())
        base = base if PLAIN.fullmatch(str(base)) else Path("/tmp")
        _remove_abandoned(base)
        self._numbers = itertools.count(1)
        self._root = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
        # Whoever knows a name may pass; what lies below is for its owner only.
        self._root.chmod(0o711)
        self._lock = os.open(self._root / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        atexit.register(remove_tree, self._root)

    def make(self, data: Path, owner: Identity | None) -> Place:
        """A place for the programs that work in `data`."""
        folder = self._root / str(next(self._numbers))
        folder.mkdir(mode=0o700)
        place = Place(folder, owner)
        if owner is not None:
            os.chown(folder, -1, owner.gid)
            folder.chmod(0o710)
        place.point_to(data)
        return place

    def folder(self) -> Path:
        """A path for a folder of a program that needs none to be kept."""
        return self._root / f"data-{next(self._numbers)}"

    def remove(self, place: Place, data: Path) -> None:
        """Delete a place, and the folder of a program that needed none to be kept."""
        remove_tree(place.folder)
        if data.parent == self._root:
            remove_tree(data)


def _remove_abandoned(base: Path) -> None:
    """Delete the folders of engines of the same user that were killed."""
    for folder in base.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.is_symlink() or folder.lstat().st_uid != os.geteuid():
                continue
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove_tree(folder)
            finally:
                os.close(lock)
