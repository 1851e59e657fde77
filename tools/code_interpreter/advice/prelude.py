"""What code needs and does not bring: well-known imports, and the attached table under the name that its profile gives.

Measured: a 1.5B model that reads how a table is loaded often goes on as if that had been done, leaves `import pandas
as pd` away as often, and needs two more turns to mend both. So what is missing is run first, by the lines that the
model was shown; names that exist are never touched.

Pure: code in, code out. It does not know whether a name exists in the kernel, the code it makes asks.
"""

import ast
from collections.abc import Iterator

ALIASES = {
    "pd": "import pandas as pd",
    "np": "import numpy as np",
    "plt": "import matplotlib.pyplot as plt",
    "sns": "import seaborn as sns",
    "stats": "from scipy import stats",
    "datetime": "from datetime import datetime",
    "math": "import math",
    "re": "import re",
    "os": "import os",
    "json": "import json",
    "profile": "from table_profile import profile",
}
"""Names that code takes for granted, and what makes them."""

TABLE = "df"
"""The name that profiles give to a table."""


def missing(code: str, loading: str) -> list[tuple[str, str]]:
    """(name, lines that make it) for what `code` uses and neither makes nor imports.

    Args:
        code: the model's.
        loading: the lines that load the attached table, "" when there is none or more than one.
    """
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    made = set(_made(tree))
    used = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    known = ALIASES | ({TABLE: loading} if loading else {})
    return [(name, lines) for name, lines in known.items() if name in used - made]


def code_for(wanted: list[tuple[str, str]]) -> str:
    """Code that makes those of these names that do not exist, and prints them; it is quiet about its own failures."""
    return "\n".join(_PIECE.format(name=name, lines=_indented(lines)) for name, lines in wanted)


_PIECE = """
try:
    {name}
except NameError:
    try:
{lines}
        print({name!r})
    except Exception:
        pass
"""


def _indented(lines: str) -> str:
    return "\n".join(" " * 8 + line for line in lines.splitlines())


def _made(tree: ast.AST) -> Iterator[str]:
    """Names that code binds itself, wherever."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
