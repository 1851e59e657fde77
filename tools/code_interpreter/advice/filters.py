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
_LINE = 200  # characters of a line that is shown

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
    """What is wrong with conditions, as hints; "" for nothing.

    Attributes:
        no_row: a condition that no row fulfils.
        every_row: one that every row fulfils, which may be meant.
        share: one that every row fulfils because 0.8 was compared with percentages.
    """

    no_row: str = ""
    every_row: str = ""
    share: str = ""


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


def findings(answer: str, code: str = "") -> Findings:
    """What to say of the conditions of `code`, by the kernel's answer."""
    none: list[str] = []
    every: list[str] = []
    shares: list[str] = []
    try:
        rows: Any = json.loads(answer[:20_000])
        for column, sign, value, fits, is_date, held in rows[:_MOST]:
            found = Condition(str(column)[:_CHARS], str(sign)[:2], value)
            values = [str(each)[:_CHARS] for each in held[:4]]
            if fits:
                every.append(f"{_said(found)} (it holds {', '.join(values)})")
                shares += _meant_percent(found, values)
            else:
                way_out = _way_out(value, values, bool(is_date)) or _without(found, values, code)
                none.append(f"no row has {_said(found)}: {way_out}")
    except (ValueError, TypeError):
        return Findings()
    return Findings(
        f"Hint: {'; '.join(none)}." if none else "",
        f"Check: every row has {' and '.join(every)}. Was that meant?" if every else "",
        f"Hint: {'; '.join(shares)}." if shares else "",
    )


def _said(condition: Condition) -> str:
    return f"{condition.column} {condition.sign} {condition.value!r:.80}"


def _meant_percent(condition: Condition, held: list[str]) -> list[str]:
    """A share where the column holds percentages: what to write."""
    value = condition.value
    low, _, high = held[0].partition(" to ") if held else ("", "", "")
    if not isinstance(value, float) or not 0 < value < 1 or not 0 <= float(low) < float(high):
        return []
    if not 10 < float(high) <= 100:
        return []
    return [
        f"every row has {_said(condition)}, as {condition.column!r} goes from {low} to {high}; "
        f"write {100 * value:g} instead of {value!r}"
    ]


def _without(condition: Condition, held: list[str], code: str) -> str:
    """To leave the condition out, with the line that does."""
    lines = [line for line in _lines_without(condition, code) if len(line) <= _LINE]
    line = f", so leave it out and write: {lines[0]}" if len(lines) == 1 else ""
    return f"it holds {', '.join(held)}{line or '; mend that condition or remove it'}"


def _lines_without(condition: Condition, code: str) -> Iterator[str]:
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for statement in tree.body:
        remover = _Remover(condition)
        mended = remover.visit(statement)
        if remover.removed:
            yield ast.unparse(ast.fix_missing_locations(mended))


class _Remover(ast.NodeTransformer):
    """Takes a condition out of those that are joined by &."""

    def __init__(self, condition: Condition) -> None:
        self._condition = condition
        self.removed = False

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        if isinstance(node.op, ast.BitAnd):
            for one, other in ((node.left, node.right), (node.right, node.left)):
                if _condition(one) == self._condition:
                    self.removed = True
                    return self.visit(other) if isinstance(other, ast.BinOp) else other
        return self.generic_visit(node)


def _way_out(value: object, held: list[str], is_date: bool) -> str:
    """What to write instead: the one value that was meant, "" when there is none."""
    if is_date:
        return "it holds dates; compare .dt.year and .dt.month instead"
    meant = str(value).lower()
    same = [each for each in held if each.lower() == meant] or [
        each for each in held if isinstance(value, str) and meant in each.lower()
    ]
    if len(same) == 1:
        return f"replace {value!r} by {same[0]!r}"
    return ""


def _found(tree: ast.AST) -> Iterator[Condition]:
    for node in ast.walk(tree):
        condition = _condition(node)
        if condition is not None:
            yield condition


def _condition(node: ast.AST) -> Condition | None:
    """The condition that this is, if it is one."""
    sign = _SIGNS.get(type(node.ops[0])) if isinstance(node, ast.Compare) else None
    if sign is None or not isinstance(node, ast.Compare):
        return None
    left, right = node.left, node.comparators[0]
    if not (isinstance(left, ast.Subscript) and isinstance(left.slice, ast.Constant)):
        return None
    column, value = left.slice.value, _constant(right)
    if isinstance(column, str) and isinstance(value, str | int | float):
        shown = value[:_CHARS] if isinstance(value, str) else value
        return Condition(column[:_CHARS], sign, shown)
    return None


def _constant(node: ast.AST) -> object:
    """A value that is written out, such as 'GA' or -1."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _constant(node.operand)
        return -value if isinstance(value, int | float) else None
    return node.value if isinstance(node, ast.Constant) else None
