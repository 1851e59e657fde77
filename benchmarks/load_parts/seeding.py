"""Fills a store with threads of twenty messages and a finished run each, row by row: requests would take hours.

The rows are those that the server would have written but for their journals; ids are as random as its own, so that
the indexes are as wide and as scattered.
"""

import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from local_assistants.engine.objects import Message, Run, Thread, Wire
from local_assistants.engine.requests import CreateMessage
from local_assistants.engine.states import MessageStatus, RunStatus
from local_assistants.storage.rows import table_of
from local_assistants.storage.sqlite import SQLiteSettings, connect, prepare

MESSAGES = 20
_SLICE = 1000  # threads of one transaction
_ROOM = "PRAGMA cache_size = -2000000"  # KiB: random ids go to random pages
_OWN, _THREAD = "__OWN__", "__THREAD__"
_TEXT = "some words that somebody wrote about something, and a few more of them " * 2


def fill(folder: Path, threads: int) -> list[str]:
    """Make a data folder's store with so many threads; their ids."""
    folder.mkdir(parents=True)
    path = folder / "store.db"
    settings = SQLiteSettings("normal")
    prepare(path, settings)
    ids = [_id("thread") for _ in range(threads)]
    with closing(connect(path, settings)) as connection:
        connection.execute(_ROOM)
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA foreign_keys = OFF")
        with _without_indexes(connection):
            for first in range(0, threads, _SLICE):
                connection.execute("BEGIN IMMEDIATE")
                _insert(connection, ids[first : first + _SLICE])
                connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return ids


@contextmanager
def _without_indexes(connection: sqlite3.Connection) -> Iterator[None]:
    """The indexes are made anew at the end of the block, in a tenth of the time that filling them takes."""
    found: list[tuple[str, str]] = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    ).fetchall()
    for name, _ in found:
        connection.execute(f"DROP INDEX {name}")
    yield
    for _, statement in found:
        connection.execute(statement)


def _insert(connection: sqlite3.Connection, ids: list[str]) -> None:
    messages = [(_id("msg"), thread) for thread in ids for _ in range(MESSAGES)]
    thread, message, run = _templates()
    _put(connection, thread, ((key, key) for key in ids))
    _put(connection, message, iter(messages))
    _put(connection, run, ((_id("run"), thread) for thread in ids))
    connection.executemany("INSERT INTO transcript (message_id, thread_id) VALUES (?, ?)", messages)


def _templates() -> tuple[Wire, Wire, Wire]:
    """A thread, a message and a run, with placeholders for ids."""
    now = int(time.time()) - 3600
    message = Message(
        id=_OWN,
        created_at=now,
        thread_id=_THREAD,
        status=MessageStatus.COMPLETED,
        completed_at=now,
        role="user",
        content=CreateMessage(role="user", content=_TEXT).parts(),
    )
    run = Run(
        id=_OWN,
        created_at=now,
        assistant_id=_id("asst"),
        thread_id=_THREAD,
        status=RunStatus.COMPLETED,
        started_at=now,
        completed_at=now,
        expires_at=None,
        model="default",
    )
    return Thread(id=_OWN, created_at=now), message, run


def _put(connection: sqlite3.Connection, template: Wire, ids: Iterator[tuple[str, str]]) -> None:
    """The template as a row for each pair of ids, its own and its thread's."""
    table = table_of(type(template))
    row = table.row(template)
    before, _, rest = str(row["body"]).partition(_OWN)
    middle, _, after = rest.partition(_THREAD)
    fixed = [name for name in row if name not in ("id", "body", "thread_id")]
    names = ["id", "body", *(["thread_id"] if "thread_id" in row else []), *fixed]
    values = tuple(row[name] for name in fixed)
    statement = (
        f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
    )
    if "thread_id" in row:
        connection.executemany(
            statement,
            ((k, f"{before}{k}{middle}{t}{after}", t, *values) for k, t in ids),
        )
    else:
        connection.executemany(statement, ((k, f"{before}{k}{rest}", *values) for k, _ in ids))


def _id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(12)}"
