"""Files between the host and a sandbox's /mnt/data, by directory descriptors only.

The folder is written by untrusted code while we look at it: names, links and kinds of files may change between two
looks. So every step opens one component below a descriptor without following links, asks the open file what it is,
and uses that very file. Paths are never resolved and opened again. Blocking: call from a worker thread.
"""

import contextlib
import os
import shutil
import stat
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from ..isolation import folders
from ..isolation.limits import Limits
from ..isolation.spawner import Identity

_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DEPTH = 5
_ENTRIES = 5000
_NAME_BYTES = 200
_INCOMING = "incoming"

Stamp = tuple[int, int, int]
"""Inode, size and change time (ns) of a file; code cannot set the last one back."""


@dataclass(frozen=True)
class Collected:
    """A regular file that code made or changed, copied to the host. `path` is relative to /mnt/data."""

    path: str
    copy: Path

    @property
    def name(self) -> str:
        """Its last component."""
        return self.path.rpartition("/")[2]


@dataclass
class Collection:
    """What one look at the folder brought in, and in words what was left out."""

    files: list[Collected] = field(default_factory=list[Collected])
    left_out: list[str] = field(default_factory=list[str])


def snapshot(folder: Path) -> dict[str, Stamp]:
    """All that lies below `folder` by relative path, what is not collected too."""
    return {entry.path: entry.stamp for entry in _walk(folder)}


def names(folder: Path) -> list[str]:
    """The regular files below `folder`."""
    return sorted(entry.path for entry in _walk(folder) if not entry.oddity)


def collect(folder: Path, before: Mapping[str, Stamp], into: Path, limits: Limits) -> Collection:
    """Copy the files that are new or other than `before` to the folder `into`, within the limits."""
    collection = Collection()
    room = (
        limits.data_bytes
    )  # files with holes are larger than the disk space that the watchdog sees
    for entry in _walk(folder):
        if before.get(entry.path) == entry.stamp:
            continue
        problem = entry.oddity or _problem(entry, limits)
        if not problem and entry.size > room:
            problem = f"more than {limits.data_bytes} bytes together"
        if not problem and len(collection.files) >= limits.files:
            problem = f"more than {limits.files} files"
        if problem:
            collection.left_out.append(f"{printable(entry.path)}: {problem}")
            continue
        copy = into / str(len(collection.files))
        with contextlib.suppress(OSError), entry.open() as source:
            if _copy(source, copy, min(room, limits.collected_bytes)):
                collection.files.append(Collected(entry.path, copy))
                room -= copy.stat().st_size
    return collection


def put(folder: Path, name: str, source: Path, owner: Identity | None) -> None:
    """Copy a host file to `folder`/`name`. The folder above is ours alone and lends the room for an unfinished copy.

    Raises:
        FileExistsError: something of that name (a link, too) is there already.
    """
    # A copy that was interrupted must not pass for the file, so the name comes last; and code must not meddle.
    incoming = folder.parent / _INCOMING
    incoming.unlink(missing_ok=True)
    directory = folders.open_folder(str(folder))
    try:
        descriptor = os.open(incoming, _NEW_FLAGS, 0o644)
        with open(descriptor, "wb") as target, source.open("rb") as file:
            if owner is not None:
                os.fchown(descriptor, owner.uid, owner.gid)
            shutil.copyfileobj(file, target)
        os.link(incoming, name, dst_dir_fd=directory, follow_symlinks=False)
    finally:
        incoming.unlink(missing_ok=True)
        os.close(directory)


def safe_name(name: str) -> str:
    """A single, visible, short component made of a name that a stranger chose."""
    last = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    clean = "".join(c for c in last if unicodedata.category(c)[0] != "C").strip().lstrip(".")
    stem, dot, suffix = clean.rpartition(".")
    if not dot:
        stem, suffix = clean, ""
    room = _NAME_BYTES - len(suffix.encode()) - 1
    short = stem.encode()[: max(room, 1)].decode(errors="ignore")
    return f"{short or 'file'}{dot}{suffix}"


def numbered(name: str, taken: set[str]) -> str:
    """`name`, or with _2, _3, ... before its suffix when it is taken."""
    stem, dot, suffix = name.rpartition(".")
    if not dot:
        stem, suffix = name, ""
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{stem}_{number}{dot}{suffix}"
    return candidate


