"""Files: bytes that clients upload and tools make."""

from collections.abc import AsyncIterator
from pathlib import Path

from ..core import Core
from ..errors import InvalidRequest, StorageFault
from ..objects import File, Page
from ..ports import PageQuery, Transaction
from ..requests.uploads import PURPOSES
from ..stored_files import drop_file, erase, keep_file
from .lookup import list_page, must_find_file

_PRIVATE = (
    "assistants",
    "user_data",
)  # uploaded for tools: never handed out again (contract, 1.14)


def check_purpose(purpose: str) -> None:
    """Refuse what nobody may upload for.

    Raises:
        InvalidRequest: no such purpose, or one of files that only the service makes.
    """
    if purpose not in PURPOSES:
        message = f"'{purpose[:200]}' is not one of {list(PURPOSES)} - 'purpose'"
        raise InvalidRequest(message, param="purpose")


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
            TooLarge: over the limit of `CoreSettings`.
        """
        check_purpose(purpose)
        return await keep_file(
            self._core, filename, chunks, purpose=purpose, expires_after=expires_after_seconds
        )

    async def get(self, file_id: str) -> File:
        """One file's record."""
        now = self._core.now()
        return await self._core.store.read(lambda tx: must_find_file(tx, file_id, now))

    async def list(self, query: PageQuery, purpose: str | None = None) -> Page:
        """A page of files, of one purpose if given; none whose time has come."""
        where = {"alive_at": str(self._core.now())} | ({"purpose": purpose} if purpose else {})
        return await list_page(self._core, File, query, where=where)

    async def delete(self, file_id: str) -> None:
        """Delete a file everywhere: its record, its place in every store and every tool's list, its bytes."""
        now = self._core.now()

        def drop(tx: Transaction) -> list[str]:
            must_find_file(tx, file_id, now)
            return drop_file(tx, file_id, now)

        await erase(self._core, file_id, await self._core.store.write(drop))

    async def content(self, file_id: str) -> tuple[File, Path]:
        """The record and where the bytes lie.

        Raises:
            InvalidRequest: files of this purpose are not handed out.
            StorageFault: the bytes are gone or damaged.
        """
        file = await self.get(file_id)
        if file.purpose in _PRIVATE:
            raise InvalidRequest(f"Not allowed to download files of purpose: {file.purpose}")
        try:
            return file, await self._core.blobs.intact(file_id, file.bytes)
        except StorageFault:
            await self.get(file_id)  # deleted at this moment: says so
            raise
