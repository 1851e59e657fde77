"""Ends what is past its time, and removes bytes that nothing names.

The worker's heartbeat is its clock: `wake` it at each beat. It works when the next expiry is due, and now and then,
since another process on the same data may have made something that expires. It holds no plan of its own: what is due
is in the store, so a restart goes on where it stopped, and two processes may keep house together.
"""

import logging
from collections.abc import Sequence

from .background import Background
from .core import Core
from .objects import File, UploadRecord, VectorStore
from .ports import Transaction
from .states import UPLOAD, VECTOR_STORE, On
from .stored_files import drop_file, drop_parts, erase, erase_parts
from .tally import cancel_files

_log = logging.getLogger("local_assistants.housekeeping")
_KEYS_AT_ONCE = 1000


class Housekeeping(Background):
    """The one task that tidies up. `start` it once."""

    def __init__(self, core: Core) -> None:
        super().__init__()
        self._core = core
        self._next = 0.0  # when there is something to do
        self._next_sweep = 0.0

    async def _once(self) -> None:
        now = self._core.clock.now()
        if now < self._next:
            return
        try:
            await self.expire()
            if now >= self._next_sweep:
                await self.sweep()
                self._next_sweep = now + self._core.settings.orphan_age
            self._next = await self._due_next(now)
        # Whatever one file's index or disk does, the rest has to be looked after.
        except Exception:
            _log.exception("housekeeping failed; the next heartbeat tries again")

    async def _due_next(self, now: float) -> float:
        due = await self._core.store.read(lambda tx: tx.next_due())
        latest = now + self._core.settings.housekeeping
        return latest if due is None else min(latest, due)

    async def expire(self) -> None:
        """End everything whose time has come."""
        now = self._core.now()
        store = self._core.store
        while uploads := await store.read(lambda tx: tx.due(UploadRecord, now)):
            for upload in uploads:
                await self._expire_upload(upload.id, now)
        while files := await store.read(lambda tx: tx.due(File, now)):
            for file in files:
                await self._expire_file(file.id, now)
        while stores := await store.read(lambda tx: tx.due(VectorStore, now)):
            for vector_store in stores:
                await self._expire_store(vector_store.id, now)

    async def sweep(self) -> None:
        """Remove bytes without a record: what a crash left between writing the one and the other."""
        keys = await self._core.blobs.keys(self._core.settings.orphan_age)
        for start in range(0, len(keys), _KEYS_AT_ONCE):
            await self._sweep_among(keys[start : start + _KEYS_AT_ONCE])

    async def _sweep_among(self, keys: Sequence[str]) -> None:
        for key in await self._core.store.read(lambda tx: tx.unowned(keys)):
            _log.info("removing the bytes of %s, which nothing names", key)
            await self._core.blobs.delete(key)

    async def _expire_upload(self, upload_id: str, now: int) -> None:
        def end(tx: Transaction) -> list[str]:
            upload = tx.get(UploadRecord, upload_id)
            if upload is None or not UPLOAD.allows(upload.status, On.EXPIRE):
                return []  # completed or cancelled at the last moment
            tx.put(UPLOAD.fire(upload, On.EXPIRE, now))
            return drop_parts(tx, upload_id)

        await erase_parts(self._core, await self._core.store.write(end))

    async def _expire_file(self, file_id: str, now: int) -> None:
        store_ids = await self._core.store.write(lambda tx: drop_file(tx, file_id, now))
        await erase(self._core, file_id, store_ids)

    async def _expire_store(self, store_id: str, now: int) -> None:
        """Mark it, and let go of what can never be searched again."""

        def end(tx: Transaction) -> bool:
            store = tx.get(VectorStore, store_id)
            due = store is not None and store.expires_at is not None and store.expires_at <= now
            if store is None or not due or not VECTOR_STORE.allows(store.status, On.EXPIRE):
                return False  # used or deleted at the last moment
            cancel_files(tx, store_id, {"vector_store_id": store_id}, now)
            counted = tx.get(VectorStore, store_id) or store
            tx.put(VECTOR_STORE.fire(counted, On.EXPIRE, now))
            tx.add_storage(store_id, 0, store.expires_at or now)  # whenever we come to it
            return True

        if await self._core.store.write(end):
            await self._core.library.drop(store_id)
