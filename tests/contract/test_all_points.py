"""Each of the contract's 54 points (section 8) and 25 choices (section 9) has a test that bears its number."""

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent


def names() -> list[str]:
    """The names of all tests of the contract."""
    trees = [ast.parse(path.read_text("utf-8")) for path in HERE.rglob("test_*.py")]
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [
        node.name
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, kinds) and node.name.startswith("test_")
    ]


def numbers(prefix: str) -> set[int]:
    """Those that follow `prefix` in the name of a test; one test may bear several."""
    found: set[int] = set()
    for name in names():
        bears = re.match(rf"test_{prefix}((?:_?\d+)+)(?:_|$)", name)
        if bears:
            found |= {int(number) for number in bears[1].split("_") if number}
    return found


def test_every_point_has_a_test() -> None:
    """A point without one is named here."""
    assert set() == set(range(1, 55)) - numbers("points?_")
    assert numbers("points?_") <= set(range(1, 55))


def test_every_choice_has_a_test() -> None:
    """A choice without one is named here."""
    assert set() == set(range(1, 26)) - numbers("choices?_a")
    assert numbers("choices?_a") <= set(range(1, 26))
