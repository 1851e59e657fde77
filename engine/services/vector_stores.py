"""Vector stores, their files and batches. Indexing itself happens in `ingestion`."""

from collections.abc import Sequence
from typing import Any

from ..core import Core
from ..errors import InvalidRequest
from ..ingestion import Ingestion, recount, recount_batch, touched
from ..objects import ExpiresAfter, FileBatch, Page, VectorStore, VectorStoreFile
from ..ports import PageQuery, Passage, SearchQuery, Transaction
from ..requests import (
    ChunkingBody,
    CreateBatch,
    CreateStoreFile,
    CreateVectorStore,
    ModifyStoreFile,
    ModifyVectorStore,
    SearchStore,
)
from ..states import BATCH, STORE_FILE, BatchStatus, On, StoreFileStatus, StoreStatus
from .lookup import list_page, must, require_files
from .resources import add_files, make_store


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
            require_files(tx, body.file_ids, "file_ids")
            days = body.expires_after.days if body.expires_after else None
            store = make_store(
                tx,
                self._core,
                name=body.name,
                description=body.description,
                metadata=body.metadata,
                days=days,
            )
            add_files(tx, self._core, store.id, body.file_ids, chunking=body.chunking_strategy)
            return must(tx, VectorStore, store.id)

        store = await self._core.store.write(make)
        self._ingestion.wake()
        return store

    async def get(self, store_id: str) -> VectorStore:
        """One store."""
        return await self._core.store.read(lambda tx: must(tx, VectorStore, store_id))

    async def list(self, query: PageQuery) -> Page:
        """A page of stores."""
        return await list_page(self._core, VectorStore, query, where={})

    async def modify(self, store_id: str, body: ModifyVectorStore) -> VectorStore:
        """Change what was sent; a null clears name or expiry."""

        def change(tx: Transaction) -> VectorStore:
            store = must(tx, VectorStore, store_id)
            update: dict[str, Any] = {}
            if "name" in body.model_fields_set:
                update["name"] = body.name
            if body.metadata is not None:
                update["metadata"] = body.metadata
            if "expires_after" in body.model_fields_set:
                days = body.expires_after.days if body.expires_after else None
                update["expires_after"] = None if days is None else ExpiresAfter(days=days)
            store = touched(store.model_copy(update=update), self._core.now())
            tx.put(store)
            return store

        return await self._core.store.write(change)

    async def delete(self, store_id: str) -> None:
        """Delete the store with its index; the files stay."""

        def drop(tx: Transaction) -> None:
            must(tx, VectorStore, store_id)
            for kind in (VectorStoreFile, FileBatch):
                tx.delete_where(kind, {"vector_store_id": store_id})
            tx.delete(VectorStore, store_id)

        await self._core.store.write(drop)
        await self._core.library.drop(store_id)

    async def search(self, store_id: str, body: SearchStore) -> Sequence[Passage]:
        """Passages for one or several queries, best first.

        Raises:
            InvalidRequest: the store has expired.
        """
        await self._live(store_id)
        queries = (body.query,) if isinstance(body.query, str) else tuple(body.query)
        return await self._core.library.search(
            SearchQuery(
                vector_store_ids=(store_id,),
                queries=queries,
                max_results=body.max_num_results,
                score_threshold=body.ranking_options.score_threshold,
                filters=body.filters,
            )
        )

    # files

    async def add_file(self, store_id: str, body: CreateStoreFile) -> VectorStoreFile:
        """Put a file into the store; it is indexed in the background.

        Raises:
            InvalidRequest: the file does not exist or the store has expired.
        """
        await self._live(store_id)

        def add(tx: Transaction) -> VectorStoreFile:
            must(tx, VectorStore, store_id)
            require_files(tx, [body.file_id], "file_id")
            return add_files(
                tx,
                self._core,
                store_id,
                [body.file_id],
                chunking=body.chunking_strategy,
                attributes=body.attributes,
            )[0]

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
            item = must(tx, VectorStoreFile, f"{store_id}/{file_id}")
            item = item.model_copy(update={"attributes": body.attributes or {}})
            tx.put(item)
            return item

        return await self._core.store.write(change)

    async def remove_file(self, store_id: str, file_id: str) -> None:
        """Take a file out of the store; the file itself stays."""

        def drop(tx: Transaction) -> None:
            must(tx, VectorStoreFile, f"{store_id}/{file_id}")
            tx.delete(VectorStoreFile, f"{store_id}/{file_id}")
            recount(tx, store_id)

        await self._core.store.write(drop)
        await self._core.library.remove(store_id, file_id)

    async def file_text(self, store_id: str, file_id: str) -> str:
        """The parsed text of a file of the store."""
        await self.get_file(store_id, file_id)
        return await self._core.library.text(store_id, file_id)

    # batches

    async def create_batch(self, store_id: str, body: CreateBatch) -> FileBatch:
        """Put several files into the store at once.

        Raises:
            InvalidRequest: a file does not exist or the store has expired.
        """
        await self._live(store_id)
        wanted = _batch_items(body)

        def make(tx: Transaction) -> FileBatch:
            must(tx, VectorStore, store_id)
            require_files(tx, [item.file_id for item in wanted], "file_ids")
            batch = FileBatch(
                id=self._core.ids.new("file_batch"),
                created_at=self._core.now(),
                status=BatchStatus(BATCH.initial),
                vector_store_id=store_id,
            )
            tx.put(batch)
            for item in wanted:
                self._add_item(tx, store_id, item)
            tx.add_to_batch(batch.id, store_id, [item.file_id for item in wanted])
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
            batch = must(tx, FileBatch, batch_id, vector_store_id=store_id)
            batch = BATCH.fire(batch, On.CANCEL, self._core.now())
            query = PageQuery({"batch_id": batch_id, "status": StoreFileStatus.IN_PROGRESS}, 2000)
            for item in tx.page(VectorStoreFile, query)[0]:
                tx.put(STORE_FILE.fire(item, On.CANCEL, self._core.now()))
            batch = recount_batch(tx, batch)
            recount(tx, store_id)
            return batch

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

    def _add_item(self, tx: Transaction, store_id: str, item: CreateStoreFile) -> None:
        add_files(
            tx,
            self._core,
            store_id,
            [item.file_id],
            chunking=item.chunking_strategy,
            attributes=item.attributes,
        )

    async def _live(self, store_id: str) -> None:
        """Refuse an expired store; mark a live one as used."""

        def use(tx: Transaction) -> None:
            store = must(tx, VectorStore, store_id)
            if store.status is StoreStatus.EXPIRED:
                raise InvalidRequest(f"Vector store '{store_id}' has expired")
            tx.put(touched(store, self._core.now()))

        await self._core.store.write(use)


def _batch_items(body: CreateBatch) -> Sequence[CreateStoreFile]:
    if body.files is not None:
        return body.files
    strategy: ChunkingBody | None = body.chunking_strategy
    return [
        CreateStoreFile(file_id=file_id, chunking_strategy=strategy, attributes=body.attributes)
        for file_id in body.file_ids or ()
    ]
