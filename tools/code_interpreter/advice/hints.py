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
from dataclasses import dataclass
from typing import Any

from ..kernels.outputs import Failure
from ..sessions.files import printable
from .filters import Condition
from .prelude import ALIASES, TABLE

# Run in the kernel after an error: the tables at hand, those of the failing frames first, and the column in which the
# key stands that was not found. The answer is untrusted.
COLUMNS_CODE = """
def _columns():
    import json, sys
    found = []
    key = (getattr(getattr(sys, "last_value", None), "args", None) or [None])[0]
    number = int(key) if isinstance(key, str) and key.isdigit() and len(key) < 9 else key
    def holder(table):
        if isinstance(key, (str, int)):
            for c in list(table.columns)[:50]:
                kind = table[c].dtype.kind if table.columns.is_unique else ""
                if kind in "iu" and isinstance(number, int) and (table[c] == number).any():
                    return str(c)[:80]
                if kind == "O" and isinstance(key, str) and (table[c] == key).any():
                    return str(c)[:80]
        return ""
    names = {id(v): k for k, v in list(globals().items()) if type(v).__name__ == "DataFrame" and k[:1] != "_"}
    frame = getattr(sys, "last_traceback", None)
    tables = []
    while frame is not None:
        tables[:0] = [v for v in list(frame.tb_frame.f_locals.values()) if type(v).__name__ == "DataFrame"]
        frame = frame.tb_next
    tables += [v for v in list(globals().values()) if type(v).__name__ == "DataFrame"]
    for table in tables[:20]:
        columns = [str(c)[:80] for c in list(table.columns)[:200]]
        found.append([names.get(id(table), ""), columns, holder(table)])
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

_NOTHING = re.compile(
    r"(^|[\s:=])(0|0\.0+|nan|NaN|None|\[\])\W*\Z|^Empty DataFrame|^Series\(\[\]", re.MULTILINE
)
_GAP = re.compile(r"\bnan\b")
_SHORT = 200  # characters; in more than that a gap is one among values
DOUBT = (
    "Hint: the result is empty or 0. Look first how values are written: "
    "print(df[column].unique()[:10]); compare dates by .dt.year, .dt.month or pd.Timestamp."
)
_LARGE = re.compile(r"(?<![\w.,])(\d{6,15})(\.\d+)?(?![\w,])")
_FEW = 3
_NUMBERS = "make numbers of the text first: df[name] = pd.to_numeric(df[name].astype(str).str.replace(r'[^0-9.-]', '', regex=True), errors='coerce')"  # noqa: E501
# What "Name: message" of an error looks like, and what mends it; the first that fits is taken.
_ADVICE = (
    (
        r"\.dt accessor",
        "the column holds text; convert it first: df[name] = pd.to_datetime(df[name], format=...)",
    ),
    (r"\.str accessor", "the column holds no text; leave .str out"),
    (
        r"comparison between dtype=datetime|'datetime\S*' and",
        "compare dates with df[name].dt.year == 2010 or with pd.Timestamp('2010-01-31')",
    ),
    (r"not supported between instances of '(str|int|float)' and '(str|int|float)'", _NUMBERS),
    (r"could not convert string to float|Unable to parse string|not convert .* to num", _NUMBERS),
    (
        r"truth value of a (Series|DataFrame) is ambiguous|unsupported operand type\(s\) for &|cannot compare a dtyped",
        "join conditions by & and put each one in brackets: df[(df['a'] == 1) & (df['b'] == 2)]",
    ),
    (
        r"agg function failed|does not support (reduction|operation)",
        "choose the columns of numbers first, such as df[['a', 'b']], or use numeric_only=True",
    ),
    (
        r"^(SyntaxError|IndentationError|IncompleteInputError)",
        "send plain Python code only, complete and without explanations.",
    ),
    (
        r"^UnicodeDecodeError",
        "the file is not UTF-8; add encoding='cp1252', or 'utf-16' when it begins with 0xff or 0xfe",
    ),
    (r"^ParserError", "look at the file's first lines, then say sep=... and skiprows=..."),
    (
        r"^(gaierror|URLError|ConnectionError|HTTPError)",
        "there is no network here; work with the files in /mnt/data.",
    ),
)

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


@dataclass(frozen=True)
class Facts:
    """What is really there.

    Attributes:
        tables: those at hand in the kernel, the failing code's first.
        files: names in /mnt/data.
        packages: what is installed, as code imports it.
        loading: the lines that load the attached table, "" when there is none or more than one.
        conditions: those in the failing code.
        holders: columns that hold the key which was not found, of the tables at hand.
    """

    tables: Sequence[Table] = ()
    files: Sequence[str] = ()
    packages: Sequence[str] = ()
    loading: str = ""
    conditions: Sequence[Condition] = ()
    holders: Sequence[str] = ()


def hint(failure: Failure, facts: Facts) -> str:
    """What to do about `failure`, "" when nothing certain can be said."""
    name, message = failure.name, failure.message
    if name in ("KeyError", "UndefinedVariableError") or _OF_A_TABLE.search(message):
        return (
            _wide_hint(failure, facts)
            or _value_hint(failure, facts)
            or _column_hint(failure, facts.tables)
        )
    if name in ("FileNotFoundError", "NotADirectoryError"):
        return f"Hint: /mnt/data holds: {_list(facts.files)}. Use one of these names exactly."
    if name == "ModuleNotFoundError":
        return _module_hint(failure, facts.packages)
    if name == "NameError":
        return _name_hint(failure, facts.loading)
    if name in ("UnicodeDecodeError", "UnicodeError", "ParserError") and facts.loading:
        return f"Hint: load the file with exactly these lines:\n{facts.loading}"
    said = f"{name}: {message}"
    return next((f"Hint: {advice}" for pattern, advice in _ADVICE if re.search(pattern, said)), "")


def is_nothing(text: str) -> bool:
    """Whether what code printed ends in an empty result or a zero."""
    said = text.strip()
    return bool(_NOTHING.search(said[-_HINT_CHARS:]) or (len(said) < _SHORT and _GAP.search(said)))


def has_table(code: str, tables: Sequence[Table]) -> bool:
    """Whether some code is about a table: one at hand, or one that it reads."""
    words = set(re.findall(r"\w+", code))
    return "read_" in code or any(name in words for name, _ in tables if name)


def grouped(text: str) -> str:
    """The few large numbers of a short text, with separators: a small model loses its place in a row of digits."""
    found: dict[str, str] = {}
    for match in _LARGE.finditer(text) if len(text) <= _HINT_CHARS else ():
        found[match.group()] = f"{int(match.group(1)):,}{match.group(2) or ''}"
    if not 0 < len(found) <= _FEW:
        return ""
    return "(" + ", ".join(f"{number} is {read}" for number, read in found.items()) + ")"


def read_tables(text: str) -> list[Table]:
    """What COLUMNS_CODE printed; empty when it is anything else."""
    try:
        rows: Any = json.loads(text[:100_000])
        return [(str(name)[:60], [str(column) for column in columns]) for name, columns, _ in rows]
    except (ValueError, TypeError):
        return []


def read_holders(text: str) -> list[str]:
    """The columns that hold the missing key, by what COLUMNS_CODE printed; empty when it is anything else."""
    try:
        rows: Any = json.loads(text[:100_000])
        return list(dict.fromkeys(str(holder)[:80] for _, _, holder in rows if holder))
    except (ValueError, TypeError):
        return []


def _column_hint(failure: Failure, tables: Sequence[Table]) -> str:
    wanted = _wanted(failure)
    for name, columns in tables:
        if not wanted or wanted[0] in columns:
            continue
        by_look = {_look(column): column for column in columns}
        meant = by_look.get(_look(wanted[0]))
        variable = _variable(name)
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


def _wide_hint(failure: Failure, facts: Facts) -> str:
    """Of a table with a column for each year (or the like), for code that takes the years for values of one column."""
    wanted = _wanted(failure)
    longer = [line for line in facts.loading.splitlines() if ".melt(" in line]
    for name, columns in facts.tables:
        values = [each for each in columns if each.isdigit()]
        if (
            longer
            and wanted
            and wanted[0] in ("Year", "Value")
            and wanted[0] not in columns
            and values
        ):
            return f"Hint: the table has a column for each year. After loading it, write this line:\n{longer[0]}"
        for condition in facts.conditions:
            value = str(condition.value)
            if wanted == [condition.column] and value in columns and wanted[0] not in columns:
                others = [each for each in columns if each not in values][:_COLUMNS]
                return (
                    f"Hint: there is no column {wanted[0]!r}: {value!r} is a column of its own. Other columns: "
                    f"{printable(', '.join(map(repr, others)))}. Leave out conditions on {wanted[0]!r} and take the "
                    f"values from {_variable(name)}[{value!r}]"
                )
    return ""


def _value_hint(failure: Failure, facts: Facts) -> str:
    """For code that looks up by a value what has to be looked up by a condition."""
    try:
        key: object = ast.literal_eval(failure.message)
    except (ValueError, SyntaxError):
        return ""
    if not facts.holders or failure.name != "KeyError" or not isinstance(key, str | int):
        return ""
    if any(str(key) in columns for _, columns in facts.tables[:1]):
        return ""
    value = int(key) if isinstance(key, str) and key.isdigit() else key
    column = printable(facts.holders[0])
    return (
        f"Hint: {value!r} is a value of the column {column!r}. Put a condition in its place: "
        f"df[df[{column!r}] == {value!r}], or with a second condition: df[(df[{column!r}] == {value!r}) & (...)]"
    )


def _variable(name: str) -> str:
    return name if name.isidentifier() else "df"


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


def _name_hint(failure: Failure, loading: str) -> str:
    found = re.search(r"name '(\w+)'", failure.message)
    name = found.group(1) if found else ""
    if name in ALIASES:
        return f"Hint: send the whole code again and begin it with: {ALIASES[name]}"
    if name in (TABLE, "data") and loading:
        return f"Hint: {name} is not loaded yet. Send the whole code again, beginning with these lines:\n{loading}"
    return (
        "Hint: define it first; include imports and the lines that load the file in the same code."
    )


def _module_hint(failure: Failure, packages: Sequence[str]) -> str:
    missing = _MODULE.search(failure.message)
    name = missing.group(1) if missing else "that module"
    return f"Hint: {name} is not installed and cannot be. Installed: {', '.join(packages)}."


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(printable(name) for name in names[:_LISTED])
    rest = len(names) - _LISTED
    return (shown or "no files") + (f" and {rest} more" if rest > 0 else "")
