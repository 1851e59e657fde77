"""Group commit: many changes, one flush, and no change pays for another's failure."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local_assistants.engine.errors import StorageFault
from local_assistants.engine.objects import Thread
from local_assistants.storage import SQLiteSettings, migrations
from local_assistants.storage.erasing import Eraser
from local_assistants.storage.sqlite import connect
from local_assistants.storage.transaction import SQLiteTransaction
from local_assistants.storage.writer import MOST_AT_ONCE, Writer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with the schema."""
    made = tmp_path / "store.db"
    connection = connect(made, SQLiteSettings())
    migrations.migrate(connection)
    connection.close()
    return made


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    """The connection that a writer under test owns and closes."""
    opened = connect(path, SQLiteSettings(busy_timeout=0.05))
    yield opened
    opened.close()


def thread(number: int, size: int = 1) -> Thread:
    """A thread whose body has about `size` bytes."""
    return Thread(id=f"thread_{number}", created_at=1, metadata={"x": "x" * size})


def putting(number: int, size: int = 1) -> Callable[[SQLiteTransaction], None]:
    """The change that stores a thread."""
    return lambda tx: tx.put(thread(number, size))


class Gate:
    """A change that holds the writer until the gate is opened."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.open = threading.Event()

    def __call__(self, _: SQLiteTransaction) -> None:
        self.begun.set()
        assert self.open.wait(10)


def stored(path: Path) -> set[str]:
    """Ids of the threads in the file."""
    with sqlite3.connect(path) as connection:
        found = {row[0] for row in connection.execute("SELECT id FROM threads")}
    connection.close()
    return found


async def test_changes_that_wait_together_are_committed_together(
    connection: sqlite3.Connection, path: Path
) -> None:
    """Ten that gathered behind one take one COMMIT."""
    commits: list[str] = []
    connection.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
    writer, gate = Writer(connection, path, Eraser(connection, 30.0)), Gate()
    first = writer.submit(gate)
    assert gate.begun.wait(10)
    rest = [writer.submit(putting(n)) for n in range(10)]
    gate.open.set()
    await asyncio.gather(first, *rest)
    writer.close()
    assert len(commits) == 2
    assert stored(path) == {f"thread_{n}" for n in range(10)}


async def test_a_group_has_a_limit(connection: sqlite3.Connection, path: Path) -> None:
    """A flood is committed in several groups, so that the first caller does not wait for the last."""
    commits: list[str] = []
    connection.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)
    writer, gate = Writer(connection, path, Eraser(connection, 30.0)), Gate()
    writer.submit(gate)
    assert gate.begun.wait(10)
    futures = [writer.submit(lambda _: None) for _ in range(2 * MOST_AT_ONCE + 1)]
    gate.open.set()
    await asyncio.gather(*futures)
    writer.close()
    assert len(commits) == 4


async def test_a_change_is_acknowledged_after_its_commit(
    connection: sqlite3.Connection, path: Path
) -> None:
    """Who is told can see the row from another connection; before that nobody can."""
    writer, gate = Writer(connection, path, Eraser(connection, 30.0)), Gate()

    def change(tx: SQLiteTransaction) -> None:
        tx.put(thread(1))
        gate(tx)

    future = writer.submit(change)
    assert gate.begun.wait(10)
    await asyncio.sleep(0.05)  # it would hear of it now
    assert (future.done(), stored(path)) == (False, set())
    gate.open.set()
    await future
    assert stored(path) == {"thread_1"}
    writer.close()


async def test_a_full_disk_fails_in_words_and_passes(
    connection: sqlite3.Connection, path: Path
) -> None:
    """The change that found no room is told so; when there is room again the writer goes on."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 5}")
    writer = Writer(connection, path, Eraser(connection, 30.0))
    await writer.submit(putting(1))
    with pytest.raises(StorageFault, match=r"disk is full; free some space"):
        await writer.submit(putting(2, size=1_000_000))
    connection.execute("PRAGMA max_page_count = 1000000")
    await writer.submit(putting(3, size=1_000_000))
    writer.close()
    assert stored(path) == {"thread_1", "thread_3"}


async def test_a_full_disk_tells_everybody_whose_change_was_lost(
    connection: sqlite3.Connection, path: Path
) -> None:
    """Nobody in the group is told that a change is stored which is not."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 5}")
    writer, gate = Writer(connection, path, Eraser(connection, 30.0)), Gate()
    writer.submit(gate)
    assert gate.begun.wait(10)
    sizes = {1: 1, 2: 1_000_000, 3: 1}
    futures = {n: writer.submit(putting(n, size)) for n, size in sizes.items()}
    gate.open.set()
    results = await asyncio.gather(*futures.values(), return_exceptions=True)
    failed = {f"thread_{n}" for n, seen in zip(futures, results, strict=True) if seen is not None}
    writer.close()
    assert "thread_2" in failed
    assert stored(path) == {"thread_1", "thread_2", "thread_3"} - failed


async def test_a_locked_database_fails_in_words_and_passes(
    connection: sqlite3.Connection, path: Path
) -> None:
    """Another process that holds the write lock too long is named; afterwards writing works again."""
    writer = Writer(connection, path, Eraser(connection, 30.0))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageFault, match="another process keeps it locked"):
        await writer.submit(putting(1))
    other.execute("ROLLBACK")
    other.close()
    await writer.submit(putting(2))
    writer.close()
    assert stored(path) == {"thread_2"}


async def test_even_an_exit_inside_a_change_does_not_end_the_writer(
    connection: sqlite3.Connection, path: Path
) -> None:
    """SystemExit belongs to the caller; the next change is served."""

    def leave(_: SQLiteTransaction) -> None:
        raise SystemExit(3)

    writer = Writer(connection, path, Eraser(connection, 30.0))
    with pytest.raises(SystemExit):
        await writer.submit(leave)
    await writer.submit(putting(1))
    writer.close()
    assert stored(path) == {"thread_1"}


async def test_a_change_holds_the_write_lock_from_its_start(
    connection: sqlite3.Connection, path: Path
) -> None:
    """What it read cannot be changed by another process before it writes."""
    writer, gate = Writer(connection, path, Eraser(connection, 30.0)), Gate()
    future = writer.submit(gate)
    assert gate.begun.wait(10)
    other = sqlite3.connect(path, isolation_level=None, timeout=0)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        other.execute("BEGIN IMMEDIATE")
    other.close()
    gate.open.set()
    await future
    writer.close()
