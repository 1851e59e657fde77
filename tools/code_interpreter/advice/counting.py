"""Rows counted where things were asked for, and the greatest of texts taken for the row of the greatest number.

Measured: a 1.5B model counts the 360 rows of Europe in a table of 12 years and says that Europe has 360 countries, and
calls `df['model'].max()` to find the model with the most seats.

Reads the model's code and makes questions for the kernel, in which expressions of the code that only look things up
(no calls) are looked at again; the kernel's answer is untrusted text.
"""

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_MOST = 3  # that are looked at
_CHARS = 300  # of an expression
_NAME = 60  # of a column's name
_EXTREMES = ("max", "min")
_LOOKING_UP = (
    ast.Name, ast.Subscript, ast.Compare, ast.BinOp, ast.UnaryOp, ast.Constant, ast.Attribute, ast.operator,
    ast.unaryop, ast.cmpop, ast.expr_context,
)  # fmt: skip

_ASK = r"""
def _look(counted, extremes, named):
    import json
    tables = [v for k, v in list(globals().items()) if type(v).__name__ == "DataFrame" and k[:1] != "_"]
    tables.sort(key=len, reverse=True)
    def text(values):
        held = values.dropna()
        return held.dtype.kind == "O" and len(held) > 0 and all(isinstance(v, str) for v in held[:50])
    def repeated(table):
        keys = [c for c in table.columns if table[c].dtype.kind in "iM"][:5]
        for thing in [c for c in table.columns if text(table[c])][:5]:
            times = table[thing].value_counts()
            if 1 < len(times) < len(table) and times.min() == times.max() > 1:
                for key in keys:
                    if not table.duplicated([thing, key]).any():
                        return [len(table), len(times), str(thing), str(key)]
    rows = []
    for source, owner in counted:
        table = eval(owner, globals())
        found = repeated(table) if type(table).__name__ == "DataFrame" and len(table) < 200000 else None
        if found:
            rows.append([source, owner, *found])
    words = []
    for source, owner, column, which in extremes:
        table = next((t for t in tables if column in t.columns), None)
        if table is not None and text(table[column]):
            if not table[column].dropna()[:1000].astype(str).str.match(r"\d{4}-\d\d").all():
                numbers = [c for c in named if c in table.columns and table[c].dtype.kind in "iuf"]
                words.append([source, owner, column, which, (numbers or [""])[0]])
    print(json.dumps([rows, words]))
_look(COUNTED, EXTREMES, NAMED)
del _look
"""


@dataclass(frozen=True)
class Looked:
    """What code counts and seeks, as it is written.

    Attributes:
        counted: len(table) or the like, and the table whose rows it counts.
        extremes: table['column'].max() and its parts: table, column, "max".
        named: all columns that the code names.
    """

    counted: tuple[tuple[str, str], ...] = ()
    extremes: tuple[tuple[str, str, str, str], ...] = ()
    named: tuple[str, ...] = ()


@dataclass(frozen=True)
class Findings:
    """What is to be said, "" for nothing.

    Attributes:
        rows: the rows that were counted hold fewer different things.
        meant: the same, where the code speaks of these things in the plural, so that they were to be counted.
        words: the greatest of texts was taken.
    """

    rows: str = ""
    meant: str = ""
    words: str = ""


def looked(code: str) -> Looked:
    """What some code counts and seeks; nothing when it is no Python."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Looked()
    columns = [node for node in ast.walk(tree) if isinstance(node, ast.Subscript)]
    named = (_column(node) for node in columns)
    return Looked(
        tuple(dict.fromkeys(_counted(tree)))[:_MOST],
        tuple(dict.fromkeys(_extremes(tree)))[:_MOST],
        tuple(dict.fromkeys(name for name in named if name)),
    )


def question(wanted: Looked) -> str:
    """Code that prints what there is to say of these."""
    asked = _ASK.replace("COUNTED", repr(wanted.counted))
    return asked.replace("EXTREMES", repr(wanted.extremes)).replace("NAMED", repr(wanted.named))


def findings(answer: str, code: str) -> Findings:
    """What to say of `code`, by the kernel's answer."""
    try:
        rows, words = json.loads(answer[:20_000])
        counted = [_read(*each) for each in rows[:_MOST]]
        taken = [_words(code, *(str(part)[:_CHARS] for part in each)) for each in words[:_MOST]]
    except (ValueError, TypeError):
        return Findings()
    meant = [each for each in counted if _plural(each.thing) in code.casefold()]
    return Findings(
        f"Check: {'; '.join(_told(each) for each in counted)}." if counted else "",
        f"Hint: {_told(meant[0])}. {_distinct(code, meant[0])}" if meant else "",
        " ".join(taken[:1]),
    )


