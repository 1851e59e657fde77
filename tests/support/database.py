"""Databases for tests: stores that begin as a copy of an empty one, and the cost of a query.

Applying the migrations takes half of what a house of tests costs, so it is done once.
"""

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from local_assistants.storage import migrations
from local_assistants.storage.sqlite import SQLiteSettings, SQLiteStore, prepare

_NORMAL = SQLiteSettings(durability="normal")  # no test pulls the plug


def open_store(folder: Path) -> SQLiteStore:
    """The store in `folder`, a new one or what is left there."""
    path = folder / "store.db"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_empty())
    return SQLiteStore.open(path, _NORMAL)


@lru_cache(maxsize=1)
def _empty() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        prepare(path, _NORMAL)
        return path.read_bytes()


@contextmanager
def database() -> Iterator[sqlite3.Connection]:
    """An empty one in memory with the schema."""
    opened = sqlite3.connect(":memory:", isolation_level=None)
    opened.execute("PRAGMA foreign_keys = ON")  # as the store does
    migrations.migrate(opened)
    yield opened
    opened.close()


def instructions(connection: sqlite3.Connection, ask: Callable[[], object]) -> int:
    """How many of its virtual machine's instructions SQLite takes for what `ask` does; no clock decides."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    connection.set_progress_handler(step, 1)
    ask()
    connection.set_progress_handler(None, 1)
    return count
