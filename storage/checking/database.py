"""The database itself: its pages, its schema, its references."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

from ...engine import invariants
from .. import migrations
from ..faults import database_fault
from .look import Found, Look

_MOST = 100  # findings of SQLite's own check


def check(look: Look) -> Iterator[Found]:
    """SQLite's own check, whether the schema is whole, whether every reference leads somewhere."""
    for (line,) in look.each(f"PRAGMA integrity_check({_MOST})"):
        if line != "ok":
            yield Found(invariants.DATABASE_INTACT, look.database.name, str(line))
    for kind, name in sorted(_wanted() - _there(look.connection)):
        yield Found(invariants.SCHEMA_WHOLE, name, f"this {kind} is not there")
    for table, row, parent, _ in look.each("PRAGMA foreign_key_check"):
        yield Found(
            invariants.REFERENCES, _id(look, table, row), f"its row of {parent} is not there"
        )


def must_know_schema(look: Look) -> None:
    """Refuse a database that this version cannot read.

    Raises:
        StorageFault: it is another program's, a newer version's, or still to be brought up to date.
    """
    try:
        migrations.must_be_current(look.connection)
    except sqlite3.Error as error:
        raise database_fault(error, look.database) from error


def _there(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    found = connection.execute(
        "SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite!_%' ESCAPE '!'"
    )
    return {(kind, name) for kind, name in found}


def _wanted() -> set[tuple[str, str]]:
    """What the steps make."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrations.migrate(connection)
        return _there(connection)


def _id(look: Look, table: str, row: int | None) -> str:
    columns = {name for _, name, *_ in look.connection.execute(f"PRAGMA table_info({table})")}
    if "id" in columns and row is not None:
        found = look.connection.execute(
            f"SELECT id FROM {table} WHERE rowid = ?", (row,)
        ).fetchone()
        if found is not None:
            return str(found[0])
    return f"{table} {row}"