def printable(text: str, limit: int = 200) -> str:
    """`text` without characters that could disturb a log or a prompt, at most `limit` of them."""
    return "".join(c if unicodedata.category(c)[0] != "C" else "?" for c in text[:limit])


@dataclass(frozen=True)
class _Entry:
    """Something in the folder; while the walk is at it, `descriptor` is open.

    Attributes:
        oddity: why it is not collected, whatever the limits; "" for a regular file.
    """

    path: str
    stamp: Stamp
    oddity: str = ""
    descriptor: int = -1

    @property
    def size(self) -> int:
        """Bytes."""
        return self.stamp[1]

    def open(self) -> IO[bytes]:
        """The very file that was looked at."""
        return open(os.dup(self.descriptor), "rb")


def _walk(folder: Path) -> Iterator[_Entry]:
    budget = [_ENTRIES]
    with contextlib.suppress(OSError):
        root = folders.open_folder(str(folder))
        try:
            yield from _walk_below(root, "", 0, budget)
        finally:
            os.close(root)
    if budget[0] < 0:
        yield _Entry("others", (0, 0, 0), f"only {_ENTRIES} files and folders are looked at")


def _walk_below(directory: int, prefix: str, depth: int, budget: list[int]) -> Iterator[_Entry]:
    with os.scandir(directory) as entries:
        # One more than there is room for tells that there are more.
        found = sorted(entry.name for entry, _ in zip(entries, range(budget[0] + 1), strict=False))
    for name in found:
        budget[0] -= 1
        if budget[0] < 0:
            return
        if name == "__pycache__":
            continue
        if name.startswith("."):
            yield from _odd(directory, prefix, name, "hidden")
            continue
        try:
            descriptor = os.open(name, _FILE_FLAGS, dir_fd=directory)
        except OSError:
            yield from _odd(directory, prefix, name)
            continue
        try:
            yield from _opened(descriptor, prefix + name, depth, budget)
        finally:
            os.close(descriptor)


def _opened(descriptor: int, path: str, depth: int, budget: list[int]) -> Iterator[_Entry]:
    """What the descriptor is: a file, or a folder with what is in it."""
    status = os.fstat(descriptor)
    if stat.S_ISDIR(status.st_mode) and depth < _DEPTH:
        yield from _walk_below(descriptor, f"{path}/", depth + 1, budget)
    elif stat.S_ISDIR(status.st_mode):
        yield _Entry(path, _stamp(status), f"more than {_DEPTH} folders deep")
    else:
        yield _Entry(path, _stamp(status), _oddity(status), descriptor)


def _odd(directory: int, prefix: str, name: str, oddity: str = "") -> Iterator[_Entry]:
    """An entry that was not opened, or could not be; nothing when it is gone."""
    with contextlib.suppress(OSError):
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        oddity = oddity or _oddity(status) or "it cannot be read"
        yield _Entry(prefix + name, _stamp(status), oddity)


def _oddity(status: os.stat_result) -> str:
    if stat.S_ISLNK(status.st_mode):
        return "a link, copy the file instead"
    if not stat.S_ISREG(status.st_mode):
        return "no regular file"
    return "it has a second name, copy it instead" if status.st_nlink > 1 else ""


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_ino, status.st_size, status.st_ctime_ns


def _problem(entry: _Entry, limits: Limits) -> str:
    try:
        entry.path.encode()
    except UnicodeEncodeError:
        return "its name is not text"
    if any(unicodedata.category(c)[0] == "C" for c in entry.path):
        return "its name has invisible characters"
    if entry.size > limits.collected_bytes:
        return f"larger than {limits.collected_bytes} bytes"
    if entry.size >= limits.file_bytes:
        return f"cut off at {limits.file_bytes} bytes, the most that one file may have"
    return ""


def _copy(source: IO[bytes], target: Path, limit: int) -> bool:
    """False (and no file) when the source grew beyond the limit meanwhile."""
    written = 0
    with target.open("xb") as file:
        while piece := source.read(1 << 20):
            written += len(piece)
            if written > limit:
                break
            file.write(piece)
    if written > limit:
        target.unlink()
    return written <= limit
