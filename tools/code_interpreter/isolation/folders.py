"""Measures, gives away and deletes folders that untrusted code wrote, however deep, wide or locked they are.

The standard walks recurse, hold a descriptor a level and build ever longer paths, so a few thousand nested folders
end them with an error of their own: here depth costs neither stack nor descriptors. Links are never followed.
It knows no limits and no sandbox. Blocking: call from a worker thread.
"""

import contextlib
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK = 512  # bytes; the unit of st_blocks whatever the file system's is


@dataclass(frozen=True)
class Footprint:
    """What a folder takes: bytes on the disk and the number of files and folders below it."""

    bytes: int = 0
    entries: int = 0


NOTHING = Footprint()
"""What an empty folder takes."""


@dataclass
class _Level:
    """An open folder on the way down: which one it is, and its subfolders not seen yet."""

    identity: tuple[int, int]
    subfolders: list[str]


class _Walk:
    """One look at a tree; one descriptor is open at a time."""

    def __init__(self, most_entries: int | None) -> None:
        self._most = most_entries
        self._named: set[int] = set()
        self.bytes = 0
        self.entries = 0

    @property
    def enough(self) -> bool:
        return self._most is not None and self.entries > self._most

    def run(self, directory: int) -> bool:
        """Walk from `directory`, which is closed afterwards; False when folders were moved on the way."""
        try:
            levels = [self._enter(directory)]
            while levels and not self.enough:
                if levels[-1].subfolders:
                    with contextlib.suppress(OSError):  # gone, or a link by now
                        child = open_folder(levels[-1].subfolders.pop(), directory)
                        os.close(directory)
                        directory = child
                        levels.append(self._enter(directory))
                    continue
                levels.pop()
                if levels:
                    parent = os.open("..", _FOLDER_FLAGS, dir_fd=directory)
                    os.close(directory)
                    directory = parent
                    if _identity(directory) != levels[-1].identity:
                        return False
        finally:
            os.close(directory)
        return True

    def _enter(self, directory: int) -> _Level:
        level = _Level(_identity(directory), [])
        with os.scandir(directory) as entries:
            for entry in entries:
                self.entries += 1
                if self.enough:
                    break
                with contextlib.suppress(OSError):
                    self._see(entry, directory)
                    if entry.is_dir(follow_symlinks=False):
                        level.subfolders.append(entry.name)
        return level

    def _see(self, entry: os.DirEntry[str], directory: int) -> None:
        """Look at one entry of the open folder `directory`."""
        status = entry.stat(follow_symlinks=False)
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            if status.st_ino in self._named:
                return  # on the disk once, whatever its names
            self._named.add(status.st_ino)
        self.bytes += status.st_blocks * _BLOCK


class _Gift(_Walk):
    """A walk that gives all it sees to another user."""

    def __init__(self, uid: int, gid: int) -> None:
        super().__init__(None)
        self._owner = uid, gid

    def _see(self, entry: os.DirEntry[str], directory: int) -> None:
        status = entry.stat(follow_symlinks=False)
        # A second name of a file may be somebody else's, and must not change hands.
        if status.st_uid != self._owner[0] and (
            status.st_nlink == 1 or stat.S_ISDIR(status.st_mode)
        ):
            os.chown(entry.name, *self._owner, dir_fd=directory, follow_symlinks=False)


def measure(folder: Path, most_entries: int | None = None) -> Footprint | None:
    """What is below `folder`; counting ends early above `most_entries`. A missing folder takes nothing.

    None when folders below were moved while they were looked at: then nothing certain can be said.
    """
    walk = _Walk(most_entries)
    try:
        settled = walk.run(open_folder(str(folder)))
    except OSError:
        settled = not folder.exists()
    return Footprint(walk.bytes, walk.entries) if settled else None


def give(folder: Path, uid: int, gid: int) -> None:
    """Make a user the owner of `folder` and all in it; for root, while no code of others runs there.

    Raises:
        OSError: it cannot be done, or folders were moved meanwhile.
    """
    os.chown(folder, uid, gid, follow_symlinks=False)
    if not _Gift(uid, gid).run(os.open(folder, _FOLDER_FLAGS)):
        raise OSError(f"folders in {folder} were moved while they were given to another user")


def remove_tree(folder: Path) -> None:
    """Delete a folder; missing is fine. What cannot be deleted stays, without an error.

    Subfolders are lifted to the top one after another instead of being descended into.
    """
    with contextlib.suppress(OSError):
        top = open_folder(str(folder))
        try:
            while sum(_drop(name, top) for name in os.listdir(top)):
                pass
        finally:
            os.close(top)
        folder.rmdir()


def open_folder(name: str, parent: int | None = None) -> int:
    """A descriptor of the folder `name` in `parent`; one that its owner locked against reading is unlocked first.

    Raises:
        OSError: there is none, it is a link, or it is somebody else's.
    """
    try:
        return os.open(name, _FOLDER_FLAGS, dir_fd=parent)
    except PermissionError:
        _unlock(name, parent)
        return os.open(name, _FOLDER_FLAGS, dir_fd=parent)


def _unlock(name: str, parent: int | None) -> None:
    handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        os.chmod(f"/proc/self/fd/{handle}", 0o700)  # that very folder, whatever the name is now
    finally:
        os.close(handle)


def _drop(name: str, top: int) -> bool:
    """Delete one entry of `top`, its subfolders lifted into `top`; whether anything came of it."""
    try:
        os.unlink(name, dir_fd=top)
    except IsADirectoryError:
        pass
    except OSError:
        return False
    else:
        return True
    try:
        _unlock(name, top)
        directory = open_folder(name, top)
    except OSError:
        return False
    try:
        done = [_lift(entry, directory, top) for entry in os.listdir(directory)]
    finally:
        os.close(directory)
    with contextlib.suppress(OSError):
        os.rmdir(name, dir_fd=top)
        return True
    return any(done)


def _lift(name: str, directory: int, top: int) -> bool:
    """Delete a file in `directory`, or move a folder to `top` under a name that nobody can have taken."""
    with contextlib.suppress(OSError):
        try:
            os.unlink(name, dir_fd=directory)
        except IsADirectoryError:
            _unlock(name, directory)  # a folder that moves is written to: its ".." changes
            os.rename(name, f"lifted-{secrets.token_hex(8)}", src_dir_fd=directory, dst_dir_fd=top)
        return True
    return False


def _identity(directory: int) -> tuple[int, int]:
    status = os.fstat(directory)
    return status.st_dev, status.st_ino
