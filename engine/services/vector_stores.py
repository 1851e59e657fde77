"""Vector stores, their files and batches. Indexing itself happens in `ingestion`."""

import logging
from collections.abc import Sequence
from typing import Any

from ..core import Core
from ..errors import StorageFault
from ..expiry import as_of, touched
from ..ingestion import Ingestion
from ..objects import ExpiresAfter, FileBatch, Page, VectorStore, VectorStoreFile
from ..ports import PageQuery, Passage, SearchQuery, Transaction
from ..requests import (
    CreateBatch,
    CreateStoreFile,
    CreateVectorStore,
    ModifyStoreFile,
    ModifyVectorStore,
    SearchStore,
)
from ..states import BATCH, BatchStatus, On
from ..stored_files import detach
from ..tally import cancel_files, recount_batch
from .lookup import list_page, must, must_find_store, require_files
from .resources import add_files, make_store, refuse_expired

_log = logging.getLogger("local_assistants.vector_stores")


class VectorStores:
    """The vector stores of this installation."""

    def __init__(self, core: Core, ingestion: Ingestion) -> None:
        self._core = core
        self._ingestion = ingestion

    async def create(self, body: CreateVectorStore) -> VectorStore:
        """A new store; its files, if any, are indexed in the background.

        Raises:
            InvalidRequest: a file does not exist.
        """

        def make(tx: Transaction) -> VectorStore:
            require_files(tx, body.file_ids, "file_ids", self._core.now())
            days = body.expires_after.days if body.expires_after else None
            store = make_store(
                tx,
                self._core,
                name=body.name,
                description=body.description,
                metadata=body.metadata,
                days=days,
            )
            add_files(tx, self._core, store.id, body.entries())
            return must(tx, VectorStore, store.id)

        store = await self._core.store.write(make)
        self._ingestion.wake()
        return store

    async def get(self, store_id: str) -> VectorStore:
        """One store."""
        now = self._core.now()
        return await self._core.store.read(lambda tx: must_find_store(tx, store_id, now))

    async def list(self, query: PageQuery) -> Page:
        """A page of stores."""
        now = self._core.now()
        return await list_page(
            self._core, VectorStore, query, where={}, shown=lambda store: as_of(store, now)
        )

    async def modify(self, store_id: str, body: ModifyVectorStore) -> VectorStore:
        """Change what was sent; a null clears name or expiry. Changing the expiry counts as use.

        Raises:
            InvalidRequest: the expiry of a store that has expired.
        """

        def change(tx: Transaction) -> VectorStore:
            now = self._core.now()
            store = must(tx, VectorStore, store_id)
            update: dict[str, Any] = {}
            if "name" in body.model_fields_set:
                update["name"] = body.name
            if body.metadata is not None:
                update["metadata"] = body.metadata
            store = store.model_copy(update=update)
            if "expires_after" in body.model_fields_set:
                refuse_expired(as_of(store, now))
                days = body.expires_after.days if body.expires_after else None
                after = None if days is None else ExpiresAfter(days=days)
                store = touched(store.model_copy(update={"expires_after": after}), now)
            tx.put(store)  # its status is housekeeping's to move, which lets go of the texts, too
            return as_of(store, now)

        return await self._core.store.write(change)

    async def delete(self, store_id: str) -> None:
        """Delete the store with its index; the files stay."""
        now = self._core.now()

        def drop(tx: Transaction) -> None:
            must(tx, VectorStore, store_id)
            tx.add_storage(store_id, 0, now)
            for kind in (VectorStoreFile, FileBatch):
                tx.delete_where(kind, {"vector_store_id": store_id})
            tx.delete(VectorStore, store_id)

        await self._core.store.write(drop)
        await self._core.library.drop(store_id)

    def looked_for(self, body: SearchStore) -> tuple[str, ...]:
        """The queries that `search` answers: as they came, or rewritten if the client wants that."""
        return self._core.library.rewritten(body.queries) if body.rewrite_query else body.queries

    async def search(self, store_id: str, body: SearchStore) -> Sequence[Passage]:
        """Passages for one or several queries, best first.

        Raises:
            InvalidRequest: the store has expired.
        """
        await self._live(store_id)
        ranking = body.ranking_options
        return await self._core.library.search(
            SearchQuery(
                vector_store_ids=(store_id,),
                queries=body.queries,
                max_results=body.max_num_results,
                score_threshold=ranking.score_threshold,
                filters=body.filters,
                ranker=ranking.ranker,
                hybrid=ranking.hybrid_search.weights() if ranking.hybrid_search else None,
                rewrite=body.rewrite_query,
            )
        )

    # files

    async def add_file(self, store_id: str, body: CreateStoreFile) -> VectorStoreFile:
        """Put a file into the store; it is indexed in the background.

        Raises:
            InvalidRequest: the file does not exist or the store has expired.
        """

        def add(tx: Transaction) -> VectorStoreFile:
            refuse_expired(must_find_store(tx, store_id, self._core.now()))
            require_files(tx, [body.file_id], "file_id", self._core.now())
            return add_files(tx, self._core, store_id, [body])[0]

        item = await self._core.store.write(add)
        self._ingestion.wake()
        return item

    async def get_file(self, store_id: str, file_id: str) -> VectorStoreFile:
        """One file of a store."""

        def read(tx: Transaction) -> VectorStoreFile:
            must(tx, VectorStore, store_id)
            return must(tx, VectorStoreFile, f"{store_id}/{file_id}")

        return await self._core.store.read(read)

    async def list_files(self, store_id: str, query: PageQuery, status: str | None = None) -> Page:
        """A page of a store's files, of one status if given."""
        where = {"vector_store_id": store_id} | ({"status": status} if status else {})
        return await list_page(
            self._core,
            VectorStoreFile,
            query,
            before_reading=lambda tx: must(tx, VectorStore, store_id),
            where=where,
        )

    async def modify_file(
        self, store_id: str, file_id: str, body: ModifyStoreFile
    ) -> VectorStoreFile:
        """Replace the attributes."""

        def change(tx: Transaction) -> VectorStoreFile:
            must(tx, VectorStore, store_id)
            item = must(tx, VectorStoreFile, f"{store_id}/{file_id}")
            item = item.model_copy(update={"attributes": body.attributes or {}})
            tx.put(item)
            return item

        return await self._core.store.write(change)

    async def remove_file(self, store_id: str, file_id: str) -> None:
        """Take a file out of the store; the file itself stays."""
        now = self._core.now()

        def drop(tx: Transaction) -> None:
            must(tx, VectorStore, store_id)
            must(tx, VectorStoreFile, f"{store_id}/{file_id}")
            detach(tx, store_id, file_id, now)

        await self._core.store.write(drop)
        await self._core.library.remove(store_id, file_id)

    async def file_text(self, store_id: str, file_id: str) -> str:
        """The parsed text of a file of the store; "" until it is indexed."""
        await self.get_file(store_id, file_id)
        return await self._core.library.text(store_id, file_id)

    # batches

    async def create_batch(self, store_id: str, body: CreateBatch) -> FileBatch:
        """Put several files into the store at once.

        Raises:
            InvalidRequest: a file does not exist or the store has expired.
        """
        entries = body.entries()
        file_ids = [entry.file_id for entry in entries]

        def make(tx: Transaction) -> FileBatch:
            refuse_expired(must_find_store(tx, store_id, self._core.now()))
            require_files(tx, file_ids, "files" if body.files else "file_ids", self._core.now())
            batch = FileBatch(
                id=self._core.ids.new("file_batch"),
                created_at=self._core.now(),
                status=BatchStatus(BATCH.initial),
                vector_store_id=store_id,
            )
            tx.put(batch)
            add_files(tx, self._core, store_id, entries)
            tx.add_to_batch(batch.id, store_id, file_ids)
            return recount_batch(tx, batch)

        batch = await self._core.store.write(make)
        self._ingestion.wake()
        return batch

    async def get_batch(self, store_id: str, batch_id: str) -> FileBatch:
        """One batch."""
        return await self._core.store.read(
            lambda tx: must(tx, FileBatch, batch_id, vector_store_id=store_id)
        )

    async def cancel_batch(self, store_id: str, batch_id: str) -> FileBatch:
        """Files not yet indexed are cancelled, finished ones stay.

        Raises:
            IllegalTransition: the batch is over.
        """

        def cancel(tx: Transaction) -> FileBatch:
            must(tx, VectorStore, store_id)
            batch = must(tx, FileBatch, batch_id, vector_store_id=store_id)
            tx.put(BATCH.fire(batch, On.CANCEL, self._core.now()))
            cancel_files(tx, store_id, {"batch_id": batch_id}, self._core.now())
            return recount_batch(tx, must(tx, FileBatch, batch_id))

        return await self._core.store.write(cancel)

    async def list_batch_files(
        self, store_id: str, batch_id: str, query: PageQuery, status: str | None = None
    ) -> Page:
        """A page of a batch's files, of one status if given."""
        where = {"batch_id": batch_id} | ({"status": status} if status else {})
        return await list_page(
            self._core,
            VectorStoreFile,
            query,
            before_reading=lambda tx: must(tx, FileBatch, batch_id, vector_store_id=store_id),
            where=where,
        )

    async def _live(self, store_id: str) -> None:
        """Refuse an expired store; mark a live one as used, if that can be written now."""

        def live(tx: Transaction) -> VectorStore:
            store = must_find_store(tx, store_id, self._core.now())
            refuse_expired(store)
            return store

        try:
            await self._core.store.write(lambda tx: tx.put(touched(live(tx), self._core.now())))
        except StorageFault as fault:  # a full disk is no reason to find nothing
            if not fault.passing:
                raise
            _log.warning("that %s was used could not be recorded: %s", store_id, fault)
            await self._core.store.read(live)
