"""The store in a SQLite file: one writer thread, a few read connections, many processes.

An acknowledged write is on disk (WAL, synchronous=FULL): it survives the end of the process and of the machine. With
durability "normal" it survives the end of the process only. Two processes may have one file open; SQLite's locks
order their writes. Works from any running event loop, from several one after the other too; blocking work is on own
threads.

What it does not know: what the objects mean, who may change them, and when.
"""

import asyncio
import fcntl
import os
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Literal, Self, TypeVar

from ..engine.errors import StorageFault
from . import migrations
from .erasing import Eraser
from .faults import database_fault, system_fault
from .scoped import ScopedStore
from .transaction import SQLiteTransaction
from .writer import Writer, as_raised

T = TypeVar("T")

READERS = 4
_OLDEST_SQLITE = (3, 37, 0)  # STRICT tables


@dataclass(frozen=True, slots=True)
class SQLiteSettings:
    """How the store treats its file.

    Attributes:
        durability: "full": an acknowledged write survives a power cut; "normal": it survives the end of the process, a
            power cut may take the last ones (never the file's consistency).
        busy_timeout: seconds to wait for another process that writes.
        erase_every: seconds at least between two rounds that erase the traces of deleted text.
    """

    durability: Literal["full", "normal"] = "full"
    busy_timeout: float = 10.0
    erase_every: float = 30.0


class SQLiteStore:
    """The `Store` port over one SQLite file. Made by `open`.

    Attributes:
        on_answer: called on the event loop after each read and write, with how many seconds it took from the request
            to the answer.
    """

    def __init__(self, path: Path, settings: SQLiteSettings) -> None:
        self.on_answer: Callable[[Literal["read", "write"], float], None] = _nobody
        self._path = path
        self._settings = settings
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")
        connection = connect(path, settings)
        self._writer = Writer(connection, path, Eraser(connection, settings.erase_every))

    @classmethod
    def open(cls, path: Path | str | None = None, settings: SQLiteSettings | None = None) -> Self:
        """Open the store at `path`, make it or bring its schema up to date. Blocks for some milliseconds.

        Without a path (or with ":memory:") it is a new one in a temporary folder, gone when it is closed; no power cut
        matters to that one, so it does not wait for the disk unless told to.

        Raises:
            StorageFault: the file cannot be used; the message says why and what helps.
        """
        if path is not None and str(path) != ":memory:":
            return cls._open(Path(path), settings or SQLiteSettings())
        folder = tempfile.TemporaryDirectory(prefix="local-assistants-", ignore_cleanup_errors=True)
        store = cls._open(Path(folder.name) / "store.db", settings or SQLiteSettings("normal"))
        store._folder = folder
        return store

    @classmethod
    def _open(cls, path: Path, settings: SQLiteSettings) -> Self:
        try:
            prepare(path, settings)
            return cls(path, settings)
        except sqlite3.Error as error:
            raise database_fault(error, path) from error
        except OSError as error:
            raise system_fault(error, path) from error

    @property
    def path(self) -> Path:
        """Where the database lies."""
        return self._path

    async def write(self, change: Callable[[SQLiteTransaction], T]) -> T:
        """Run `change` in a transaction of its own; it is on disk when this returns.

        A cancelled caller does not learn whether its change was made.

        Raises:
            StorageFault: the store is closed, or the disk or the database refused; nothing was changed.
        """
        began = perf_counter()
        result = await self._writer.submit(change)
        self.on_answer("write", perf_counter() - began)
        return result

    async def read(self, query: Callable[[SQLiteTransaction], T]) -> T:
        """Run `query` on a snapshot that holds every write acknowledged before.

        Raises:
            StorageFault: the store is closed, or `query` tried to write.
        """
        began = perf_counter()
        with self._lock:
            if self._closed:
                raise StorageFault("The store is closed; open it again to use it.")
            future = self._readers.submit(self._snapshot, query)
        result = await asyncio.wrap_future(future)
        self.on_answer("read", perf_counter() - began)
        return result

    async def check(self) -> None:
        """Return if the store can be read and written to; writes a page, which changes nothing.

        Raises:
            StorageFault: it cannot; the message says why.
        """
        await self.read(lambda tx: tx.count_queued())
        await self.write(lambda tx: tx.touch())

    def scoped(self, project: str) -> ScopedStore:
        """A view of one project; costs nothing to make."""
        return ScopedStore(self, project)

    async def close(self) -> None:
        """Finish what is queued and close the file. May be called twice."""
        await asyncio.to_thread(self._shut)

    def _snapshot(self, query: Callable[[SQLiteTransaction], T]) -> T:
        try:
            connection = self._read_connection()
            connection.execute("BEGIN")
            try:
                return query(SQLiteTransaction(connection))
            finally:
                connection.execute("ROLLBACK")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_READONLY:  # query_only is set
                raise StorageFault(
                    "A read of the store tried to write; use write for that."
                ) from error
            raise as_raised(error, self._path) from error
        except (sqlite3.Error, StopIteration) as error:
            raise as_raised(error, self._path) from error

    def _read_connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = connect(self._path, self._settings)
            connection.execute("PRAGMA query_only = ON")
            self._local.connection = connection
            with self._lock:
                self._connections.append(connection)
        return connection

    def _shut(self) -> None:
        with self._lock:
            self._closed = True
        self._readers.shutdown()
        while self._connections:
            self._connections.pop().close()
        self._writer.close()  # the last connection: its end empties the WAL into the file
        if self._folder is not None:
            self._folder.cleanup()


def _nobody(kind: Literal["read", "write"], seconds: float) -> None:
    """Nobody wants to know."""


def connect(path: Path, settings: SQLiteSettings) -> sqlite3.Connection:
    """A connection in autocommit mode; transactions are begun and ended by hand."""
    connection = sqlite3.connect(
        path,
        timeout=settings.busy_timeout,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    connection.execute(f"PRAGMA synchronous = {settings.durability}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA secure_delete = ON")  # what is deleted is overwritten
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA cache_size = -8192")  # KiB
    connection.execute("PRAGMA journal_size_limit = 67108864")  # a log that grew once shrinks again
    return connection


def prepare(path: Path, settings: SQLiteSettings) -> None:
    """Make the file if it is not there (readable by its owner only), set WAL, apply the migrations.

    What holds data is copied before its schema changes (`migrations.keeping`).
    """
    _check_sqlite()
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    with (
        _exclusive(path.with_name(path.name + ".lock")),
        closing(connect(path, settings)) as connection,
    ):
        due = migrations.due(connection)
        _set_wal(path, connection)
        kept = migrations.keep(connection, path, due[0]) if due else None
        migrations.migrate(connection)
        if kept is not None:
            migrations.tell(kept)


@contextmanager
def _exclusive(lock: Path) -> Generator[None]:
    """Held while a process prepares the file, so that a second one that starts beside it waits."""
    handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _set_wal(path: Path, connection: sqlite3.Connection) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StorageFault(
            "The file system cannot hold the database (no write-ahead log). Use a local disk.",
            detail=str(path),
        )


def _check_sqlite() -> None:
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        oldest = ".".join(map(str, _OLDEST_SQLITE))
        raise StorageFault(
            f"SQLite {sqlite3.sqlite_version} is too old; use a Python built with SQLite {oldest} or newer."
        )
