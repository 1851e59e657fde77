"""Attribute filters as SQL: the same files as the predicate that the tools have for the contract's words."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_assistants.engine.errors import StorageFault
from local_assistants.engine.objects import VectorStoreFile
from local_assistants.storage.filters import condition
from local_assistants.storage.transaction import SQLiteTransaction
from local_assistants.tools.file_search.searching.filters import compiled
from tests.contract.store import samples
from tests.support.database import database

FILES: list[dict[str, str | int | float | bool]] = [
    {},
    {"a": 1, "b": "x"},
    {"a": 1.0, "b": "X"},
    {"a": True, "b": "1"},
    {"a": False, "b": ""},
    {"a": "1", "b": 0},
    {"a": 2.5, "b": -3},
    {"a": "true"},
    {"b": "ein \ud800 Stück", "a": 10**30},
    {"a": 2**53 + 1, "b": 'quote " and \\'},
    {"a": float("inf"), "b": "not finite"},
]

KEYS = st.sampled_from(["a", "b", "c", "$.a"])
VALUES = st.sampled_from(
    ["x", "X", "1", "", "true", 'quote " and \\', 0, 1, 1.0, 2.5, -3, 2**53, 2**53 + 1, True, False]
)
COMPARISONS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte"]),
        "key": KEYS,
        "value": VALUES,
    }
) | st.fixed_dictionaries(
    {"type": st.sampled_from(["in", "nin"]), "key": KEYS, "value": st.lists(VALUES, max_size=4)}
)
FILTERS = st.recursive(
    COMPARISONS,
    lambda inner: st.fixed_dictionaries(
        {
            "type": st.sampled_from(["and", "or"]),
            "filters": st.lists(inner, min_size=1, max_size=3),
        }
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def transaction() -> Iterator[SQLiteTransaction]:
    """Files of two stores; those of the second have the attributes of the first turned round."""
    with database() as connection:
        tx = SQLiteTransaction(connection)
        for number, attributes in ((1, FILES), (2, FILES[::-1])):
            tx.put(samples.vector_store(number))
            for n, some in enumerate(attributes):
                tx.put(samples.store_file(n, vector_store_id=f"vs_{number}", attributes=some))
        yield tx


def expected(tx: SQLiteTransaction, spec: dict[str, Any]) -> set[tuple[str, str]]:
    """What the predicate says of the stored attributes."""
    keys = [f"vs_{number}/file-{n}" for number in (1, 2) for n in range(len(FILES))]
    files = [tx.get(VectorStoreFile, key) for key in keys]
    matches = compiled(spec)
    return {
        (file.vector_store_id, file.id)
        for file in files
        if file is not None and matches(_finite(file.attributes))
    }


def _finite(attributes: dict[str, Any]) -> dict[str, Any]:
    """JSON has no form for what is not finite, so such attributes cannot be searched for."""
    return {} if float("inf") in attributes.values() else attributes


@given(spec=FILTERS)
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_sql_and_predicate_agree(transaction: SQLiteTransaction, spec: dict[str, Any]) -> None:
    """For any filter over texts, numbers and booleans that look alike."""
    assert expected(transaction, spec) == transaction.matching_files(["vs_1", "vs_2"], spec)


def test_only_the_stores_named_are_asked(transaction: SQLiteTransaction) -> None:
    """And none when none is named."""
    spec = {"type": "ne", "key": "a", "value": 1}
    found = transaction.matching_files(["vs_2"], spec)
    assert {"vs_2"} == {store for store, _ in found}
    assert set() == transaction.matching_files([], spec)


def test_filters_follow_what_changes() -> None:
    """New attributes replace the old ones; what is taken out is not found."""
    with database() as connection:
        tx = SQLiteTransaction(connection)
        tx.put(samples.vector_store())
        spec = {"type": "in", "key": "a", "value": [1, "one"]}
        found: list[int] = []
        for attributes in ({"a": 1}, {"a": "one", "b": 2}, {"a": 2}, {"a": 1}):
            tx.put(samples.store_file(1, attributes=attributes))
            found.append(len(tx.matching_files(["vs_1"], spec)))
        tx.delete(VectorStoreFile, "vs_1/file-1")
        found.append(len(tx.matching_files(["vs_1"], spec)))
        left = connection.execute("SELECT count(*) FROM file_attributes").fetchone()
    assert [1, 1, 0, 1, 0] == found
    assert left == (0,)


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"type": "like", "key": "a", "value": "x"},
        {"type": "eq", "key": 1, "value": "x"},
        {"type": "eq", "key": "a"},
        {"type": "and", "filters": []},
        {"type": "or", "filters": ["x"]},
        {"type": "in", "key": "a", "value": "x"},
    ],
)
def test_what_is_no_filter_is_refused(transaction: SQLiteTransaction, spec: dict[str, Any]) -> None:
    """The tools say what is wrong with it before; here it must only not be run."""
    with pytest.raises(StorageFault, match="no attribute filter"):
        transaction.matching_files(["vs_1"], spec)


def test_a_filter_is_found_by_an_index(transaction: SQLiteTransaction) -> None:
    """No comparison reads the attributes of all stores."""
    passes, values = condition({"type": "gt", "key": "a", "value": 1})
    statement = f"EXPLAIN QUERY PLAN SELECT f.seq FROM vector_store_files AS f WHERE {passes}"
    steps = transaction.connection.execute(statement, values | {"stores": "[]"}).fetchall()
    assert any("SEARCH file_attributes USING PRIMARY KEY" in step[3] for step in steps)
    assert not any("SCAN file_attributes" in step[3] for step in steps)
