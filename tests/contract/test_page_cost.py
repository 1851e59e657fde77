"""A page costs the same however much there is: counted in SQLite's own instructions, so no clock decides."""

import sqlite3
from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import Literal

import pytest

from local_assistants.engine import objects
from local_assistants.engine.ports import PageQuery
from local_assistants.storage.scoped import ScopedTransaction
from local_assistants.storage.transaction import SQLiteTransaction
from tests.support.database import database, instructions

FEW, MANY = 100, 100_000
PROJECT = "default"
ORDERS: tuple[Literal["asc", "desc"], ...] = ("asc", "desc")


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    """A database in memory with the schema."""
    with database() as opened:
        yield opened


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


MESSAGES: tuple[dict[str, str], ...] = ({"thread_id": "t"}, {"thread_id": "t", "run_id": "r"})
STORE_FILES: tuple[dict[str, str], ...] = (
    {"vector_store_id": "s"},
    {"vector_store_id": "s", "status": "completed"},
    {"batch_id": "b"},
    {"batch_id": "b", "status": "completed"},
)


def everywhere(lists: tuple[dict[str, str], ...], near: str, far: str) -> list[PageQuery]:
    """Pages of these lists in both orders: the first, and those after, before and between two cursors."""
    cursors = (None, near, far)
    return [
        PageQuery(where, 3, order, after=after, before=before)
        for where in lists
        for order in ORDERS
        for after, before in product(cursors, cursors)
        if after is None or after != before
    ]


def cost(
    connection: sqlite3.Connection, kind: type[objects.Wire], queries: list[PageQuery]
) -> list[tuple[PageQuery, int, int]]:
    """Of each query, in the whole store and in a project's view of it."""
    whole = SQLiteTransaction(connection)
    view = ScopedTransaction(whole, PROJECT)
    return [
        (
            query,
            instructions(connection, partial(whole.page, kind, query)),
            instructions(connection, partial(view.page, kind, query)),
        )
        for query in queries
    ]


def test_a_page_of_messages_costs_the_same_among_100_000(connection: sqlite3.Connection) -> None:
    """In both orders, with and without run_id, at every kind of cursor."""
    queries = everywhere(MESSAGES, "m20", "m50")
    fill_thread(connection, 1, FEW)
    small = cost(connection, objects.Message, queries)
    fill_thread(connection, FEW + 1, MANY)
    assert small == cost(connection, objects.Message, queries)


def test_a_page_of_a_store_s_files_costs_the_same_among_100_000(
    connection: sqlite3.Connection,
) -> None:
    """Also of a batch that is filtered by status: not all files of that status are looked at."""
    queries = everywhere(STORE_FILES, "f20", "f50")
    fill_stores(connection, 1, FEW)
    small = cost(connection, objects.VectorStoreFile, queries)
    fill_stores(connection, FEW + 1, MANY)
    assert small == cost(connection, objects.VectorStoreFile, queries)
