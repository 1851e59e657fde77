"""What a dump holds of a store: the kinds of records, in the order in which they can be put back.

A kind is a table: all its columns travel but those that only say where a row lies. What triggers make by themselves
(word indexes, who lists a file, attributes), what is to be erased, and who holds a lease do not travel.

What it does not know: what the records mean, and where they are written to.
"""

import base64
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]

JSON_COLUMNS = frozenset({"body", "data", "evidence"})
"""They hold JSON as text."""

VECTOR = "vector"
"""Of a chunk: its vector, in base64; beside the table's own columns."""

_LIVING = "EXISTS (SELECT 1 FROM text_stores AS s WHERE s.number = t.seq >> 32 AND s.vector_store_id IS NOT NULL)"


@dataclass(frozen=True)
class Kind:
    """A kind of records.

    Attributes:
        name: its table, and the `type` of its records.
        root: the table of what its rows stand and fall with: a thread with its messages, runs and events.
        owner: SQL for the id of that object, of the row `t`.
        within: SQL for the rows of the root object :root.
        source: the table or view that it is read from, when that is not its own.
        where: which rows are alive.
        order: SQL for the order of the rows, which a list may be in.
        places: columns that do not travel: where a row lies, who holds it.
        named: whether its rows have ids; one without is a line in a ledger, which may be there already.
    """

    name: str
    root: str
    owner: str = "t.id"
    within: str = "t.id = :root"
    source: str = ""
    where: str = "TRUE"
    order: str = "t.seq"
    places: frozenset[str] = frozenset({"seq"})
    named: bool = True

    def columns(self, connection: sqlite3.Connection) -> list[str]:
        """The columns that travel, as far as this schema has them."""
        found = connection.execute("SELECT name FROM pragma_table_info(?)", (self.name,))
        return [name for (name,) in found if name not in self.places]


def _child(name: str, root: str, column: str, **more: Any) -> Kind:
    return Kind(name, root, f"t.{column}", f"t.{column} = :root", **more)


def _text(name: str, source: str = "") -> Kind:
    return _child(name, "vector_stores", "vector_store_id", source=source, where=_LIVING)


_OF_BATCH = "(SELECT vector_store_id FROM file_batches WHERE id = t.batch_id)"
_OF_RUN = "(SELECT thread_id FROM runs WHERE id = t.run_id)"

KINDS: tuple[Kind, ...] = (
    Kind("assistants", "assistants"),
    Kind("files", "files"),
    Kind("uploads", "uploads"),
    _child("upload_parts", "uploads", "upload_id"),
    Kind("vector_stores", "vector_stores"),
    _child("vector_store_files", "vector_stores", "vector_store_id"),
    _child("file_batches", "vector_stores", "vector_store_id"),
    Kind(
        "batch_files",
        "vector_stores",
        _OF_BATCH,
        "t.batch_id IN (SELECT id FROM file_batches WHERE vector_store_id = :root)",
        order="t.batch_id, t.store_file",
    ),
    _child(
        "text_stores",
        "vector_stores",
        "vector_store_id",
        where="t.vector_store_id IS NOT NULL",
        order="t.number",
        places=frozenset({"number", "chunks", "extracts", "vectors"}),
    ),
    _text("extracts"),
    _text("chunks", "live_chunks"),
    _child("storage_periods", "vector_stores", "vector_store_id", named=False),
    Kind("threads", "threads"),
    _child(
        "runs",
        "threads",
        "thread_id",
        places=frozenset({"seq", "lease_owner", "lease_until", "project"}),  # its thread's
    ),
    _child("messages", "threads", "thread_id"),
    _child("run_steps", "threads", "thread_id"),
    Kind(
        "run_events",
        "threads",
        _OF_RUN,
        "t.run_id IN (SELECT id FROM runs WHERE thread_id = :root)",
        order="t.id",
        places=frozenset({"id"}),
    ),
    Kind(
        "model_turns",
        "threads",
        _OF_RUN,
        "t.run_id IN (SELECT id FROM runs WHERE thread_id = :root)",
        order="(SELECT seq FROM runs WHERE id = t.run_id), t.number",
        places=frozenset(),
    ),
    _child("transcript", "threads", "thread_id"),
    _child("code_sessions", "threads", "thread_id", named=False),
    Kind("api_keys", "api_keys"),
)
"""All kinds; what refers to something comes after it."""

BY_NAME: Mapping[str, Kind] = {kind.name: kind for kind in KINDS}

ROOTS: tuple[str, ...] = tuple(kind.name for kind in KINDS if kind.name == kind.root)
"""The tables of what stands by itself."""

WITH_BYTES = frozenset({"files", "upload_parts"})
"""Kinds whose rows have bytes under their ids."""

TEXTS = frozenset({"text_stores", "extracts", "chunks"})
"""What indexing makes of files; it can be made anew."""

REMADE = frozenset(
    {"chunk_vectors", "listed_files", "file_attributes", "files_to_erase", "words_to_erase"}
)
"""Tables that are no kind: triggers fill them, chunks carry them, or they name what is to be erased."""


def rows_of(connection: sqlite3.Connection, kind: Kind, root: str | None = None) -> Iterator[Row]:
    """The rows of a kind in order, or those of one root object; read as they are taken."""
    names = kind.columns(connection)
    wanted = [f't."{name}"' for name in names]
    if kind.name == "chunks":
        names = [*names, VECTOR]
        wanted.append("(SELECT v.vector FROM chunk_vectors AS v WHERE v.chunk = t.seq)")
    within = "" if root is None else f" AND {kind.within}"
    sql = (
        f"SELECT {', '.join(wanted)} FROM {kind.source or kind.name} AS t "
        f"WHERE {kind.where}{within} ORDER BY {kind.order}"
    )
    for values in connection.execute(sql, {"root": root}):
        row = dict(zip(names, values, strict=True))
        if row.get(VECTOR) is not None:
            row[VECTOR] = base64.b64encode(row[VECTOR]).decode()
        yield row


def owned_rows(connection: sqlite3.Connection, kind: Kind) -> Iterator[tuple[str, Row]]:
    """The rows of a kind in order, each with the id of its root object."""
    owners = connection.execute(
        f"SELECT {kind.owner} FROM {kind.source or kind.name} AS t WHERE {kind.where} ORDER BY {kind.order}"
    )
    for (owner,), row in zip(owners, rows_of(connection, kind), strict=True):
        yield str(owner), row
