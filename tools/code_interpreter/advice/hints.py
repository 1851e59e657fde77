"""What to write after an error, in one line that a small model can follow.

Measured: a 1.5B model repeats its mistake with the whole traceback in front of it, and mends it when it is told the
line to write. Pure text in, text out; the facts (columns, files, packages) are handed in. It never promises that the
hint is right, only that it is short and names what is really there.
"""

import ast
import difflib
import json
import re
from collections.abc import Sequence
from typing import Any

from ..kernels.outputs import Failure
from ..sessions.files import printable

# Run in the kernel after an error: the tables at hand, those of the failing frames first. The answer is untrusted.
COLUMNS_CODE = """
def _columns():
    import json, sys
    found = []
    names = {id(v): k for k, v in list(globals().items()) if type(v).__name__ == "DataFrame" and k[:1] != "_"}
    frame = getattr(sys, "last_traceback", None)
    tables = []
    while frame is not None:
        tables[:0] = [v for v in list(frame.tb_frame.f_locals.values()) if type(v).__name__ == "DataFrame"]
        frame = frame.tb_next
    tables += [v for v in list(globals().values()) if type(v).__name__ == "DataFrame"]
    for table in tables[:20]:
        found.append([names.get(id(table), ""), [str(c)[:80] for c in list(table.columns)[:200]]])
    print(json.dumps(found))
_columns()
del _columns
"""

_NEAREST = 5
_LISTED = 30
_COLUMNS = 15  # shown, the nearest first
_HINT_CHARS = 600
_ARROW = re.compile(r"^-+> \d+ (.*)$", re.MULTILINE)
_CELL = re.compile(r"^Cell In\[\d+\], line (\d+)|^  ?File .*<ipython.*line (\d+)", re.MULTILINE)
_MODULE = re.compile(r"No module named '([\w.]+)'")
_LISTED_KEYS = re.compile(r"not in index|are in the \[")
_OF_A_TABLE = re.compile(r"^'(DataFrame|DataFrameGroupBy)' object has no attribute")
_INVISIBLE = re.compile("[\u200b\u200c\u200d\u2060\ufeff\u00ad]")

Table = tuple[str, list[str]]
"""A table's variable name ("" when it has none) and its column names."""


def summary(failure: Failure) -> str:
    """The error in two lines: what it was, and the line of the model's own code that met it."""
    said = f"{failure.name}: {failure.message}".strip()
    cells = list(_CELL.finditer(failure.traceback))
    if not cells:
        return said
    arrow = _ARROW.search(failure.traceback, cells[-1].start())
    number = cells[-1].group(1) or cells[-1].group(2)
    return f"{said}\n(line {number}: {arrow.group(1).strip()})" if arrow else said


def hint(
    failure: Failure, *, tables: Sequence[Table], files: Sequence[str], packages: Sequence[str]
) -> str:
    """What to do about `failure`, "" when nothing certain can be said."""
    if failure.name in ("KeyError", "UndefinedVariableError") or _OF_A_TABLE.search(
        failure.message
    ):
        return _column_hint(failure, tables)
    if ".dt accessor" in failure.message:
        return "Hint: the column holds text; convert it first: df[name] = pd.to_datetime(df[name], format=...)"
    if failure.name in ("FileNotFoundError", "NotADirectoryError"):
        return f"Hint: /mnt/data holds: {_list(files)}. Use one of these names exactly."
    if failure.name == "ModuleNotFoundError":
        return _module_hint(failure, packages)
    if failure.name == "NameError":
        return "Hint: define it first; include imports and the lines that load the file in the same code."
    if failure.name in ("SyntaxError", "IndentationError", "IncompleteInputError"):
        return "Hint: send plain Python code only, complete and without explanations."
    if failure.name == "MemoryError":
        return "Hint: memory is limited; read only the columns you need, or the file in chunks."
    if failure.name in ("gaierror", "URLError", "ConnectionError", "HTTPError"):
        return "Hint: there is no network here; work with the files in /mnt/data."
    return ""


def read_tables(text: str) -> list[Table]:
    """What COLUMNS_CODE printed; empty when it is anything else."""
    try:
        rows: Any = json.loads(text[:100_000])
        return [(str(name)[:60], [str(column) for column in columns]) for name, columns in rows]
    except (ValueError, TypeError):
        return []


def _column_hint(failure: Failure, tables: Sequence[Table]) -> str:
    wanted = _wanted(failure)
    for name, columns in tables:
        if not wanted or wanted[0] in columns:
            continue
        by_look = {_look(column): column for column in columns}
        meant = by_look.get(_look(wanted[0]))
        variable = name if name.isidentifier() else "df"
        if meant is not None and meant.strip() != meant:
            return (
                f"Hint: the column is really named {meant!r}: names hold invisible spaces. After loading, write: "
                f"{variable}.columns = {variable}.columns.str.strip()"
            )
        if meant is not None and not _INVISIBLE.search(meant):
            return f"Hint: the column is named {meant!r}. Write it exactly so."
        near = difflib.get_close_matches(wanted[0], columns, _NEAREST, cutoff=0.5)
        shown = [*near, *(column for column in columns if column not in near)][:_COLUMNS]
        return f"Hint: there is no column {wanted[0]!r}. Columns of {variable}: " + printable(
            ", ".join(map(repr, shown)), _HINT_CHARS
        )
    return ""


def _wanted(failure: Failure) -> list[str]:
    """The name that the error's message is about, if it quotes one."""
    if failure.name == "KeyError":
        try:
            key: object = ast.literal_eval(failure.message)
        except (ValueError, SyntaxError):
            key = failure.message
        if isinstance(key, str) and not _LISTED_KEYS.search(key):
            return [key]
        return re.findall(r"'([^']+)'", str(key))[:1]
    return re.findall(r"'([^']+)'", failure.message)[-1:]


def _look(name: str) -> str:
    return "".join(_INVISIBLE.sub("", name).split()).casefold().replace("_", "")


def _module_hint(failure: Failure, packages: Sequence[str]) -> str:
    missing = _MODULE.search(failure.message)
    name = missing.group(1) if missing else "that module"
    return f"Hint: {name} is not installed and cannot be. Installed: {', '.join(packages)}."


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(printable(name) for name in names[:_LISTED])
    rest = len(names) - _LISTED
    return (shown or "no files") + (f" and {rest} more" if rest > 0 else "")