@dataclass(frozen=True)
class _Rows:
    """Rows that were counted, and the column that holds fewer different things."""

    source: str
    table: str
    thing: str
    key: str
    count: int
    different: int


def _read(source: Any, table: Any, count: Any, different: Any, *names: Any) -> _Rows:
    thing, key = (str(name)[:_NAME] for name in names)
    return _Rows(str(source)[:_CHARS], str(table)[:_CHARS], thing, key, int(count), int(different))


def _told(rows: _Rows) -> str:
    return (
        f"{rows.count} is a number of rows, one for each {rows.thing!r} and {rows.key!r}; "
        f"there are {rows.different} different {rows.thing!r}"
    )


def _distinct(code: str, rows: _Rows) -> str:
    return _instead(code, rows.source, f"{rows.table}[{rows.thing!r}].nunique()")


def _plural(name: str) -> str:
    """Of the first word of a column's name: Country Name, countries."""
    word = next(iter(name.casefold().split()), "")
    return f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"


def _words(code: str, *parts: str) -> str:
    source, table, column, which, number = parts
    place = "last" if which == "max" else "first"
    instead = f"{table}.loc[{table}[{number or '...'!r}].idx{which}(), {column!r}]"
    return f"Hint: {column!r} is text, so {source} is the {place} by the alphabet. {_instead(code, source, instead)}"


def _instead(code: str, source: str, instead: str) -> str:
    """What to write in the place of `source`: the whole line, as a small model copies lines."""
    lines = [line for line in _statements(code) if source in line]
    shown = lines[0].replace(source, instead) if len(lines) == 1 else instead
    return f"Instead of that line write: {shown}"


def _statements(code: str) -> Iterator[str]:
    """The lines of code as Python itself would write them, one a statement."""
    for statement in ast.parse(code).body:
        line = ast.unparse(statement)
        if "\n" not in line and len(line) <= _CHARS:
            yield line


def _counted(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """len(table), table.shape[0] and table['column'].count(), each with its table."""
    for node in ast.walk(tree):
        table = _table_of(node)
        if table is not None and _only_looks_up(table):
            source, owner = ast.unparse(node), ast.unparse(table)
            if len(source) <= _CHARS:
                yield source, owner


def _table_of(node: ast.AST) -> ast.AST | None:
    """The table whose rows this counts, if it does."""
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Attribute):
        return node.value.value if node.value.attr == "shape" else None
    if not isinstance(node, ast.Call):
        return None
    if isinstance(node.func, ast.Name) and node.args:
        return node.args[0] if node.func.id == "len" else None
    if isinstance(node.func, ast.Attribute) and node.func.attr == "count":
        owner = node.func.value
        return owner.value if isinstance(owner, ast.Subscript) and _column(owner) else None
    return None


def _extremes(tree: ast.AST) -> Iterator[tuple[str, str, str, str]]:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in _EXTREMES
            and isinstance(node.func.value, ast.Subscript)
        ):
            column, table = _column(node.func.value), node.func.value.value
            source = ast.unparse(node)
            if column and _only_looks_up(table) and len(source) <= _CHARS:
                yield source, ast.unparse(table), column, node.func.attr


def _only_looks_up(node: ast.AST) -> bool:
    return all(isinstance(part, _LOOKING_UP) for part in ast.walk(node))


def _column(node: ast.Subscript) -> str:
    """The column that is looked up by its name, "" when it is none."""
    name = node.slice.value if isinstance(node.slice, ast.Constant) else None
    return name if isinstance(name, str) and len(name) <= _NAME else ""
