"""Bytes of files in a folder: written whole or not at all, on disk when acknowledged.

    ROOT/ab/cd/KEY       the bytes; ab and cd are the first hex digits of the key's SHA-256
    ROOT/incoming/...    writes under way, each locked by its writer

A write goes to a file of its own, is flushed, and is then renamed to its place in the same file system, so that a
reader sees the old bytes or the new ones. What a killed process left in `incoming` is swept at the next start;
a file that somebody still holds locked is not.

Each is sealed with its SHA-256, and compared with it before this process gives it out for the first time or after a
change.

What it does not know: what the bytes are and whose. It takes no key but letters, digits, `_` and `-`.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

from ..engine.errors import InsufficientStorage, StorageFault, TooLarge
from . import seals
from .faults import system_fault

T = TypeVar("T")

_KEY = re.compile(r"[A-Za-z0-9_-]{1,200}")
_GATHER = 1 << 20  # bytes gathered before a thread writes them
_REMEMBERED = 10_000  # files that were found to be what was written
_STRETCH = 64 << 20  # bytes written between two looks at the disk's free space


class FileBlobs:
    """The `BlobStore` port over the folder `root`, made when missing.

    Nothing is taken in while its disk has less than `min_free_bytes` left: the database beside it needs room, too.

    Raises:
        StorageFault: the folder cannot be made or written to.
    """

    def __init__(self, root: Path | str, min_free_bytes: int = 0) -> None:
        self._root = Path(root)
        self._min_free = min_free_bytes
        self._incoming = self._root / "incoming"
        self._sound: dict[str, tuple[int, ...]] = {}
        with _mapped(self._root):
            _make_folder(self._root)
            _make_folder(self._incoming)
            _sweep(self._incoming)

    async def write(self, key: str, chunks: AsyncIterator[bytes], limit: int) -> int:
        """Store a stream; atomic, on disk when it returns. Returns the number of bytes.

        Raises:
            TooLarge: more than `limit` bytes came; nothing is kept.
            InsufficientStorage: the disk has too little room left; nothing is kept.
            StorageFault: the disk refused, or `key` is no key; nothing is kept.
        """
        place = self._place(key)
        incoming = _Incoming(self._incoming)
        try:
            size = await self._receive(incoming, chunks, limit)
            await self._in_thread(partial(incoming.settle, self._root, place))
            return size
        finally:
            await self._in_thread(incoming.discard)

    def path(self, key: str) -> Path:
        """Where the bytes lie.

        Raises:
            StorageFault: they are gone.
        """
        place = self._place(key)
        if not place.is_file():
            raise StorageFault(
                f"The content of file {key} is gone from the data folder. Restore it from a backup or upload it again."
            )
        return place

    async def intact(self, key: str, size: int) -> Path:
        """Where the bytes lie, once they are known to be the `size` bytes that were written.

        Raises:
            StorageFault: they are gone, damaged, or cannot be read.
        """
        return await self._in_thread(partial(self._examined, key, size))

    def _examined(self, key: str, size: int) -> Path:
        place = self.path(key)
        seen = place.stat()
        form = (seen.st_size, seen.st_ino, seen.st_mtime_ns, seen.st_ctime_ns)
        if self._sound.get(key) == form:
            return place
        seal = seals.of(place)
        if seen.st_size != size or (seal is not None and seal != seals.digest(place)):
            raise StorageFault(
                f"The content of file {key} is damaged: it is not what was stored. Restore it from a backup or upload "
                "it again.",
                detail=str(place),
            )
        if len(self._sound) >= _REMEMBERED:
            self._sound.clear()
        self._sound[key] = form
        return place

    async def delete(self, key: str) -> None:
        """Drop the bytes; nothing happens when there are none."""
        place = self._place(key)
        await self._in_thread(partial(_remove, place))

    async def delete_all(self, keys: Sequence[str]) -> None:
        """Drop the bytes of many without waiting for the disk: a crash of the machine may bring back some.

        Raises:
            StorageFault: some could not be dropped; all others are.
        """
        places = [self._place(key) for key in keys]
        await self._in_thread(partial(_remove_all, places))

    async def keys(self, older_than: float) -> list[str]:
        """Keys of all bytes that were written at least `older_than` seconds ago, by the file system's clock."""
        return await self._in_thread(partial(_keys, self._root, time.time() - older_than))

    def _place(self, key: str) -> Path:
        return place_of(self._root, key)

    async def _receive(
        self, incoming: "_Incoming", chunks: AsyncIterator[bytes], limit: int
    ) -> int:
        size = looked = 0
        gathered = bytearray()
        await self._in_thread(self._must_have_room)
        async for chunk in chunks:
            size += len(chunk)
            if size > limit:
                raise TooLarge(f"The file is larger than the limit of {limit} bytes.")
            gathered += chunk
            if len(gathered) >= _GATHER:
                await self._in_thread(partial(incoming.append, bytes(gathered)))
                gathered.clear()
            if size - looked >= _STRETCH:
                looked = size
                await self._in_thread(self._must_have_room)
        await self._in_thread(partial(incoming.append, bytes(gathered)))
        return size

    def _must_have_room(self) -> None:
        if shutil.disk_usage(self._root).free < self._min_free:
            raise InsufficientStorage(
                f"The server's disk has less than {self._min_free} bytes left, which are kept free. Delete files that "
                "are no longer needed, or ask whoever runs this server for more room.",
                passing=True,
            )

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Run `work` in a thread; a cancelled caller still waits for its end, so no two steps of a write overlap."""
        task = asyncio.ensure_future(asyncio.to_thread(work))
        cancelled: asyncio.CancelledError | None = None
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError as error:
                cancelled = error
        with _mapped(self._root):
            result = task.result()
        if cancelled is not None:
            raise cancelled
        return result


def place_of(root: Path, key: str) -> Path:
    """Where below `root` the bytes of `key` lie, if they are there.

    Raises:
        StorageFault: it is no key.
    """
    if not _KEY.fullmatch(key):
        raise StorageFault("A file's key has letters, digits, '_' and '-' only, at most 200.")
    digest = hashlib.sha256(key.encode()).hexdigest()
    return root / digest[:2] / digest[2:4] / key


def places(root: Path) -> Iterator[Path]:
    """All places below `root` that hold bytes; some may be gone when they are looked at."""
    return root.glob("[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]/*")


class _Incoming:
    """One write under way. Not for two threads at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: BinaryIO | None = None
        self._digest = hashlib.sha256()
        self._path = folder

    def append(self, data: bytes) -> None:
        """Add bytes; the first call makes the file."""
        if self._file is None:
            self._file = self._open()
        self._digest.update(data)
        self._file.write(data)

    def settle(self, root: Path, place: Path) -> None:
        """Flush to the disk and take the final name."""
        assert self._file is not None  # append came first
        self._file.flush()
        seals.put(self._file, self._digest.hexdigest())
        os.fsync(self._file.fileno())
        for folder in (*reversed(place.relative_to(root).parents[:-1]),):
            _make_folder(root / folder)
        self._path.replace(place)
        _flush_folder(place.parent)
        self._file.close()
        self._file = None

    def discard(self) -> None:
        """Drop what did not settle."""
        if self._file is not None:
            self._path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # buffered bytes that find no room
                self._file.close()
            self._file = None

    def _open(self) -> BinaryIO:
        """A new locked file; when a sweeper took it between making and locking, another."""
        while True:
            handle, name = tempfile.mkstemp(dir=self._folder)
            file = os.fdopen(handle, "wb")
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(handle).st_nlink:
                self._path = Path(name)
                return file
            file.close()


def _sweep(folder: Path) -> None:
    for leftover in folder.iterdir():
        with contextlib.suppress(OSError), leftover.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            leftover.unlink()


def _keys(root: Path, before: float) -> list[str]:
    found: list[str] = []
    for place in places(root):
        with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
            if place.stat().st_mtime <= before:
                found.append(place.name)
    return found


def _remove(place: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        place.unlink()
        _flush_folder(place.parent)


def _remove_all(places: Sequence[Path]) -> None:
    # Not flushed: nearly each lies in a folder of its own, and thousands of flushes take seconds.
    failed: OSError | None = None
    for place in places:
        try:
            place.unlink(missing_ok=True)
        except OSError as error:
            failed = error
    if failed is not None:
        raise failed


def _make_folder(folder: Path) -> None:
    """Make it, and have its name on the disk."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        _flush_folder(folder.parent)


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _mapped(root: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise system_fault(error, root) from error
