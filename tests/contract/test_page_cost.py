"""A page costs the same however much there is: counted in SQLite's own instructions, so no clock decides."""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal

import pytest

from local_assistants.engine import objects
from local_assistants.engine.ports import PageQuery
from local_assistants.storage import migrations
from local_assistants.storage.scoped import ScopedTransaction
from local_assistants.storage.transaction import SQLiteTransaction

FEW, MANY = 100, 100_000
PROJECT = "default"


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    """A database in memory with the schema."""
    opened = sqlite3.connect(":memory:", isolation_level=None)
    migrations.migrate(opened)
    yield opened
    opened.close()


def fill_thread(connection: sqlite3.Connection, first: int, last: int) -> None:
    """Messages m1, m2, ... of thread t; every tenth is run r's, the others are of many runs."""
    connection.execute("INSERT OR IGNORE INTO threads (id, created_at, body) VALUES ('t', 1, '{}')")
    connection.execute(
        """WITH RECURSIVE n (i) AS (SELECT ? UNION ALL SELECT i + 1 FROM n WHERE i < ?)
        INSERT INTO messages (id, thread_id, run_id, status, created_at, body)
        SELECT 'm' || i, 't', iif(i % 10 = 0, 'r', 'r' || i), 'completed', 1, json_object('id', 'm' || i,
          'created_at', 1, 'thread_id', 't', 'status', 'completed', 'role', 'user') FROM n""",
        (first, last),
    )


def fill_stores(connection: sqlite3.Connection, first: int, last: int) -> None:
    """Completed files f1, f2, ... of store s, and a batch of every second one of the first hundred."""
    connection.execute(
        "INSERT OR IGNORE INTO vector_stores (id, status, created_at, body) VALUES ('s', 'completed', 1, '{}')"
    )
    connection.execute(
        """WITH RECURSIVE n (i) AS (SELECT ? UNION ALL SELECT i + 1 FROM n WHERE i < ?)
        INSERT INTO vector_store_files
          (id, vector_store_id, file_id, status, usage_bytes, created_at, body)
        SELECT 's/f' || i, 's', 'f' || i, 'completed', 0, 1, json_object('id', 'f' || i, 'created_at', 1,
          'vector_store_id', 's', 'status', 'completed') FROM n""",
        (first, last),
    )
    connection.execute(
        """INSERT OR IGNORE INTO batch_files
        SELECT 'b', id FROM vector_store_files WHERE seq <= 100 AND seq % 2 = 0"""
    )


MESSAGES: dict[str, dict[str, str]] = {
    "a thread's": {"thread_id": "t"},
    "a run's": {"thread_id": "t", "run_id": "r"},
}
STORE_FILES: dict[str, dict[str, str]] = {
    "a store's": {"vector_store_id": "s"},
    "a store's completed": {"vector_store_id": "s", "status": "completed"},
    "a batch's": {"batch_id": "b"},
    "a batch's completed": {"batch_id": "b", "status": "completed"},
}


def places(query: PageQuery, near: str, far: str) -> list[PageQuery]:
    """The first page, and those after, before and between two cursors."""
    return [
        query,
        replace(query, after=near),
        replace(query, after=far),
        replace(query, before=near),
        replace(query, before=far),
        replace(query, after=near, before=far),
        replace(query, after=far, before=near),
    ]


def instructions(
    connection: sqlite3.Connection,
    tx: SQLiteTransaction,
    ask: Callable[[SQLiteTransaction], object],
) -> int:
    """How many of the virtual machine's SQLite takes for a query."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    connection.set_progress_handler(step, 1)
    ask(tx)
    connection.set_progress_handler(None, 1)
    return count


def cost(
    connection: sqlite3.Connection, kind: type[objects.Wire], queries: list[PageQuery]
) -> list[int]:
    """Of each query, in the whole store and in a project's view of it."""
    whole = SQLiteTransaction(connection)
    found: list[int] = []
    for tx in (whole, ScopedTransaction(whole, PROJECT)):
        found += [instructions(connection, tx, lambda tx, q=q: tx.page(kind, q)) for q in queries]  # type: ignore[misc]
    return found


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("where", MESSAGES)
def test_a_page_of_messages_costs_the_same_among_100_000(
    connection: sqlite3.Connection, where: str, order: Literal["asc", "desc"]
) -> None:
    """In both orders, with and without run_id, at every kind of cursor."""
    fill_thread(connection, 1, FEW)
    queries = places(PageQuery(MESSAGES[where], 3, order), "m20", "m50")
    small = cost(connection, objects.Message, queries)
    fill_thread(connection, FEW + 1, MANY)
    assert small == cost(connection, objects.Message, queries)


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("where", STORE_FILES)
def test_a_page_of_a_store_s_files_costs_the_same_among_100_000(
    connection: sqlite3.Connection, where: str, order: Literal["asc", "desc"]
) -> None:
    """Also of a batch that is filtered by status: not all files of that status are looked at."""
    fill_stores(connection, 1, FEW)
    queries = places(PageQuery(STORE_FILES[where], 3, order), "f20", "f50")
    small = cost(connection, objects.VectorStoreFile, queries)
    fill_stores(connection, FEW + 1, MANY)
    assert small == cost(connection, objects.VectorStoreFile, queries)
