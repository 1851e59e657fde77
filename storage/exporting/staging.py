"""A dump as a data folder of its own, checked, before anything else is touched.

Whatever the dump's author had in mind ends here: a record that is none, bytes that are others, objects that do not
belong together are refused with the line or the invariant.
"""

import json
import os
import sqlite3
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...engine.errors import InvalidRequest, StorageFault
from ...engine.requests.base import as_object
from .. import migrations
from ..checking import check
from ..checking.look import Found
from ..faults import database_fault, system_fault
from ..sqlite import SQLiteSettings, connect, prepare
from . import account
from .kinds import BY_NAME, TEXTS, WITH_BYTES, Kind
from .lines import BLOBS, FORMAT, OBJECTS, VERSION, Reader
from .loading import Loader, Unfit, take_bytes
from .reindexing import reindex
from .writing import EMBEDDER

OnProgress = Callable[[str, int], None]
Record = dict[str, Any]

_LONGEST_NOTE = 16_384  # characters


@dataclass(frozen=True)
class Wanted:
    """What is to be taken from a dump, and how.

    Attributes:
        keys: whether API keys are taken; whoever has one of them could then use this server.
        project: the project that everything goes to; None: as the dump says.
        reindex: leave texts and vectors out and have the files indexed anew.
        keep: where an object is there already and differs, leave it; else nothing is imported.
    """

    keys: bool = False
    project: str | None = None
    reindex: bool = False
    keep: bool = False


@dataclass
class Staged:
    """What came of it.

    Attributes:
        kind: "dump" or "account", which the official SDK has made.
        embedder: the note on the model of its vectors; None when it has none.
        records: how many were taken.
        keys_left: API keys that were not.
        missing: ids of files that the dump itself has no bytes of.
        notes: what else the user should know.
    """

    kind: str = "dump"
    embedder: str | None = None
    records: int = 0
    keys_left: int = 0
    missing: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])


def stage(source: Path, part: Path, wanted: Wanted, on_progress: OnProgress) -> Staged:
    """Make the data folder `part` of the dump `source`.

    Raises:
        InvalidRequest: it is no dump, or something in it is wrong.
    """
    reader = Reader(source / OBJECTS)
    staged = Staged()
    try:
        records = iter(reader)
        header = next(records, Record())
        with _bytes_of(source) as folder, _database(part / "store.db", header) as connection:
            told = _told(records, on_progress)
            if header.get("format") == account.FORMAT:
                loading = account.Account(connection, folder, part / "blobs", wanted.project)
                loading.load(told)
                staged.kind, staged.records = "account", loading.records
                staged.notes = loading.notes()
                reindex(connection)
            else:
                staged.embedder = _embedder(header, wanted)
                _Dump(connection, folder, part, wanted).load(told, staged)
    except Unfit as error:
        raise reader.refused(error.message) from error
    except StorageFault as error:
        raise InvalidRequest(f"What the dump holds cannot be read: {error.message}") from error
    except OSError as error:
        raise system_fault(error, part) from error
    except sqlite3.Error as error:
        raise database_fault(error, part) from error
    prepare(part / "store.db", SQLiteSettings())
    if staged.embedder is not None:
        (part / EMBEDDER).write_text(staged.embedder, "utf-8")
    _must_hold(part, staged, on_progress)
    return staged


def _schema(header: Record) -> int:
    """How many steps the schema of a dump has."""
    if header.get("type") != "dump" or header.get("format") not in (FORMAT, account.FORMAT):
        raise InvalidRequest(
            "This is no dump of a data folder or of an account. Name the folder that `export` or "
            "examples/dump_with_sdk.py has made."
        )
    version = VERSION if header["format"] == FORMAT else account.VERSION
    names = [step.__name__ for step in migrations.STEPS]
    schema = header.get("schema", names[-1])
    if header.get("version") != version or schema not in names:
        raise InvalidRequest(
            "The dump was made by another version of local-assistants, which this one does not know. Update it."
        )
    return names.index(schema) + 1


def _embedder(header: Record, wanted: Wanted) -> str | None:
    note = header.get("embedder")
    if note is None or wanted.reindex:
        return None
    try:
        if len(note) <= _LONGEST_NOTE and isinstance(json.loads(note), dict):
            return str(note)
    except (ValueError, TypeError, RecursionError):
        pass
    raise InvalidRequest("The dump does not say which model its vectors are of; use --reindex.")


@contextmanager
def _bytes_of(source: Path) -> Generator[int]:
    try:
        handle = os.open(source / BLOBS, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise InvalidRequest(
            f"{source} is no dump: it has no folder {BLOBS} ({error.strerror}). Name the folder that was made."
        ) from error
    try:
        yield handle
    finally:
        os.close(handle)


@contextmanager
def _database(path: Path, header: Record) -> Generator[sqlite3.Connection]:
    """A new database of the dump's schema in a transaction; brought up to date when the block is done."""
    steps = _schema(header)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    with closing(connect(path, SQLiteSettings("normal"))) as connection:
        connection.execute("PRAGMA synchronous = OFF")  # nobody misses it when the machine dies
        migrations.migrate(connection, migrations.STEPS[:steps])
        connection.execute("BEGIN")
        yield connection
        connection.execute("COMMIT")
        migrations.migrate(connection)


def _told(records: Iterator[Record], on_progress: OnProgress) -> Iterator[Record]:
    for number, record in enumerate(records):
        if number % 1000 == 0:
            on_progress("reading", number)
        yield record


class _Dump:
    """Takes the records of a dump into the data folder `part`, of whose database `connection` is."""

    def __init__(
        self, connection: sqlite3.Connection, folder: int, part: Path, wanted: Wanted
    ) -> None:
        self._connection = connection
        self._loader = Loader(connection)
        self._folder = folder
        self._blobs = part / "blobs"
        self._wanted = wanted

    def load(self, records: Iterator[Record], staged: Staged) -> None:
        """Take them all, or raise Unfit at the first that does not fit."""
        for record in records:
            kind = BY_NAME.get(record["type"])
            if kind is None or as_object(record.get("row")) is None:
                raise Unfit(f"there are no records of type {record['type'][:80]!r}")
            if kind.name == "api_keys" and not self._wanted.keys:
                staged.keys_left += 1
            elif not self._wanted.reindex or kind.name not in TEXTS:
                self._take(kind, record, staged)
                staged.records += 1
        if self._wanted.reindex:
            reindex(self._connection)

    def _take(self, kind: Kind, record: Record, staged: Staged) -> None:
        row = record["row"]
        if self._wanted.project is not None and "project" in row:
            row["project"] = self._wanted.project
        self._loader.put(kind, row)
        if kind.name not in WITH_BYTES:
            return
        if record.get("sha256") is None:
            staged.missing.append(str(row["id"]))
        else:
            take_bytes(self._folder, record, self._blobs)


def _must_hold(part: Path, staged: Staged, on_progress: OnProgress) -> None:
    """Refuse what `db check` would find fault with, but for bytes that were missing already where it comes from."""
    report = check(part, on_progress)

    def known(found: Found) -> bool:
        return found.invariant.name == "file-bytes" and found.subject in staged.missing

    wrong = [found for found in report.kept if not found.note and not known(found)]
    if wrong:
        said = "; ".join(
            f"{one.invariant.name}: {one.subject[:80]}: {one.seen[:200]}" for one in wrong[:3]
        )
        raise InvalidRequest(
            f"What the dump holds cannot be, and nothing was changed. {said}. If it comes from a data folder, "
            "`db check` on that tells how to mend it."
        )
