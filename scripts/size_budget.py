"""Keeps code small enough to read: fails when a module, a function or a signature grows past its budget.

Counts physical lines of modules, and code lines (no docstring, comment or blank) of functions. Tests,
benchmarks and examples have to keep the modules' budget only.
"""

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOMS = ("engine", "backends", "tools", "storage", "server", "src/local_assistants")
BESIDE = ("tests", "benchmarks", "examples")  # only their modules' length is limited
MODULE_LINES = 500
FUNCTION_LINES = 50
FUNCTION_LINES_P90 = 22
POSITIONAL_PARAMETERS = 5


@dataclass(frozen=True)
class Function:
    """One function: where it is, how many code lines its body has, how many positional parameters."""

    where: str
    lines: int
    parameters: int


def main() -> int:
    """Print every excess and the overall figures; 1 when there is an excess."""
    root = Path(__file__).resolve().parents[1]
    modules, beside = list(_modules(root, ROOMS)), list(_modules(root, BESIDE))
    functions = [function for module in modules for function in _functions(root, module)]
    excesses = [*_too_long(root, [*modules, *beside]), *_too_big(functions)]
    lengths = sorted(function.lines for function in functions)
    p90 = lengths[int(len(lengths) * 0.9)] if lengths else 0
    if p90 > FUNCTION_LINES_P90:
        excesses.append(
            f"nine of ten functions have up to {p90} lines, budget {FUNCTION_LINES_P90}"
        )
    print(
        f"{len(modules)} modules, {len(functions)} functions, p90 {p90}, longest {lengths[-1:] or 0}; "
        f"{len(beside)} modules beside them"
    )
    print("\n".join(excesses) or "all within their budget")
    return 1 if excesses else 0


def _modules(root: Path, folders: Iterable[str]) -> Iterator[Path]:
    for folder in folders:
        # src/local_assistants links to the rooms; glob does not follow links, but be explicit about it.
        yield from (
            path for path in sorted((root / folder).rglob("*.py")) if not _through_link(root, path)
        )


def _through_link(root: Path, path: Path) -> bool:
    return any(parent.is_symlink() for parent in path.parents if parent.is_relative_to(root))


def _too_long(root: Path, modules: list[Path]) -> Iterator[str]:
    for module in modules:
        lines = len(module.read_text(encoding="utf-8").splitlines())
        if lines > MODULE_LINES:
            yield f"{module.relative_to(root)}: {lines} lines, budget {MODULE_LINES}"


def _too_big(functions: list[Function]) -> Iterator[str]:
    for function in functions:
        if function.lines > FUNCTION_LINES:
            yield f"{function.where}: {function.lines} lines of code, budget {FUNCTION_LINES}"
        if function.parameters > POSITIONAL_PARAMETERS:
            budget = f"budget {POSITIONAL_PARAMETERS}; make the others keyword-only"
            yield f"{function.where}: {function.parameters} positional parameters, {budget}"


def _functions(root: Path, module: Path) -> Iterator[Function]:
    source = module.read_text(encoding="utf-8")
    code = {number for number, line in enumerate(source.splitlines(), 1) if _is_code(line)}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            where = f"{module.relative_to(root)}:{node.lineno} {node.name}"
            yield Function(where, _code_lines(node, code), _positional(node))


def _is_code(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef, code: set[int]) -> int:
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return sum(
        number in code
        for each in body
        for number in range(each.lineno, (each.end_lineno or each.lineno) + 1)
    )


def _positional(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
    return len(names) - (1 if names[:1] in (["self"], ["cls"]) else 0)


if __name__ == "__main__":
    sys.exit(main())
