"""`local-assistants db check`: reads a whole data folder and says which invariants are broken, by whom.

It reads one snapshot of the database, beside a server that works on it or without one, row by row, and changes
nothing. What must hold stands in `engine.invariants`; each module here looks at a family of them. What a server may
have changed between the snapshot and a look at the disk is asked about again before it is told.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ...engine import invariants
from . import contents, database, journals, objects, queries, runs, words
from .look import Found, Look, OnProgress, snapshot
from .report import Report

__all__ = ["Found", "OnProgress", "Report", "check"]

Check = Callable[[Look], Iterator[Found]]

FAMILIES: tuple[tuple[str, Check], ...] = (
    ("the database", database.check),
    ("objects", objects.check),
    ("who lists what", queries.check(queries.OBJECTS)),
    ("runs", queries.check(queries.RUNS)),
    ("leases", runs.check),
    ("messages", queries.check(queries.MESSAGES)),
    ("journals", journals.check),
    ("files", contents.check),
    ("uploads and vector stores", queries.check(queries.STORES)),
    ("texts", queries.check(queries.TEXTS)),
    ("words", words.check),
)


def check(
    data: Path, on_progress: OnProgress = lambda what, done: None, *, read_files: bool = True
) -> Report:
    """Look at everything in a data folder.

    Args:
        data: the folder.
        on_progress: told now and then what is looked at, and how many rows are done.
        read_files: whether files are read whose digest is known; else only their sizes are looked at.

    Raises:
        StorageFault: it cannot be looked at: no database, or one of another version.
    """
    began, report = time.monotonic(), Report()
    with snapshot(data, on_progress, contents=read_files) as look:
        report.served = look.served
        database.must_know_schema(look)
        for stage, family in FAMILIES:
            look.stage = stage
            on_progress(stage, look.rows)
            report.add(_read(look, family))
        report.rows, report.files = look.rows, look.files
        report.bytes = look.bytes + look.database.stat().st_size
    report.seconds = time.monotonic() - began
    return report


def _read(look: Look, family: Check) -> Iterator[Found]:
    """What a family finds; where the database is too damaged to be read on, that is found."""
    try:
        yield from family(look)
    except sqlite3.DatabaseError as error:
        subject = look.database.name
        yield Found(invariants.DATABASE_INTACT, subject, f"{look.stage} cannot be read: {error}")
