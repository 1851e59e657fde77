"""What is past its time, before and after housekeeping has noticed: a file is gone, a vector store has expired.

Pure: the time is passed in. Who changes the records is `housekeeping`.
"""

from .objects import File, VectorStore
from .ports import Transaction
from .states import VECTOR_STORE, On, StoreStatus


def find_file(tx: Transaction, file_id: str, now: int) -> File | None:
    """The file; None when there is none any more."""
    file = tx.get(File, file_id)
    gone = file is None or (file.expires_at is not None and file.expires_at <= now)
    return None if gone else file


def as_of(store: VectorStore, now: int) -> VectorStore:
    """The store as it is at `now`: expired, if nobody has used it for long enough."""
    due = store.expires_at is not None and store.expires_at <= now
    if not due or store.status is StoreStatus.EXPIRED:
        return store
    return VECTOR_STORE.fire(store, On.EXPIRE, now)


def find_store(tx: Transaction, store_id: str, now: int) -> VectorStore | None:
    """The vector store as it is at `now`; None when there is none."""
    store = tx.get(VectorStore, store_id)
    return None if store is None else as_of(store, now)


def touched(store: VectorStore, now: int) -> VectorStore:
    """The store as used at `now`; an expiry after inactivity moves along."""
    after = store.expires_after
    expires_at = now + after.days * 86_400 if after else None
    return store.model_copy(update={"last_active_at": now, "expires_at": expires_at})
