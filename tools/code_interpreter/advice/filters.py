"""Which condition of a filter no row fulfils: what to say when code found nothing.

Measured: a 1.5B model invents conditions (`Fund == 0`, a date compared with text), gets 0, and answers 0. Told which
condition fits no row and what the column holds, it mends the filter.

Reads the model's code and makes a question for the kernel; the kernel's answer is untrusted text. Sees conditions of
the form table['column'] == value only.
"""

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_MOST = 5  # conditions that are looked at
_CHARS = 60  # of a column's name or a value
_SAMPLES = 4

_ASK = """
def _unmatched(wanted):
    import json
    tables = [v for k, v in list(globals().items()) if type(v).__name__ == "DataFrame" and k[:1] != "_"]
    tables.sort(key=len, reverse=True)
    found = []
    for column, value in wanted:
        table = next((t for t in tables if column in t.columns), None)
        if table is None or not len(table) or (table[column] == value).any():
            continue
        held = table[column].dropna().unique()[:4]
        found.append([column, value, "datetime" in str(table[column].dtype), [str(v)[:60] for v in held]])
    print(json.dumps(found))
_unmatched(%r)
del _unmatched
"""


@dataclass(frozen=True)
class Condition:
    """table[column] == value"""

    column: str
    value: str | int | float


def conditions(code: str) -> list[Condition]:
    """The conditions in some code; none when it is no Python."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return list(dict.fromkeys(_found(tree)))[:_MOST]


def question(wanted: list[Condition]) -> str:
    """Code that prints which of these no row of the largest table with that column fulfils."""
    return _ASK % [(condition.column, condition.value) for condition in wanted]


def hint(answer: str) -> str:
    """What to do, by the kernel's answer; "" when it says nothing."""
    try:
        rows: Any = json.loads(answer[:20_000])
        told = [_told(*row) for row in rows[:_MOST]]
    except (ValueError, TypeError):
        return ""
    if not told:
        return ""
    return f"Hint: {'; '.join(told)}. Leave that condition out or mend it, and run the whole code again."


def _found(tree: ast.AST) -> Iterator[Condition]:
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq)):
            continue
        left, right = node.left, node.comparators[0]
        if not (isinstance(left, ast.Subscript) and isinstance(left.slice, ast.Constant)):
            continue
        column, value = left.slice.value, right.value if isinstance(right, ast.Constant) else None
        if isinstance(column, str) and isinstance(value, str | int | float):
            yield Condition(column[:_CHARS], value[:_CHARS] if isinstance(value, str) else value)


def _told(column: object, value: object, is_date: object, held: list[object]) -> str:
    name = str(column)[:_CHARS]
    samples = ", ".join(str(each)[:_CHARS] for each in held[:_SAMPLES])
    if is_date:
        return f"no row has {name} == {value!r:.80}: it holds dates; compare .dt.year, .dt.month or pd.Timestamp"
    return f"no row has {name} == {value!r:.80}: it holds {samples}"
