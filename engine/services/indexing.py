"""How far the indexing of a vector store has come, for people who wait for it (an extension)."""

from dataclasses import asdict
from typing import Any

from ..core import Core
from ..objects import File, VectorStoreFile
from ..ports import PageQuery, Transaction
from ..setbacks import Setbacks
from ..states import StoreFileStatus
from .lookup import must_find_store

_SHOWN = 100  # files


class Indexing:
    """The progress of vector stores, read from what is stored: it is the same before and after a restart.

    Only what files met that is no fault of theirs is forgotten by it.
    """

    def __init__(self, core: Core, setbacks: Setbacks) -> None:
        self._core = core
        self._setbacks = setbacks

    async def progress(self, store_id: str) -> dict[str, Any]:
        """The store's counts and its files in progress, oldest first, in wire form.

        A file's `chunks` is null until its text has been read; from then on its words can be found. Its `setback` says
        why it waits though it is its turn (a full disk, for one), and how often it was tried; null when it does not.

        Raises:
            NotFound: no such store.
        """
        now = self._core.now()

        def read(tx: Transaction) -> dict[str, Any]:
            store = must_find_store(tx, store_id, now)
            where = {"vector_store_id": store_id, "status": StoreFileStatus.IN_PROGRESS}
            files, more = tx.page(VectorStoreFile, PageQuery(where, _SHOWN, "asc"))
            return {
                "object": "vector_store.progress",
                "vector_store_id": store_id,
                "status": store.status,
                "file_counts": store.file_counts.model_dump(),
                "files": [self._of_file(tx, file) for file in files],
                "has_more": more,
            }

        return await self._core.store.read(read)

    def _of_file(self, tx: Transaction, item: VectorStoreFile) -> dict[str, Any]:
        file = tx.get(File, item.id)
        extract = tx.extract(item.vector_store_id, item.id)
        setback = self._setbacks.get(f"{item.vector_store_id}/{item.id}")
        return {
            "file_id": item.id,
            "filename": file.filename if file else None,
            "stage": "reading" if extract is None else "embedding",
            "chunks": None if extract is None else extract.chunks,
            "chunks_embedded": tx.count_vectors(item.vector_store_id, {item.id}) if extract else 0,
            "setback": None if setback is None else asdict(setback),
        }
