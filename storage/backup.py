"""A copy of a data folder, made while servers write to it, that is whole or not there.

    TARGET/store.db       the database at one moment
    TARGET/blobs/...      the bytes of every file and part that it names
    TARGET/embedder.json  and whatever else lies beside the database as a plain file, locks aside
    TARGET/backup.json    what it is, when and of what it was made

It is made under another name beside its place and renamed at the end, so what has the name is whole. Bytes are copied
after the database, and a file that is deleted meanwhile takes its bytes along; then the database is copied again,
until all bytes are there that it names.

What is not copied: the vector index and parked conversations, which are made anew from what is; the folders of code
interpreter sessions, which end with their server; settings and models, which lie elsewhere. It does not promise one
moment for several data folders.
"""

import json
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..engine.errors import InsufficientStorage, InvalidRequest
from . import blobs, migrations, seals
from .checking import Report, check
from .checking.look import connected
from .faults import database_fault, system_fault

FORMAT = "local-assistants.backup"
VERSION = 1
NOTE = "backup.json"

_PAGES = 4096  # copied between two words on progress
_ATTEMPTS = 5  # at a database whose files all stay while they are copied
_KEYS = "SELECT id FROM files UNION ALL SELECT id FROM upload_parts"
_OnProgress = Callable[[str, int], None]


@dataclass
class Backup:
    """A backup that was made.

    Attributes:
        target: the folder.
        database_bytes: size of the database in it.
        files: how many files and parts of uploads have their bytes in it.
        file_bytes: bytes of these.
        seconds: how long it took, with the check.
        report: what the check of the copy found.
    """

    target: Path
    database_bytes: int = 0
    files: int = 0
    file_bytes: int = 0
    seconds: float = 0.0
    report: Report = field(default_factory=Report)

    def to_wire(self) -> dict[str, Any]:
        """For programs; names and keys stay."""
        return {
            "target": str(self.target),
            "database_bytes": self.database_bytes,
            "files": self.files,
            "file_bytes": self.file_bytes,
            "seconds": round(self.seconds, 3),
            "check": self.report.to_wire(),
        }


def make_backup(
    data: Path, target: Path, on_progress: _OnProgress = lambda what, done: None
) -> Backup:
    """Copy `data` to the new folder `target` and check the copy.

    Args:
        data: the data folder; servers may work on it.
        target: where the copy goes; not inside `data`.
        on_progress: told now and then what is done, and how much of it.

    Raises:
        InvalidRequest: the target is there already, or lies in the data folder; nothing was touched.
        InsufficientStorage: its disk has too little room.
        StorageFault: the database is of another version or cannot be read, or the disk refuses.
    """
    began = time.monotonic()
    if target.exists() or target.is_symlink():
        raise InvalidRequest(
            f"{target} is there already. Name a folder that is not, for instance by its date."
        )
    target = target.resolve()
    if target.is_relative_to(data.resolve()):
        raise InvalidRequest("A backup in the data folder is lost with it. Name one outside.")
    with connected(data / "store.db") as connection:
        migrations.must_be_current(connection)
    with _unfinished(target) as part:
        made = Backup(target)
        _copy(data, part, on_progress)
        made.report = check(part, on_progress)
        _describe(data, part, made)
        on_progress("writing to the disk", 0)
        os.sync()  # one flush for thousands of files
        part.rename(target)
        _flush(target.parent)
    made.seconds = time.monotonic() - began
    return made


@contextmanager
def _unfinished(target: Path) -> Generator[Path]:
    """A folder beside the target, gone when something fails."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
    except OSError as error:
        raise system_fault(error, target.parent) from error
    try:
        yield part
    except OSError as error:
        raise system_fault(error, part) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)  # renamed by now, or half-made


def _copy(data: Path, part: Path, on_progress: _OnProgress) -> None:
    """The database, then the bytes that it names; again while some have gone meanwhile."""
    _require_room(data, part)
    missing: set[str] = set()
    for _ in range(_ATTEMPTS):
        _copy_database(data / "store.db", part / "store.db", on_progress)
        before, missing = missing, _copy_files(data / "blobs", part, on_progress)
        if not missing - before:
            break  # all there, or gone for good: the check tells of these
    _drop_strays(part)
    for note in data.iterdir():
        if note.is_file() and not note.is_symlink() and not _is_own(note.name):
            shutil.copyfile(note, part / note.name)


def _is_own(name: str) -> bool:
    """Whether a file is the database's, a lock, or the note of another backup that was restored here."""
    return name.startswith("store.db") or name.endswith(".lock") or name == NOTE


def _require_room(data: Path, part: Path) -> None:
    needed = sum(path.stat().st_size for path in data.glob("store.db*"))
    free = shutil.disk_usage(part).free
    if free < needed:
        raise InsufficientStorage(
            f"The backup's disk has {free} bytes left, and the database alone takes {needed}. Name another disk."
        )


def _copy_database(source: Path, copy: Path, on_progress: _OnProgress) -> None:
    """The database at one moment: a read transaction holds it, whoever writes meanwhile."""

    def told(_: int, left: int, total: int) -> None:
        on_progress("copying the database, pages", total - left)

    for path in copy.parent.glob(f"{copy.name}*"):
        path.unlink()
    os.close(os.open(copy, os.O_RDWR | os.O_CREAT, 0o600))
    try:
        with connected(source) as reading, closing(sqlite3.connect(copy)) as writing:
            reading.execute("BEGIN")
            reading.execute("SELECT 1 FROM sqlite_master").fetchone()
            reading.backup(writing, pages=_PAGES, progress=told, sleep=0.0)
    except sqlite3.Error as error:
        raise database_fault(error, source) from error


def _copy_files(source: Path, part: Path, on_progress: _OnProgress) -> set[str]:
    """Bytes that the copied database names and that are not copied yet; the keys of those that are not there."""
    missing: set[str] = set()
    with connected(part / "store.db") as connection:
        for number, (key,) in enumerate(connection.execute(_KEYS)):
            on_progress("copying files", number)
            place = blobs.place_of(part / "blobs", key)
            if place.exists():  # bytes never change under their key
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                _copy_sealed(blobs.place_of(source, key), place)
            except FileNotFoundError:
                place.unlink(missing_ok=True)
                missing.add(key)
    return missing


def _copy_sealed(source: Path, place: Path) -> None:
    shutil.copyfile(source, place)
    seal = seals.of(source)
    if (
        seal is not None
    ):  # of what was written: a copy of damaged bytes is still known to be damaged
        seals.put(place, seal)


def _drop_strays(part: Path) -> None:
    """Bytes that an earlier copy of the database named."""
    with connected(part / "store.db") as connection:
        for place in list(blobs.places(part / "blobs")):
            found = connection.execute(f"SELECT 1 FROM ({_KEYS}) WHERE id = ?", (place.name,))
            if found.fetchone() is None:
                place.unlink()


def _describe(data: Path, part: Path, made: Backup) -> None:
    for name in ("store.db-wal", "store.db-shm"):  # readers leave them, empty
        (part / name).unlink(missing_ok=True)
    sizes = [place.stat().st_size for place in blobs.places(part / "blobs")]
    made.files, made.file_bytes = len(sizes), sum(sizes)
    made.database_bytes = (part / "store.db").stat().st_size
    told = {
        "format": FORMAT,
        "version": VERSION,
        "made_at": int(time.time()),
        "source": str(data),
        "database_bytes": made.database_bytes,
        "files": made.files,
        "file_bytes": made.file_bytes,
        "whole": made.report.ok,
    }
    (part / NOTE).write_text(json.dumps(told, indent=2) + "\n", "utf-8")


def _flush(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
