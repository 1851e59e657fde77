"""The folder of a model's parked conversations: one file each, together within a budget in bytes.

Keeps in memory what the files' heads say; a folder that was filled before is taken over at the start. What was used
longest ago makes room. Files are named by a digest of the conversation's key (its session), so that a conversation can
be erased by anyone who knows that key, also while no model is loaded. Another process may take files away at any time.

Not safe to use from several threads at once, except for `read` and `answers`.
"""

import contextlib
import logging
import os
import re
import shutil
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from .answers import Answers
from .radix import RadixIndex
from .state_files import Head, Stamp, State, Unusable, read_head, read_state
from .token_ids import BYTES

SUFFIX = ".state"
_TEMPORARY = re.compile(r"[0-9a-f]{32}\.state\.(\d+)\.tmp")
_PLACED = re.compile(r"[0-9a-f]{32}\.state")
_STALE = 30 * 86400  # seconds after which states of a model that was not loaded any more go
_log = logging.getLogger("local_assistants")


@dataclass(frozen=True, slots=True)
class _File:
    size: int
    payload: int
    tokens: int


class Shelf:
    """The files of one model.

    Args:
        folder: where they lie; made if need be, closed to others.
        budget: bytes they may take together.
        stamp: what states depend on; files of another stamp are erased.
    """

    def __init__(self, folder: Path, budget: int, stamp: Stamp) -> None:
        self._folder = folder
        self.budget = budget
        self._stamp = stamp
        self._files: OrderedDict[str, _File] = OrderedDict()  # used longest ago first
        self._index: RadixIndex[str] = RadixIndex()
        self.used = 0
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        _drop_stale(folder)
        self._scan()

    def find(self, ids: bytes, *, whole: bool) -> tuple[int, str] | None:
        """Length of the longest beginning of `ids` that a file has, and the smallest such file."""
        length, names = self._index.whole(ids) if whole else self._index.longest(ids)
        name = min(names, key=lambda each: self._files[each].payload, default=None)
        return None if name is None or not length else (length, name)

    def sizes(self, name: str) -> tuple[int, int]:
        """Tokens in a file, and bytes of their keys and values."""
        return self._files[name].tokens, self._files[name].payload

    def holds(self, name: str, ids: bytes) -> bool:
        """Whether the file of this name has exactly these tokens."""
        return name in self._files and self._index.sequence(name) == ids

    def temporary(self, name: str) -> Path:
        """Where a file is written before it gets its place; its name says which process does it."""
        return self._folder / f"{name}{SUFFIX}.{os.getpid()}.tmp"

    def reserve(self, name: str, size: int) -> bool:
        """Make room for a file of `size` bytes beside its older version, then in place of it; False: it never fits."""
        if size > self.budget:
            return False
        while self.used + size > self.budget:
            self.erase(next((each for each in self._files if each != name), name))
        return True

    def place(self, name: str, ids: bytes, size: int, payload: int) -> None:
        """Move the file that was written to `temporary` to its place.

        Raises:
            OSError: it is not there any more.
        """
        os.replace(self.temporary(name), self._path(name))
        self._drop(name)
        self._add(name, ids, _File(size, payload, len(ids) // BYTES))

    def read(self, name: str) -> State:
        """A whole file.

        Raises:
            Unusable: it is gone or damaged.
        """
        path = self._path(name)
        state = read_state(path, self._stamp)
        with contextlib.suppress(OSError):
            os.utime(path)  # the next process learns from it what was used when
        return state

    def answers(self, name: str) -> Answers:
        """The answers that are kept in a file, none if it cannot be read."""
        try:
            return read_head(self._path(name), self._stamp).answers
        except Unusable:
            return {}

    def touch(self, name: str) -> None:
        """Note that a file was used."""
        if name in self._files:
            self._files.move_to_end(name)

    def erase(self, name: str) -> None:
        """Delete a conversation's file, and what is being written of it."""
        self._drop(name)
        for path in (self._path(name), self.temporary(name)):
            with contextlib.suppress(OSError):
                path.unlink()

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{SUFFIX}"

    def _add(self, name: str, ids: bytes, file: _File) -> None:
        self._files[name] = file
        self._index.insert(name, ids)
        self.used += file.size

    def _drop(self, name: str) -> None:
        file = self._files.pop(name, None)
        self._index.remove(name)
        self.used -= file.size if file else 0

    def _scan(self) -> None:
        """Take over what a process before left; what cannot be used goes."""
        for path in sorted(self._folder.iterdir(), key=_time):
            if _PLACED.fullmatch(path.name):
                self._take_over(path)
            elif _is_left_over(path.name):
                path.unlink(missing_ok=True)
        while self.used > self.budget:
            self.erase(next(iter(self._files)))

    def _take_over(self, path: Path) -> None:
        name = path.name.removesuffix(SUFFIX)
        try:
            head = read_head(path, self._stamp)
            if head.name != name:
                raise Unusable("it has another conversation's name")
        except Unusable as error:
            _log.warning("A parked conversation is evaluated again: %s, %s", path.name, error)
            path.unlink(missing_ok=True)
            return
        self._add(name, head.ids, _file(head))


def erase_everywhere(folder: Path, name: str) -> None:
    """Delete a conversation's files of all models below `folder`."""
    for path in folder.glob(f"*/{name}{SUFFIX}*"):
        with contextlib.suppress(OSError):
            path.unlink()


def _file(head: Head) -> _File:
    return _File(head.size, head.payload, len(head.ids) // BYTES)


def _time(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _is_left_over(name: str) -> bool:
    """Whether a file was being written by a process that is gone (or by this one, under its number before)."""
    found = _TEMPORARY.fullmatch(name)
    if found is None:
        return False
    try:
        os.kill(int(found.group(1)), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return int(found.group(1)) == os.getpid()


def _drop_stale(folder: Path) -> None:
    """Delete the folders of models that have not been loaded for long."""
    limit = time.time() - _STALE
    os.utime(folder)
    for other in folder.parent.iterdir():
        if other != folder and re.fullmatch(r"[0-9a-f]{32}", other.name) and _time(other) < limit:
            shutil.rmtree(other, ignore_errors=True)
