"""One look at a data folder: a read snapshot of its database beside whoever writes, and what the checks need to know.

Read-only: the connection cannot write, no schema is brought up to date. What SQLite itself leaves is an empty log
beside the database. A snapshot keeps the write-ahead log from being emptied as long as it is open.
"""

import sqlite3
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...engine.errors import StorageFault
from ...engine.invariants import Invariant
from .. import presence, rows, statements
from ..faults import database_fault

OnProgress = Callable[[str, int], None]
"""Called now and then with what is looked at and how much of it is done (rows, files; 0 while SQLite works)."""

_BUSY = 10.0  # seconds
_INSTRUCTIONS = 1_000_000  # of SQLite between two words on progress


@dataclass(frozen=True, slots=True)
class Found:
    """Something that breaks an invariant.

    Attributes:
        invariant: which.
        subject: the id of the object that breaks it.
        seen: what was seen.
        note: whether it is only worth knowing, since it goes by itself.
    """

    invariant: Invariant
    subject: str
    seen: str
    note: bool = False


@dataclass
class Look:
    """What the checks work on.

    Attributes:
        connection: in a read transaction.
        data: the data folder.
        served: whether a server is at work on it.
        now: Unix seconds.
        contents: whether bytes are read where a digest is known.
        on_progress: told what is done.
        rows: objects and events read.
        files: files looked at.
        bytes: bytes of them read.
    """

    connection: sqlite3.Connection
    data: Path
    served: bool = False
    now: float = field(default_factory=time.time)
    contents: bool = True
    on_progress: OnProgress = lambda what, done: None
    rows: int = 0
    files: int = 0
    bytes: int = 0
    stage: str = ""

    @property
    def database(self) -> Path:
        """Where the database lies."""
        return self.data / "store.db"

    @property
    def blobs(self) -> Path:
        """Where the bytes of files lie."""
        return self.data / "blobs"

    def each(self, sql: str, values: Any = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a query, one at a time, counted and told of."""
        for row in self.connection.execute(sql, values):
            self.rows += 1
            if self.rows % 1000 == 0:
                self.on_progress(self.stage, self.rows)
            yield row

    def now_there(self, sql: str, key: str) -> bool:
        """Whether a query finds something now, not in the snapshot: a server may have gone on meanwhile."""
        with connected(self.database) as connection:
            return connection.execute(sql, (key,)).fetchone() is not None


@contextmanager
def snapshot(data: Path, on_progress: OnProgress, *, contents: bool = True) -> Generator[Look]:
    """A look at the database of `data` as it is now.

    Raises:
        StorageFault: it cannot be opened.
    """
    path = data / "store.db"
    with connected(path) as connection:
        look = Look(
            connection,
            data,
            served=presence.somebody_is_at_work(data),
            contents=contents,
            on_progress=on_progress,
        )
        connection.set_progress_handler(lambda: on_progress(look.stage, 0), _INSTRUCTIONS)
        connection.execute("BEGIN")
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        yield look


@contextmanager
def connected(path: Path) -> Generator[sqlite3.Connection]:
    """A connection that cannot write; on a disk that nobody can write to, too.

    Raises:
        StorageFault: there is no database, or it cannot be opened.
    """
    if not path.is_file():
        raise StorageFault("There is no database in the data folder.", detail=str(path))
    connection = _connect(path, "mode=ro")
    log = path.with_name(path.name + "-wal")
    try:
        if not _opens(connection) and not (log.exists() and log.stat().st_size):
            # No log can be made beside it: a backup on a read-only disk. Nobody else can write to that either.
            connection.close()
            connection = _connect(path, "immutable=1")
        connection.execute("PRAGMA cache_size = -16384")  # KiB
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        connection.close()
        raise database_fault(error, path) from error
    try:
        yield connection
    finally:
        with suppress(sqlite3.Error):
            connection.close()


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    address = f"{path.resolve().as_uri()}?{mode}"
    return sqlite3.connect(address, uri=True, timeout=_BUSY, isolation_level=None)


def _opens(connection: sqlite3.Connection) -> bool:
    """Whether SQLite could make what it needs beside the database."""
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        return error.sqlite_errorcode & 0xFF not in (
            sqlite3.SQLITE_CANTOPEN,
            sqlite3.SQLITE_READONLY,
        )
    return True


def statements_of_checks() -> dict[str, str]:
    """The SQL of the invariants that SQL asks for, by their names with underscores."""
    return statements.read(__name__.rpartition(".")[0], "checks.sql")


def as_list(values: Any) -> str:
    """Statuses as the parameter of a statement."""
    return rows.encode(sorted(str(value) for value in values))
