"""Counts by differences: always what counting anew gives, and at the same cost in a store of any size."""

import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_assistants.engine.objects import FileBatch, VectorStore, VectorStoreFile
from local_assistants.engine.ports import PageQuery
from local_assistants.engine.states import BatchStatus, StoreFileStatus, StoreStatus
from local_assistants.engine.tally import Change, account, cancel_files, recount, recount_batch
from local_assistants.storage.transaction import SQLiteTransaction
from tests.support.database import database, instructions

NOW = 100
STATUSES = st.sampled_from(StoreFileStatus)
STEPS = st.lists(
    st.tuples(st.integers(0, 5), STATUSES | st.none(), st.integers(0, 99)), max_size=30
)


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    """A database in memory."""
    with database() as opened:
        yield opened


def item(number: int, status: StoreFileStatus, usage: int = 0) -> VectorStoreFile:
    """A file of the store."""
    return VectorStoreFile(
        id=f"file-{number}", created_at=1, vector_store_id="vs_1", status=status, usage_bytes=usage
    )


def fresh(connection: sqlite3.Connection) -> SQLiteTransaction:
    """An empty store with a batch that files 0 to 2 are members of as soon as they are there."""
    tx = SQLiteTransaction(connection)
    tx.delete(VectorStore, "vs_1")
    tx.put(VectorStore(id="vs_1", created_at=1, status=StoreStatus.COMPLETED))
    tx.put(
        FileBatch(id="vsfb_1", created_at=1, status=BatchStatus.IN_PROGRESS, vector_store_id="vs_1")
    )
    tx.add_to_batch("vsfb_1", "vs_1", [f"file-{n}" for n in range(3)])
    return tx


def change(
    tx: SQLiteTransaction, number: int, status: StoreFileStatus | None, usage: int
) -> Change:
    """Put or drop a file, and say so."""
    before = tx.get(VectorStoreFile, f"vs_1/file-{number}")
    after = None if status is None else item(number, status, usage)
    if after is None:
        tx.delete(VectorStoreFile, f"vs_1/file-{number}")
    else:
        tx.put(after)
    return Change(before, after)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(steps=STEPS)
def test_differences_come_to_what_counting_gives(
    connection: sqlite3.Connection,
    steps: list[tuple[int, StoreFileStatus | None, int]],
) -> None:
    """After any changes: files that come, move, come again and go."""
    tx = fresh(connection)
    for number, status, usage in steps:
        account(tx, "vs_1", [change(tx, number, status, usage)], NOW)
        store = tx.get(VectorStore, "vs_1")
        batch = tx.get(FileBatch, "vsfb_1")
        assert store is not None
        assert batch is not None
        assert (store.file_counts, store.usage_bytes) == tx.count_store_files("vs_1")
        assert (store.status is StoreStatus.IN_PROGRESS) == bool(store.file_counts.in_progress)
        if batch.status is BatchStatus.IN_PROGRESS:
            assert batch.file_counts == tx.count_batch_files("vsfb_1")
        recount(tx, "vs_1", NOW)
        assert store == tx.get(VectorStore, "vs_1")


def test_a_batch_ends_when_its_last_file_does(connection: sqlite3.Connection) -> None:
    """Also when that one is taken out or cancelled; over, it keeps its counts."""
    tx = fresh(connection)
    for number in range(3):
        account(tx, "vs_1", [change(tx, number, StoreFileStatus.IN_PROGRESS, 0)], NOW)
    account(tx, "vs_1", [change(tx, 0, StoreFileStatus.COMPLETED, 5)], NOW)
    account(tx, "vs_1", [change(tx, 1, None, 0)], NOW)
    batch = tx.get(FileBatch, "vsfb_1")
    assert batch is not None
    assert ("in_progress", 1, 2) == (
        batch.status,
        batch.file_counts.in_progress,
        batch.file_counts.total,
    )
    cancel_files(tx, "vs_1", {"batch_id": "vsfb_1"}, 9)
    done = tx.get(FileBatch, "vsfb_1")
    assert done is not None
    assert ("completed", 1, 1) == (
        done.status,
        done.file_counts.completed,
        done.file_counts.cancelled,
    )
    account(tx, "vs_1", [change(tx, 0, None, 0)], NOW)
    assert done == tx.get(FileBatch, "vsfb_1")


def test_one_file_costs_the_same_in_a_store_of_any_size(connection: sqlite3.Connection) -> None:
    """Counted in SQLite's own instructions, so no clock decides; counting anew costs more with every file."""
    tx = fresh(connection)

    def cost(number: int) -> int:
        made = change(tx, number, StoreFileStatus.COMPLETED, 1)
        return instructions(connection, lambda: account(tx, "vs_1", [made], NOW))

    changes = [change(tx, number, StoreFileStatus.IN_PROGRESS, 0) for number in range(20)]
    account(tx, "vs_1", changes, NOW)
    cost(9)  # the first entry in the ledger costs less
    small = cost(10)
    more = [change(tx, number, StoreFileStatus.IN_PROGRESS, 0) for number in range(20, 2000)]
    account(tx, "vs_1", more, NOW)
    assert small == cost(1000)


def test_a_count_that_is_off_is_set_right(connection: sqlite3.Connection) -> None:
    """A start counts stores in progress anew, so that nobody polls them for ever."""
    tx = fresh(connection)
    tx.put(item(0, StoreFileStatus.COMPLETED, 7))
    store = tx.get(VectorStore, "vs_1")
    batch = tx.get(FileBatch, "vsfb_1")
    assert store is not None
    assert batch is not None
    tx.put(store.model_copy(update={"status": StoreStatus.IN_PROGRESS}))
    recount(tx, "vs_1", NOW)
    right = tx.get(VectorStore, "vs_1")
    ended = tx.page(FileBatch, PageQuery({"vector_store_id": "vs_1"}))[0]

    assert right is not None
    assert ("completed", 1, 7) == (right.status, right.file_counts.completed, right.usage_bytes)
    assert ["completed"] == [each.status for each in ended]
    assert 1 == recount_batch(tx, ended[0]).file_counts.completed


def test_the_ledger_has_what_a_store_takes_from_when_on(connection: sqlite3.Connection) -> None:
    """A period for each size, none for changes that change no size, an end when all is gone."""
    tx = fresh(connection)
    for at, number, usage in ((10, 0, 500), (20, 1, 0), (30, 1, 700)):
        account(tx, "vs_1", [change(tx, number, StoreFileStatus.COMPLETED, usage)], at)
    for at, number in ((40, 0), (50, 1)):
        account(tx, "vs_1", [change(tx, number, None, 0)], at)

    assert [(500, 10, 30), (1200, 30, 40), (700, 40, 50)] == [
        (one.usage_bytes, one.since, one.until) for one in tx.storage_since(0, 1000)
    ]


def test_what_has_expired_takes_nothing(connection: sqlite3.Connection) -> None:
    """Its vectors are gone; a file that is taken out of it later starts no new period."""
    tx = fresh(connection)
    for number in range(2):
        account(tx, "vs_1", [change(tx, number, StoreFileStatus.COMPLETED, 5)], 10)
    store = tx.get(VectorStore, "vs_1")
    assert store is not None
    tx.put(store.model_copy(update={"status": StoreStatus.EXPIRED}))
    tx.add_storage("vs_1", 0, 20)
    account(tx, "vs_1", [change(tx, 0, None, 0)], 30)

    assert 20 == max(one.until or 10**9 for one in tx.storage_since(0, 1000))
