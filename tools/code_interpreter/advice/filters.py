"""Conditions of a filter that fit no row, or every row: what to say when code found nothing, or all.

Measured: a 1.5B model invents conditions (`Fund == 0`, a date compared with text, 0.8 where the table says 80), gets 0
or everything, and tells that. Told which condition it was and what the column holds, it mends the filter.

Reads the model's code and makes a question for the kernel; the kernel's answer is untrusted text. Sees comparisons of
table['column'] with a constant only.
"""

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_SIGNS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Lt: "<",
    ast.LtE: "<=",
}
_MOST = 5  # conditions that are looked at
_CHARS = 60  # of a column's name or a value

_ASK = """
def _fits(wanted):
    import difflib, json, operator
    signs = {"==": operator.eq, ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
    tables = [v for k, v in list(globals().items()) if type(v).__name__ == "DataFrame" and k[:1] != "_"]
    tables.sort(key=len, reverse=True)
    found = []
    for column, sign, value in wanted:
        table = next((t for t in tables if column in t.columns), None)
        if table is None or len(table) < 2:
            continue
        held = table[column].dropna()
        fits = int(signs[sign](held, value).sum())
        if fits not in (0, len(held)) or (sign == "==" and fits):
            continue
        if held.dtype.kind in "iuf":
            shown = ["%g to %g" % (held.min(), held.max())]
        else:
            near, values = str(value).lower(), [str(v) for v in held.unique()[:500]]
            like = lambda v: (near in v.lower(), difflib.SequenceMatcher(None, near, v.lower()).ratio())
            shown = sorted(values, key=like, reverse=True)[:4]
        found.append([column, sign, value, fits > 0, "datetime" in str(held.dtype), [v[:60] for v in shown]])
    print(json.dumps(found))
_fits(WANTED)
del _fits
"""


@dataclass(frozen=True)
class Condition:
    """table[column] == value, or another comparison."""

    column: str
    sign: str
    value: str | int | float


@dataclass(frozen=True)
class Findings:
    """What is wrong with conditions, as hints; "" for nothing."""

    no_row: str = ""
    every_row: str = ""


def conditions(code: str) -> list[Condition]:
    """The conditions in some code; none when it is no Python."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return list(dict.fromkeys(_found(tree)))[:_MOST]


def question(wanted: list[Condition]) -> str:
    """Code that prints which of these fit no row, or every row, of the largest table with that column."""
    triples = [(condition.column, condition.sign, condition.value) for condition in wanted]
    return _ASK.replace("WANTED", repr(triples))


def findings(answer: str) -> Findings:
    """What to say, by the kernel's answer."""
    none: list[str] = []
    every: list[str] = []
    try:
        rows: Any = json.loads(answer[:20_000])
        for column, sign, value, fits, is_date, held in rows[:_MOST]:
            condition = f"{str(column)[:_CHARS]} {str(sign)[:2]} {value!r:.80}"
            values = [str(each)[:_CHARS] for each in held[:4]]
            if fits:
                every.append(f"{condition} (it holds {', '.join(values)})")
            else:
                none.append(f"no row has {condition}: {_way_out(value, values, bool(is_date))}")
    except (ValueError, TypeError):
        return Findings()
    return Findings(
        f"Hint: {'; '.join(none)}." if none else "",
        f"Check: every row has {' and '.join(every)}. Was that meant?" if every else "",
    )


def _way_out(value: object, held: list[str], is_date: bool) -> str:
    """What to write instead: the one value that was meant, if there is one."""
    if is_date:
        return "it holds dates; compare .dt.year and .dt.month instead"
    meant = str(value).lower()
    same = [each for each in held if each.lower() == meant] or [
        each for each in held if isinstance(value, str) and meant in each.lower()
    ]
    if len(same) == 1:
        return f"replace {value!r} by {same[0]!r}"
    return f"it holds {', '.join(held)}; mend that condition or remove it"


def _found(tree: ast.AST) -> Iterator[Condition]:
    for node in ast.walk(tree):
        sign = _SIGNS.get(type(node.ops[0])) if isinstance(node, ast.Compare) else None
        if sign is None or not isinstance(node, ast.Compare):
            continue
        left, right = node.left, node.comparators[0]
        if not (isinstance(left, ast.Subscript) and isinstance(left.slice, ast.Constant)):
            continue
        column, value = left.slice.value, right.value if isinstance(right, ast.Constant) else None
        if isinstance(column, str) and isinstance(value, str | int | float):
            shown = value[:_CHARS] if isinstance(value, str) else value
            yield Condition(column[:_CHARS], sign, shown)
