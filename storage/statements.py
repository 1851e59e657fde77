"""The statements of queries.sql, and of other files of that form, by name.

A statement is a line `-- name: NAME`, comment lines that say why, and one SQL statement. Parameters are named
(`:thread_id`). Nothing here checks SQL: a test prepares every statement against the schema.
"""

import re
from functools import cache
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


@cache
def named() -> dict[str, str]:
    """Name to SQL text, comments left out."""
    return read(__name__.rpartition(".")[0], "queries.sql")


@cache
def read(package: str, file: str) -> dict[str, str]:
    """The same of a file in a package."""
    parts = _NAME.split((files(package) / file).read_text("utf-8"))
    return {
        name: _without_comments(text) for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def _without_comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith("--")).strip()
