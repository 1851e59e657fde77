"""Files: bytes that clients upload and tools make."""

from collections.abc import AsyncIterator
from pathlib import Path

from ..core import Core
from ..errors import InvalidRequest
from ..ingestion import recount
from ..objects import File, Page, VectorStoreFile
from ..ports import PageQuery, Transaction
from ..stored_files import keep_file
from .lookup import list_page, must

_UPLOAD_PURPOSES = ("fine-tune", "assistants", "batch", "user_data", "vision", "evals")
_PRIVATE = (
    "assistants",
    "user_data",
)  # uploaded for tools: never handed out again (contract, 1.14)


class Files:
    """The files of this installation."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def create(
        self,
        filename: str,
        purpose: str,
        chunks: AsyncIterator[bytes],
        expires_after_seconds: int | None = None,
    ) -> File:
        """Store an upload.

        Raises:
            InvalidRequest: no such purpose.
            TooLarge: over 512 MB.
        """
        if purpose not in _UPLOAD_PURPOSES:
            message = f"'{purpose}' is not one of {list(_UPLOAD_PURPOSES)} - 'purpose'"
            raise InvalidRequest(message, param="purpose")
        return await keep_file(
            self._core, filename, chunks, purpose=purpose, expires_after=expires_after_seconds
        )

    async def get(self, file_id: str) -> File:
        """One file's record."""
        return await self._core.store.read(lambda tx: must(tx, File, file_id))

    async def list(self, query: PageQuery, purpose: str | None = None) -> Page:
        """A page of files, of one purpose if given."""
        return await list_page(
            self._core, File, query, where={"purpose": purpose} if purpose else {}
        )

    async def delete(self, file_id: str) -> None:
        """Delete a file everywhere: its record, its place in every vector store, its bytes."""

        def drop(tx: Transaction) -> list[str]:
            must(tx, File, file_id)
            stores = tx.stores_with_file(file_id)
            for store_id in stores:
                tx.delete(VectorStoreFile, f"{store_id}/{file_id}")
                recount(tx, store_id)
            tx.delete(File, file_id)
            return stores

        for store_id in await self._core.store.write(drop):
            await self._core.library.remove(store_id, file_id)
        await self._core.blobs.delete(file_id)

    async def content(self, file_id: str) -> tuple[File, Path]:
        """The record and where the bytes lie.

        Raises:
            InvalidRequest: files of this purpose are not handed out.
        """
        file = await self.get(file_id)
        if file.purpose in _PRIVATE:
            raise InvalidRequest(f"Not allowed to download files of purpose: {file.purpose}")
        return file, self._core.blobs.path(file_id)
