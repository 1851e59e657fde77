"""Records into a database: what a dump says becomes rows, whoever wrote the dump.

Ids and names are looked at here, since parts of the product make paths of them; everything else that must hold is
left to the database's own constraints and, once all is in, to the checks of `storage.checking`.

What it does not know: which records are wanted, and whether the transaction is kept.
"""

import base64
import binascii
import os
import re
import shutil
import sqlite3
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...engine.errors import InvalidRequest
from .. import blobs, seals
from .kinds import BY_NAME, VECTOR, Kind, Row
from .lines import closed

_PART = r"[A-Za-z0-9][A-Za-z0-9_-]{0,199}"
_ID = re.compile(rf"{_PART}(/{_PART}){{0,2}}")
_PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NUMBERED = frozenset({"extracts", "chunks"})  # their rows lie in ranges of their vector stores

_OF_THE_ROW = frozenset({0, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH})
"""Error codes that the row has brought about; 0: Python's own, before SQLite saw it."""


class Unfit(InvalidRequest):
    """A record does not fit; the message says why, in words that continue 'Line 7: '."""


class Loader:
    """Puts rows into a database that is in a transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._columns = {name: frozenset(BY_NAME[name].columns(connection)) for name in BY_NAME}
        self._next: dict[tuple[str, str], int] = {}

    def put(self, kind: Kind, row: Row) -> bool:
        """Insert a row; False for a line of a ledger that is there already, which is left alone.

        Raises:
            Unfit: it is no row of this kind, or something of its id is there already.
        """
        self._must_be_known(kind, row)
        values = {name: value for name, value in closed(row).items() if name != VECTOR}
        try:
            if not kind.named and self._is_there(kind, values):
                return False
            self._insert(kind, values, row.get(VECTOR))
        except sqlite3.IntegrityError as error:
            raise Unfit(_said(kind, row, error)) from error
        except (sqlite3.Error, ValueError, OverflowError) as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _OF_THE_ROW:
                raise  # the disk or the database
            raise Unfit(f"it is no row of {kind.name} ({error})") from error
        return True

    def _must_be_known(self, kind: Kind, row: Row) -> None:
        for name, value in row.items():
            if name == VECTOR and kind.name == "chunks":
                continue
            if name not in self._columns[kind.name]:
                raise Unfit(f"{kind.name} have no {name[:80]!r}")
            if isinstance(value, str) and not _may_be(name, value):
                raise Unfit(f"{value[:80]!r} is no {name}")

    def _is_there(self, kind: Kind, values: Row) -> bool:
        same = " AND ".join(f'"{name}" IS :{name}' for name in values) or "FALSE"
        found = self._connection.execute(f"SELECT 1 FROM {kind.name} WHERE {same}", values)
        return found.fetchone() is not None

    def _insert(self, kind: Kind, values: Row, vector: Any) -> None:
        if kind.name in _NUMBERED:
            values = {**values, "seq": self._place(kind, values.get("vector_store_id"))}
        names = ", ".join(f'"{name}"' for name in values)
        places = ", ".join(f":{name}" for name in values)
        self._connection.execute(f"INSERT INTO {kind.name} ({names}) VALUES ({places})", values)
        if vector is not None:
            self._connection.execute(
                "INSERT INTO chunk_vectors (chunk, vector) VALUES (?, ?)",
                (values["seq"], _vector(vector)),
            )

    def _place(self, kind: Kind, store: Any) -> int:
        """The next row in the range of a vector store."""
        key = (kind.name, str(store))
        if key not in self._next:
            found = self._connection.execute(
                "SELECT number FROM text_stores WHERE vector_store_id = ?", (store,)
            ).fetchone()
            if found is None:
                raise Unfit(f"its vector store has no texts: {str(store)[:80]!r}")
            self._next[key] = (int(found[0]) << 32) + 1
        place = self._next[key]
        self._next[key] = place + 1
        return place


def _may_be(name: str, value: str) -> bool:
    if name == "id" or name == "owner" or name.endswith("_id") or name == "store_file":
        return _ID.fullmatch(value) is not None
    return _PROJECT.fullmatch(value) is not None if name == "project" else "\0" not in value


def _vector(given: Any) -> bytes:
    try:
        return base64.b64decode(given, validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise Unfit("its vector is not base64") from error


def _said(kind: Kind, row: Row, error: sqlite3.IntegrityError) -> str:
    name = error.sqlite_errorname
    key = str(row.get("id", "a row"))[:200]
    if name in ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"):
        return f"{key} of {kind.name} is there already, or another that excludes it"
    if name == "SQLITE_CONSTRAINT_FOREIGNKEY":
        return f"what {key} of {kind.name} belongs to is not there"
    return f"it is no row of {kind.name} ({error})"


def take_bytes(folder: int, record: Mapping[str, Any], root: Path) -> None:
    """Copy the bytes of a record into the blobs at `root`, and compare them with the record's digest.

    Args:
        folder: an open handle on the dump's folder of bytes; nothing may lead out of it.
        record: of a file or of a part of an upload; its row is in the database.
        root: of blobs that nobody else uses.

    Raises:
        Unfit: they are not there, are no plain file, or are others.
    """
    key, expected = str(record["row"]["id"]), record.get("sha256")
    if not _may_be("id", key) or "/" in key:
        raise Unfit(f"{key[:80]!r} is no id")
    place = blobs.place_of(root, key)
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(key, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError as error:
        raise Unfit(f"the bytes of {key} cannot be read ({error.strerror})") from error
    with os.fdopen(handle, "rb") as source:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise Unfit(f"the bytes of {key} are no plain file")
        with place.open("wb") as copy:
            shutil.copyfileobj(source, copy)
    if seals.digest(place) != expected:
        raise Unfit(f"the bytes of {key} are not those that were dumped")
    seals.put(place, str(expected))
