"""Dumps of a data folder for tests: read, changed, and written again with a right end."""

import json
from pathlib import Path
from typing import Any

from local_assistants.engine.objects import ApiKey
from local_assistants.storage.exporting.lines import Tally, line_of
from local_assistants.storage.sqlite import SQLiteStore

Lines = list[dict[str, Any]]


def tree(folder: Path) -> dict[str, bytes]:
    """All bytes below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def lines_of(dump: Path) -> Lines:
    """The records of a dump."""
    return [json.loads(line) for line in (dump / "objects.jsonl").read_bytes().splitlines()]


def write(dump: Path, lines: Lines) -> None:
    """Records with a right end: what their author would make."""
    tally = Tally()
    with (dump / "objects.jsonl").open("wb") as file:
        for record in lines:
            if record["type"] != "end":
                line = line_of(record)
                tally.see(line, record["type"])
                file.write(line)
        file.write(line_of(tally.end()))


def first(lines: Lines, kind: str) -> dict[str, Any]:
    """The first record of a type."""
    return next(record for record in lines if record["type"] == kind)


async def add_key(folder: Path) -> None:
    """As an operator does."""
    store = SQLiteStore.open(folder / "store.db")
    key = ApiKey(id="key_1", created_at=1, project="other", ending="abcd", digest="0" * 64)
    await store.write(lambda tx: tx.put(key))
    await store.close()
