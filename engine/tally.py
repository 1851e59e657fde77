"""Counts, sizes and statuses of vector stores and their batches, kept in step with their files.

Whoever adds, moves or drops files of a store says so here, in the same transaction. Counting goes by differences, so
that a change costs the same in a store of ten files and of ten thousand; `recount` counts anew. What a store takes
from when on goes into the ledger of storage, which outlives the store.

What it does not know: why a file moves. A batch that is over keeps its counts.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .expiry import touched
from .objects import FileBatch, FileCounts, VectorStore, VectorStoreFile
from .ports import PageQuery, Transaction
from .states import (
    BATCH,
    STORE_FILE,
    VECTOR_STORE,
    BatchStatus,
    On,
    StoreFileStatus,
    StoreStatus,
)

_MOST_BATCHES = 10_000
_MOST_FILES = 1_000_000


@dataclass(frozen=True, slots=True)
class Change:
    """A file of a store as it was and as it is; None where it was or is not there."""

    before: VectorStoreFile | None
    after: VectorStoreFile | None

    @property
    def file_id(self) -> str:
        """Which file."""
        known = self.after or self.before
        return known.id if known else ""

    @property
    def moves(self) -> "Counter[str]":
        """By how much each status is counted more or less often."""
        moves: Counter[str] = Counter()
        if self.before is not None:
            moves[self.before.status] -= 1
        if self.after is not None:
            moves[self.after.status] += 1
        return moves

    @property
    def growth(self) -> int:
        """Bytes more."""
        after = self.after.usage_bytes if self.after else 0
        return after - (self.before.usage_bytes if self.before else 0)


def account(
    tx: Transaction, store_id: str, changes: Sequence[Change], now: int, *, used: bool = False
) -> None:
    """Bring a store and its batches in progress in line with changes already made; `used`: the store was, by them."""
    store = tx.get(VectorStore, store_id)
    if store is None:
        return
    moves: Counter[str] = Counter()
    for change in changes:
        _add(moves, change.moves)
    usage = store.usage_bytes + sum(change.growth for change in changes)
    _put(tx, _counted(store, _moved(store.file_counts, moves), usage), now, used=used)
    for batch_id, own in _moves_of_batches(tx, store_id, changes).items():
        batch = tx.get(FileBatch, batch_id)
        if batch is not None:
            tx.put(_batch_counted(batch, _moved(batch.file_counts, own)))


def cancel_files(tx: Transaction, store_id: str, where: Mapping[str, str], now: int) -> None:
    """Cancel those files of a store that match `where` and are not yet indexed."""
    query = PageQuery({**where, "status": StoreFileStatus.IN_PROGRESS}, _MOST_FILES, "asc")
    waiting, _ = tx.page(VectorStoreFile, query)
    changes = [Change(item, STORE_FILE.fire(item, On.CANCEL, now)) for item in waiting]
    for change in changes:
        if change.after is not None:
            tx.put(change.after)
    account(tx, store_id, changes, now)


def recount(tx: Transaction, store_id: str, now: int) -> None:
    """Count the files of a store and of its batches in progress anew."""
    store = tx.get(VectorStore, store_id)
    if store is None:
        return
    _put(tx, _counted(store, *tx.count_store_files(store_id)), now)
    where = {"vector_store_id": store_id, "status": BatchStatus.IN_PROGRESS}
    for batch in tx.page(FileBatch, PageQuery(where, _MOST_BATCHES, "asc"))[0]:
        recount_batch(tx, batch)


def recount_batch(tx: Transaction, batch: FileBatch) -> FileBatch:
    """Count a batch's files anew; it completes when none is in progress, even if some failed."""
    batch = _batch_counted(batch, tx.count_batch_files(batch.id))
    tx.put(batch)
    return batch


def _moves_of_batches(
    tx: Transaction, store_id: str, changes: Sequence[Change]
) -> Mapping[str, "Counter[str]"]:
    moves: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for change in changes:
        for batch_id in tx.batches_with_file(store_id, change.file_id):
            _add(moves[batch_id], change.moves)
    return moves


def _add(moves: "Counter[str]", more: "Counter[str]") -> None:
    """Counter's own + would drop what is below zero."""
    for status, number in more.items():
        moves[status] += number


def _moved(counts: FileCounts, moves: "Counter[str]") -> FileCounts:
    by_status = {
        status: number + moves[status]
        for status, number in counts.model_dump(exclude={"total"}).items()
    }
    return FileCounts(**by_status, total=sum(by_status.values()))


def _put(tx: Transaction, store: VectorStore, now: int, *, used: bool = False) -> None:
    """Store it and note what it takes from now on; one that has expired takes nothing any more."""
    expired = store.status is StoreStatus.EXPIRED
    tx.put(touched(store, now) if used and not expired else store)
    tx.add_storage(store.id, 0 if expired else store.usage_bytes, now)


def _counted(store: VectorStore, counts: FileCounts, usage: int) -> VectorStore:
    store = store.model_copy(update={"file_counts": counts, "usage_bytes": usage})
    if store.status is StoreStatus.EXPIRED:
        return store
    if counts.in_progress:
        store = VECTOR_STORE.fire(store, On.REOPEN, 0)
    elif store.status is StoreStatus.IN_PROGRESS:
        store = VECTOR_STORE.fire(store, On.COMPLETE, 0)
    return store


def _batch_counted(batch: FileBatch, counts: FileCounts) -> FileBatch:
    batch = batch.model_copy(update={"file_counts": counts})
    over = not counts.in_progress and batch.status is BatchStatus.IN_PROGRESS
    return BATCH.fire(batch, On.COMPLETE, 0) if over else batch
