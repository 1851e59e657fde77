"""Records of a dump as lines of JSON and back; the way back treats every line as hostile.

An object's JSON stands in its line as an object where that brings back the very same text, else as a string. So the
line can be read by other programs, and the text that is stored again is the one that was stored.
"""

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from ...engine.errors import InvalidRequest
from ...engine.requests.base import as_object
from .. import rows
from .kinds import JSON_COLUMNS, Row

FORMAT = "local-assistants.dump"
VERSION = 1
OBJECTS = "objects.jsonl"
BLOBS = "blobs"

LONGEST = 256 << 20
"""Bytes of a line; the largest object that a client can make is far smaller."""

_PLAINLY = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK  # no link, and a pipe does not hold us up

_NOT_JSON = re.compile(r"\b(NaN|Infinity)\b")  # also in a string: then it is only less pretty


@dataclass
class Tally:
    """What went by: the digest of all lines, and how many records there were of each type."""

    digest: Any = field(default_factory=hashlib.sha256)
    counts: dict[str, int] = field(default_factory=dict[str, int])

    def see(self, line: bytes, kind: str) -> None:
        """Take a line into account."""
        self.digest.update(line)
        self.counts[kind] = self.counts.get(kind, 0) + 1

    def end(self) -> dict[str, Any]:
        """The last record."""
        return {"type": "end", "counts": self.counts, "sha256": self.digest.hexdigest()}


def line_of(record: dict[str, Any]) -> bytes:
    """A record as a line."""
    return rows.encode(record).encode() + b"\n"


def opened(row: Row) -> Row:
    """The row with JSON text as objects where that loses nothing."""
    return {
        name: _open(value) if name in JSON_COLUMNS and isinstance(value, str) else value
        for name, value in row.items()
    }


def closed(row: Row) -> Row:
    """The row that `opened` was given."""
    return {
        name: rows.encode(value) if name in JSON_COLUMNS and isinstance(value, dict) else value
        for name, value in row.items()
    }


def _open(text: str) -> Any:
    if not _NOT_JSON.search(text):
        with suppress(ValueError, RecursionError):
            value = as_object(json.loads(text))
            if value is not None and rows.encode(value) == text:
                return value
    return text


class Reader:
    """Reads the lines of a dump in one pass, and says at the end whether it was whole.

    Raises:
        InvalidRequest: when iterated: a line is no record, or the end does not fit; the message says which line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._number = 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        tally = Tally()
        try:
            with os.fdopen(os.open(self._path, _PLAINLY), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise InvalidRequest(f"{self._path} is no plain file. Name the dump's folder.")
                yield from self._records(file, tally)
        except OSError as error:
            raise InvalidRequest(f"The dump cannot be read: {error.strerror or error}.") from error

    def refused(self, why: str) -> InvalidRequest:
        """The error for the line read last."""
        return InvalidRequest(
            f"Line {self._number} of {self._path.name}: {why}. Nothing was changed. Make the dump again, or name one "
            "that is whole."
        )

    def _records(self, file: BinaryIO, tally: Tally) -> Iterator[dict[str, Any]]:
        ended = False
        while line := file.readline(LONGEST + 1):
            self._number += 1
            if ended:
                raise self.refused("it follows the end")
            record = self._parsed(line)
            ended = record["type"] == "end"
            if ended:
                self._compare(record, tally)
            else:
                tally.see(line, record["type"])
                yield record
        if not ended:
            raise self.refused("the dump has no end; it was cut off")

    def _parsed(self, line: bytes) -> dict[str, Any]:
        if len(line) > LONGEST:
            raise self.refused("it is too long")
        try:
            record = as_object(json.loads(line))
        except (ValueError, RecursionError) as error:
            raise self.refused("it is not JSON") from error
        if record is None or not isinstance(record.get("type"), str):
            raise self.refused("it is no record")
        return dict(record)

    def _compare(self, end: dict[str, Any], tally: Tally) -> None:
        expected = tally.end()
        if end.get("counts") != expected["counts"]:
            raise self.refused("the records are not as many as the end says")
        if end.get("sha256", expected["sha256"]) != expected["sha256"]:
            raise self.refused("the dump was changed after it was made")
