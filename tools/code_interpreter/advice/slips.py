"""Slips that show in the code alone: a year it speaks of and never looks for, a result it makes and never uses.

Measured: a 1.5B model writes "# in November 2008" above a filter for November, and looks up two values to print the
difference of the two years that they are of. It mends what it is given the line for; told only what is wrong, it sends
the same code again.

Pure: code in, names out. It does not know what the user asked, and says nothing about code that goes on from results
of earlier code, nor about titles of charts and names of files.
"""

import ast
import builtins
import io
import re
import tokenize
from collections.abc import Iterator

from .prelude import ALIASES, TABLE

_YEAR = re.compile(r"(?<!\d)(?:1[89]|20)\d\d(?!\d|s\b)")
_MOST = 3  # that are named
_KNOWN = frozenset(dir(builtins)) | frozenset(ALIASES) | {TABLE}


def years_left_out(code: str) -> list[str]:
    """Years in comments, printed words and names of results, when code that stands alone looks for none of them."""
    tree = _parsed(code)
    if tree is None or not _prints(tree):
        return []
    stored = {name for name, _ in _stored(tree)}
    free = _read(tree) - stored - _imported(tree)
    if not free <= _KNOWN:
        return []
    printed = list(_printed(tree))
    said = [*_comments(code), *(str(each.value) for each in printed), *stored]
    years = {year for text in said for year in _YEAR.findall(text)}
    words = {id(each) for each in printed}
    used = " ".join(
        str(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and id(node) not in words
    )
    return [] if any(year in used for year in years) else sorted(years)[:_MOST]


def unused(code: str) -> list[str]:
    """Results that code makes and, though it prints something, neither prints nor uses."""
    tree = _parsed(code)
    if tree is None or not _prints(tree):
        return []
    read = _read(tree)
    made = [name for name, plain in _stored(tree) if plain and name not in read and name[:1] != "_"]
    return list(dict.fromkeys(made))[:_MOST]


def untouched(code: str) -> tuple[str, str]:
    """A printed result that is made of written numbers alone: (its line, the line with results that were meant).

    The second is "" unless for each number there is one unused result whose name holds it. ("", "") for none.
    """
    tree, names = _parsed(code), unused(code)
    for statement in tree.body if tree is not None and names else ():
        if not isinstance(statement, ast.Assign) or not isinstance(statement.value, ast.BinOp):
            continue
        parts = list(ast.walk(statement.value))
        if any(
            isinstance(part, ast.Name | ast.Call | ast.Subscript | ast.Attribute) for part in parts
        ):
            continue
        mender = _Mender(names)
        before = ast.unparse(statement)
        after = ast.unparse(mender.visit(statement))
        return before, after if mender.all_found else ""
    return "", ""


class _Mender(ast.NodeTransformer):
    """Puts in the place of a number the one result that is named after it."""

    def __init__(self, names: list[str]) -> None:
        self._names = names
        self.all_found = True

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        fitting = [name for name in self._names if str(node.value) in name]
        if len(fitting) == 1:
            return ast.Name(fitting[0], ast.Load())
        self.all_found = False
        return node


def narrowed(code: str, condition: str) -> str:
    """The one line of code that filters a table, with one more condition; "" when there are none or more."""
    found: list[str] = []
    extra = ast.parse(condition, mode="eval").body
    for statement in getattr(_parsed(code), "body", ()):
        filters = [
            node
            for node in ast.walk(statement)
            if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Compare | ast.BinOp)
        ]
        if len(filters) == 1 and isinstance(statement, ast.Assign):
            filters[0].slice = ast.BinOp(filters[0].slice, ast.BitAnd(), extra)
        found += [ast.unparse(statement)] * len(filters)
    return found[0] if len(found) == 1 else ""


def by_condition(code: str, year: str) -> list[str]:
    """Lines like `gdp_1999 = df.loc[0, 'GDP']`, with the year of the name in the place of the row's number.

    `year` is what gives a table's years, such as "['Year']".
    """
    lines: list[str] = []
    for statement in getattr(_parsed(code), "body", ()):
        if not isinstance(statement, ast.Assign):
            continue
        name = ast.unparse(statement.targets[0])
        found, place = _YEAR.findall(name), _numbered(statement.value)
        if found and place is not None:
            table, column = map(ast.unparse, place)
            lines.append(f"{name} = {table}.loc[{table}{year} == {found[0]}, {column}].iloc[0]")
    return lines


def _numbered(node: ast.AST) -> tuple[ast.expr, ast.expr] | None:
    """Table and column of table.loc[0, column] and table[column].iloc[0]."""
    if not isinstance(node, ast.Subscript) or not isinstance(node.value, ast.Attribute):
        return None
    owner, at = node.value.value, node.slice
    if node.value.attr == "loc" and isinstance(at, ast.Tuple) and len(at.elts) == 2:
        row, column = at.elts
        return (
            (owner, column)
            if isinstance(row, ast.Constant) and isinstance(row.value, int)
            else None
        )
    if (
        node.value.attr == "iloc"
        and isinstance(owner, ast.Subscript)
        and isinstance(owner.slice, ast.Constant)
    ):
        return owner.value, owner.slice
    return None


def date_column(code: str) -> str:
    """A column whose .dt the code uses, "" for none."""
    for node in ast.walk(_parsed(code) or ast.Module([], [])):
        if isinstance(node, ast.Attribute) and node.attr == "dt":
            owner = node.value
            if isinstance(owner, ast.Subscript) and isinstance(owner.slice, ast.Constant):
                return str(owner.slice.value)
    return ""


def _parsed(code: str) -> ast.Module | None:
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _comments(code: str) -> Iterator[str]:
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type == tokenize.COMMENT:
                yield token.string
    except (tokenize.TokenError, SyntaxError):
        return


def _prints(tree: ast.AST) -> bool:
    return any(_is_print(node) for node in ast.walk(tree))


def _is_print(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    )


def _read(tree: ast.AST) -> set[str]:
    """Names that code uses."""
    return {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }


def _printed(tree: ast.AST) -> Iterator[ast.Constant]:
    """The words of all that is printed; what stands in an f-string's braces is code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _is_print(node):
            for argument in node.args:
                parts = argument.values if isinstance(argument, ast.JoinedStr) else [argument]
                yield from (part for part in parts if isinstance(part, ast.Constant))


def _stored(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """Names that code binds, and whether by a plain `name = ...` of its own."""
    plain = {
        id(statement.targets[0]) for statement in tree.body if isinstance(statement, ast.Assign)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id, id(node) in plain


def _imported(tree: ast.AST) -> set[str]:
    return {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
