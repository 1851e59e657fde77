"""A dump of a data folder: its objects as lines of JSON, the bytes of its files, with ids kept.

    TARGET/objects.jsonl  a header, a record a line, an end with counts and digest
    TARGET/blobs/KEY      the bytes of every file and part of an upload

Beside servers that write to the folder: the objects are those of one moment, and so are the bytes. The same content
gives the same dump, byte for byte: it holds no time of its making. It is made under another name beside its place and
renamed at the end, so what has the name is whole.

What it does not hold: what can be made anew (the vector index, parked conversations, word indexes), folders of code
interpreter sessions, who holds a lease, settings and models.
"""

import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...engine.errors import InvalidRequest
from .. import blobs, migrations, seals
from ..checking.look import connected
from ..faults import database_fault, system_fault
from .kinds import KINDS, WITH_BYTES, Row, rows_of
from .lines import BLOBS, FORMAT, OBJECTS, VERSION, Tally, line_of, opened

EMBEDDER = "embedder.json"
"""In a data folder: which model its vectors are of."""

OnProgress = Callable[[str, int], None]

_KEYS = "SELECT id FROM files UNION ALL SELECT id FROM upload_parts"
_ATTEMPTS = 5  # at a folder whose files all stay while they are copied


@dataclass
class Exported:
    """A dump that was made.

    Attributes:
        target: the folder.
        counts: how many records of each type.
        file_bytes: bytes of all files in it.
        missing: ids of files whose bytes are gone from the data folder, or damaged.
        seconds: how long it took.
    """

    target: Path
    counts: dict[str, int] = field(default_factory=dict[str, int])
    file_bytes: int = 0
    missing: list[str] = field(default_factory=list[str])
    seconds: float = 0.0

    def to_wire(self) -> dict[str, Any]:
        """For programs; names and keys stay."""
        return {
            "target": str(self.target),
            "records": self.counts,
            "file_bytes": self.file_bytes,
            "missing": self.missing,
            "seconds": round(self.seconds, 3),
        }


def export_folder(
    data: Path, target: Path, on_progress: OnProgress = lambda what, done: None
) -> Exported:
    """Write `data` out to the new folder `target`.

    Args:
        data: the data folder; servers may work on it.
        target: where the dump goes; not inside `data`.
        on_progress: told now and then what is done, and how much of it.

    Raises:
        InvalidRequest: the target is there already, or lies in the data folder; nothing was touched.
        StorageFault: the database is of another version or cannot be read, or the disk refuses.
    """
    began = time.monotonic()
    if target.exists() or target.is_symlink():
        raise InvalidRequest(f"{target} is there already. Name a folder that is not.")
    target = target.resolve()
    if target.is_relative_to(data.resolve()):
        raise InvalidRequest("A dump in the data folder is lost with it. Name a folder outside.")
    with connected(data / "store.db") as connection:
        migrations.must_be_current(connection)
    made = Exported(target)
    try:
        with unfinished(target) as part:
            _write(data, part, made, on_progress)
            on_progress("writing to the disk", 0)
            os.sync()  # one flush for thousands of files
            part.rename(target)
    except sqlite3.Error as error:
        raise database_fault(error, data / "store.db") from error
    made.seconds = time.monotonic() - began
    return made


@contextmanager
def unfinished(target: Path) -> Generator[Path]:
    """A folder beside `target`, gone when something fails.

    Raises:
        StorageFault: the disk refuses.
    """
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


def _write(data: Path, part: Path, made: Exported, on_progress: OnProgress) -> None:
    (part / BLOBS).mkdir()
    missing: set[str] = set()
    for _ in range(_ATTEMPTS):
        with connected(data / "store.db") as connection:
            connection.execute("BEGIN")
            before, missing = missing, _copy_files(connection, data, part, on_progress)
            if missing - before:
                continue  # deleted after this moment, or gone for good: another moment tells
            _drop_strays(connection, part / BLOBS)
            _write_objects(connection, data, part, made, on_progress)
            return
    raise InvalidRequest("Files come and go faster than they can be copied. Try again later.")


def _copy_files(
    connection: sqlite3.Connection, data: Path, part: Path, on_progress: OnProgress
) -> set[str]:
    """Bytes that are not copied yet; the keys of those that are not there."""
    missing: set[str] = set()
    for number, (key,) in enumerate(connection.execute(_KEYS)):
        on_progress("copying files", number)
        place = part / BLOBS / key
        if not place.exists():  # bytes never change under their key
            try:
                shutil.copyfile(blobs.place_of(data / "blobs", key), place)
            except FileNotFoundError:
                place.unlink(missing_ok=True)
                missing.add(key)
    return missing


def _drop_strays(connection: sqlite3.Connection, folder: Path) -> None:
    """Bytes that an earlier moment named."""
    for place in list(folder.iterdir()):
        found = connection.execute(f"SELECT 1 FROM ({_KEYS}) WHERE id = ?", (place.name,))
        if found.fetchone() is None:
            place.unlink()


def _write_objects(
    connection: sqlite3.Connection,
    data: Path,
    part: Path,
    made: Exported,
    on_progress: OnProgress,
) -> None:
    tally = Tally()
    with (part / OBJECTS).open("wb") as file:

        def write(record: dict[str, Any]) -> None:
            line = line_of(record)
            tally.see(line, record["type"])
            file.write(line)

        write(_header(data))
        for kind in KINDS:
            for number, row in enumerate(rows_of(connection, kind)):
                if number % 1000 == 0:
                    on_progress(f"writing {kind.name}", number)
                told = _told(data, part, row, made) if kind.name in WITH_BYTES else {}
                write({"type": kind.name, "row": opened(row)} | told)
        file.write(line_of(tally.end()))
    made.counts = {name: count for name, count in tally.counts.items() if name != "dump"}


def _header(data: Path) -> dict[str, Any]:
    note = data / EMBEDDER
    return {
        "type": "dump",
        "format": FORMAT,
        "version": VERSION,
        "schema": migrations.STEPS[-1].__name__,
        "embedder": note.read_text("utf-8") if note.is_file() else None,
    }


def _told(data: Path, part: Path, row: Row, made: Exported) -> dict[str, Any]:
    """What the record of something with bytes says of them: nothing of bytes that are gone or damaged."""
    key = str(row["id"])
    place = part / BLOBS / key
    try:
        digest = seals.digest(place)
        made.file_bytes += place.stat().st_size
        if _seal(blobs.place_of(data / "blobs", key)) in (None, digest):
            return {"sha256": digest}
    except FileNotFoundError:
        pass
    made.missing.append(key)
    return {"sha256": None}


def _seal(place: Path) -> str | None:
    """What the bytes hashed to when they were written; of a file that was deleted meanwhile nobody knows."""
    try:
        return seals.of(place)
    except FileNotFoundError:
        return None
