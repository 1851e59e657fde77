"""Where code prints the number of a row as if it were a name: what stands in that row.

Measured: a 1.5B model prints `df['murder'].idxmax()` and tells its user that the state is 8. Shown the row, it tells
the name.

Reads the model's code and makes a question for the kernel; the kernel's answer is untrusted text.
"""

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_FINDERS = ("idxmax", "idxmin")
_MOST = 3  # numbers that are looked at
_CHARS = 300  # of a row that are shown

_ASK = """
def _rows(wanted):
    import json
    found = []
    for table, column, finder in wanted:
        here = globals().get(table)
        if type(here).__name__ != "DataFrame" or here.index.name is not None or here.index.dtype.kind != "i":
            continue
        number = getattr(here[column], finder)()
        row = {str(k)[:40]: str(v)[:60] for k, v in list(here.loc[number].items())[:20]}
        found.append([int(number), row])
    print(json.dumps(found))
_rows(WANTED)
del _rows
"""


@dataclass(frozen=True)
class Shown:
    """A row's number that code prints: table[column].idxmax()"""

    table: str
    column: str
    finder: str


def shown(code: str) -> list[Shown]:
    """The numbers that code prints, by themselves or by a variable; none when it is no Python."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    made = {
        node.targets[0].id: found
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        if (found := _finder(node.value)) is not None
    }
    printed = [made.get(each) if isinstance(each, str) else each for each in _printed(tree)]
    return list(dict.fromkeys(found for found in printed if found is not None))[:_MOST]


def question(wanted: list[Shown]) -> str:
    """Code that prints these rows."""
    return _ASK.replace("WANTED", repr([(each.table, each.column, each.finder) for each in wanted]))


def hint(answer: str) -> str:
    """What the numbers are, by the kernel's answer; "" when it says nothing."""
    try:
        rows: Any = json.loads(answer[:20_000])
        told = [
            f"{int(number)} is the number of a row: {str(dict(row))[:_CHARS]}"
            for number, row in rows
        ]
    except (ValueError, TypeError):
        return ""
    return f"Hint: {'; '.join(told[:_MOST])}" if told else ""


def _finder(node: ast.AST) -> Shown | None:
    """table['column'].idxmax(), if that is what this is."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return None
    column, finder = node.func.value, node.func.attr
    if finder not in _FINDERS or not isinstance(column, ast.Subscript):
        return None
    if not (isinstance(column.value, ast.Name) and isinstance(column.slice, ast.Constant)):
        return None
    name = column.slice.value
    return Shown(column.value.id, name, finder) if isinstance(name, str) else None


def _printed(tree: ast.AST) -> Iterator[str | Shown]:
    """Names and finders that are printed as they are, not used to look something up."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "print"
        ):
            for argument in node.args:
                parts = argument.values if isinstance(argument, ast.JoinedStr) else [argument]
                for part in parts:
                    value = part.value if isinstance(part, ast.FormattedValue) else part
                    found = value.id if isinstance(value, ast.Name) else _finder(value)
                    if found is not None:
                        yield found
