"""Have all files in vector stores indexed anew, by the next server: for data that came without its texts."""

import sqlite3
import time
from typing import Any, TypeVar

from ...engine.objects import FileBatch, VectorStore, VectorStoreFile, Wire
from ...engine.states import BatchStatus, StoreFileStatus, StoreStatus
from .. import rows
from ..transaction import SQLiteTransaction

ObjectT = TypeVar("ObjectT", bound=Wire)


def reindex(connection: sqlite3.Connection) -> None:
    """In the open transaction: files that were indexed are in progress again, and their stores and batches say so."""
    tx = SQLiteTransaction(connection)
    alive = set[str]()
    for store in _all(connection, VectorStore):
        if store.status is not StoreStatus.EXPIRED:
            alive.add(store.id)
    for file in _all(connection, VectorStoreFile):
        if file.status is StoreFileStatus.COMPLETED:
            again = file.vector_store_id in alive
            told = StoreFileStatus.IN_PROGRESS if again else file.status
            tx.put(file.model_copy(update={"status": told, "usage_bytes": 0}))
    for store in _all(connection, VectorStore):
        counts, taken = tx.count_store_files(store.id)
        status = StoreStatus.IN_PROGRESS if counts.in_progress else StoreStatus.COMPLETED
        said: dict[str, Any] = {"file_counts": counts, "usage_bytes": taken}
        if store.id in alive:
            said["status"] = status
        tx.put(store.model_copy(update=said))
        tx.add_storage(store.id, 0, int(time.time()))
    for batch in _all(connection, FileBatch):
        if batch.status is BatchStatus.IN_PROGRESS:
            tx.put(batch.model_copy(update={"file_counts": tx.count_batch_files(batch.id)}))


def _all(connection: sqlite3.Connection, kind: type[ObjectT]) -> list[ObjectT]:
    sql = f"SELECT body FROM {rows.table_of(kind).name} ORDER BY seq"
    return [rows.decode_model(kind, body) for (body,) in connection.execute(sql).fetchall()]
