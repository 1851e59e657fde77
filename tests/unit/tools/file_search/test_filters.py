"""Attribute filters: what matches, and what is no filter."""

from typing import Any

import pytest

from local_assistants.engine.errors import InvalidRequest
from local_assistants.tools.file_search.searching.filters import compiled

FILE: dict[str, str | int | float | bool] = {"year": 2023, "kind": "10-K", "final": True, "1": "1"}


def compare(kind: str, key: str, value: Any) -> dict[str, Any]:
    """A comparison as a client writes it."""
    return {"type": kind, "key": key, "value": value}


@pytest.mark.parametrize(
    ("spec", "matches"),
    [
        (compare("eq", "year", 2023), True),
        (compare("eq", "year", 2023.0), True),
        (compare("eq", "year", "2023"), False),
        (compare("eq", "final", True), True),
        (compare("eq", "final", 1), False),
        (compare("eq", "1", 1), False),
        (compare("eq", "none", 1), False),
        (compare("ne", "year", 2023), False),
        (compare("ne", "year", 2022), True),
        (compare("ne", "none", 1), True),
        (compare("gt", "year", 2022), True),
        (compare("gt", "year", 2023), False),
        (compare("gte", "year", 2023), True),
        (compare("lt", "year", 2024), True),
        (compare("lte", "year", 2022), False),
        (compare("gt", "kind", "1"), False),
        (compare("gt", "final", 0), False),
        (compare("lt", "none", 5), False),
        (compare("in", "kind", ["10-Q", "10-K"]), True),
        (compare("in", "kind", []), False),
        (compare("in", "none", ["x"]), False),
        (compare("nin", "kind", ["10-K"]), False),
        (compare("nin", "none", ["x"]), True),
    ],
)
def test_comparisons(spec: dict[str, Any], matches: bool) -> None:
    """Each comparison does what the contract says, without converting types."""
    assert compiled(spec)(FILE) is matches


@pytest.mark.parametrize(("kind", "matches"), [("and", False), ("or", True)])
def test_compounds(kind: str, matches: bool) -> None:
    """And wants all, or wants any; they nest."""
    right, wrong = compare("eq", "year", 2023), compare("eq", "kind", "8-K")
    nested = {"type": "and", "filters": [right, right]}

    assert compiled({"type": kind, "filters": [wrong, nested]})(FILE) is matches


def nested(depth: int) -> dict[str, Any]:
    """A filter inside `depth` others."""
    spec = compare("eq", "year", 2023)
    for _ in range(depth):
        spec = {"type": "and", "filters": [spec]}
    return spec


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(["eq", "year", 2023], id="list"),
        pytest.param(compare("like", "year", 2023), id="unknown type"),
        pytest.param({"type": "eq", "value": 1}, id="no key"),
        pytest.param(compare("eq", "year", None), id="null"),
        pytest.param(compare("eq", "year", {}), id="object"),
        pytest.param(compare("in", "year", 2023), id="in without a list"),
        pytest.param({"type": "and", "filters": []}, id="empty and"),
        pytest.param({"type": "or", "filters": "abc"}, id="or of a string"),
        pytest.param({"type": "and", "filters": [3]}, id="and of a number"),
        pytest.param(nested(1000), id="too deep"),
    ],
)
def test_what_is_no_filter_is_refused(spec: Any) -> None:
    """The error names the parameter."""
    with pytest.raises(InvalidRequest, match="Invalid 'filters'") as caught:
        compiled(spec)

    assert caught.value.param == "filters"


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(
            {"type": "or", "filters": [compare("eq", "year", year) for year in range(501)]},
            id="comparisons",
        ),
        pytest.param(compare("in", "year", list(range(5001))), id="values"),
        pytest.param(
            {"type": "and", "filters": [compare("nin", "year", list(range(2600)))] * 2},
            id="values of several",
        ),
    ],
)
def test_a_filter_that_would_keep_the_database_busy_is_refused(spec: dict[str, Any]) -> None:
    """SQLite gives up at a thousand comparisons, and takes seconds for tens of thousands of values."""
    with pytest.raises(InvalidRequest, match="500 comparisons and 5,000 values"):
        compiled(spec)


def test_large_filters_are_filters() -> None:
    """Up to the limits that the refusal names."""
    years = compare("in", "year", list(range(4501)))
    spec = {"type": "and", "filters": [years, *[compare("eq", "kind", "10-K")] * 499]}

    assert compiled(spec)(FILE)
