"""The schema's history: numbered steps, each applied once, in order, all that are due in one transaction.

A step is a function below, its SQL in a file of the same name beside it. sqlite-utils applies the steps and
records their names in the database (table `_sqlite_migrations`). A step that was released is never edited: a change
is a new step.

What this package does not do: it never goes back. What a step is about to change is copied first (`keeping`).
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from importlib.resources import files
from typing import TYPE_CHECKING

from ...engine.errors import StorageFault
from .keeping import keep, tell

__all__ = [
    "HISTORY",
    "STEPS",
    "Step",
    "due",
    "history",
    "keep",
    "migrate",
    "must_be_current",
    "refuse_foreign",
    "run_script",
    "tell",
]

if TYPE_CHECKING:  # sqlite-utils costs a third of a second; only opening a store needs it
    from sqlite_utils.db import Database
    from sqlite_utils.migrations import Migrations

HISTORY = "local_assistants"
"""Name of our set of steps in the table that sqlite-utils keeps."""


def m0001_first(db: "Database") -> None:
    """The schema of the first release."""
    run_script(db.conn, "m0001_first")


def m0002_projects(db: "Database") -> None:
    """Projects of root objects, and the keys that open them."""
    run_script(db.conn, "m0002_projects")


def m0003_uploads(db: "Database") -> None:
    """Upload parts, expiry of files, uploads and stores, and who lists a file."""
    run_script(db.conn, "m0003_uploads")


def m0004_fair(db: "Database") -> None:
    """The project of a run, for a queue that is fair."""
    run_script(db.conn, "m0004_fair")


def m0005_code_sessions(db: "Database") -> None:
    """The ledger of the code interpreter's sessions."""
    run_script(db.conn, "m0005_code_sessions")


def m0006_library(db: "Database") -> None:
    """Vectors apart from text, extracts, attributes as rows, the ledger of vector storage."""
    run_script(db.conn, "m0006_library")


def m0007_files_to_erase(db: "Database") -> None:
    """Files taken out of a vector store are erased little by little."""
    run_script(db.conn, "m0007_files_to_erase")


def m0008_model_turns(db: "Database") -> None:
    """What is kept of a run's model turns."""
    run_script(db.conn, "m0008_model_turns")


Step = Callable[["Database"], None]

STEPS: tuple[Step, ...] = (
    m0001_first,
    m0002_projects,
    m0003_uploads,
    m0004_fair,
    m0005_code_sessions,
    m0006_library,
    m0007_files_to_erase,
    m0008_model_turns,
)
"""All steps up to this version, oldest first."""


def history(steps: Iterable[Step] = STEPS) -> "Migrations":
    """The steps as sqlite-utils takes them."""
    from sqlite_utils.migrations import Migrations

    migrations = Migrations(HISTORY)
    for step in steps:
        migrations(name=step.__name__)(step)
    return migrations


def run_script(connection: sqlite3.Connection, name: str) -> None:
    """Execute `name`.sql inside the open transaction (sqlite3's own executescript would commit it)."""
    for statement in _statements((files(__name__) / f"{name}.sql").read_text("utf-8")):
        connection.execute(statement)


def migrate(connection: sqlite3.Connection, steps: Iterable[Step] = STEPS) -> list[str]:
    """Bring a database up to date; the caller sees to it that nobody else does so at the same time.

    Returns:
        Names of the steps applied now.

    Raises:
        StorageFault: the database was made by a newer version, or is none of ours; nothing was changed.
    """
    db = _database(connection)
    migrations = history(steps)
    refuse_foreign(connection, steps)
    pending = [step.name for step in migrations.pending(db)]
    if pending:
        with db.atomic():
            migrations.apply(db)
    return pending


def refuse_foreign(connection: sqlite3.Connection, steps: Iterable[Step] = STEPS) -> None:
    """Look whether a database is empty or one of ours that this version knows; changes nothing.

    Raises:
        StorageFault: it is neither.
    """
    db = _database(connection)
    applied = [step.name for step in history(steps).applied(db)]
    if not applied and db.table_names():
        raise StorageFault(
            "The database file belongs to another program: it has tables, but none of local-assistants. "
            "Name another data folder."
        )
    newer = sorted(set(applied) - {step.__name__ for step in steps})
    if newer:
        raise StorageFault(
            f"The database was made by a newer version of local-assistants (it has the schema step {newer[0]}, "
            "which this version does not know). Update local-assistants, or name another data folder."
        )


def due(connection: sqlite3.Connection) -> list[str]:
    """Names of the steps that a database of an earlier version lacks; an empty file lacks nothing that it had.

    Raises:
        StorageFault: it is another program's, or a newer version's.
    """
    refuse_foreign(connection)
    db, steps = _database(connection), history()
    return [step.name for step in steps.pending(db)] if steps.applied(db) else []


def must_be_current(connection: sqlite3.Connection) -> None:
    """Look whether a database has exactly the steps of this version; changes nothing.

    Raises:
        StorageFault: it is another program's or a newer version's, or has steps to come.
    """
    refuse_foreign(connection)
    pending = [step.name for step in history().pending(_database(connection))]
    if pending:
        raise StorageFault(
            f"The database was made by an older version of local-assistants (it lacks the schema step {pending[0]}). "
            "Start the server on it once, which brings it up to date, or use the version that made it."
        )


def _database(connection: sqlite3.Connection) -> "Database":
    from sqlite_utils.db import Database

    # No plugin of sqlite-utils that happens to be installed may touch our data.
    return Database(connection, execute_plugins=False)


def _statements(script: str) -> Iterator[str]:
    """The statements of a script; sqlite3 knows where one ends, also inside a trigger."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
