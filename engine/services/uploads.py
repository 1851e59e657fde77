"""Uploads: files too large for one request, sent in parts and put together at the end.

Parts lie in the blob store under their own ids. Completing writes the whole file first, then makes its record and
ends the upload in one transaction: that one decides between two completions, or a completion and a cancel, and a
crash before it leaves the upload pending with its parts. Bytes that nothing names are housekeeping's to remove.
"""

import asyncio
import contextlib
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Generator, Sequence

from ..core import Core
from ..errors import AssistantsError, IllegalTransition, InvalidRequest, StorageFault
from ..objects import Upload, UploadPart, UploadPartRecord, UploadRecord
from ..ports import Transaction
from ..requests import CompleteUpload, CreateUpload
from ..requests.uploads import MOST_PARTS
from ..states import UPLOAD, On, UploadStatus
from ..stored_files import clean_name, drop_parts, erase_parts, new_file
from .files import check_purpose
from .lookup import must

_CHUNK = 1 << 20


class Uploads:
    """The uploads of this installation."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._completing: set[str] = set()

    async def create(self, body: CreateUpload) -> Upload:
        """A new upload, open for parts.

        Raises:
            InvalidRequest: no such purpose, or more bytes than an upload may have.
        """
        check_purpose(body.purpose)
        most = self._core.settings.max_upload_bytes
        if body.bytes > most:
            raise InvalidRequest(
                f"Invalid 'bytes': integer above maximum value. Expected a value <= {most}, but got {body.bytes} "
                "instead.",
                code="integer_above_max_value",
                param="bytes",
            )
        now = self._core.now()
        upload = UploadRecord(
            id=self._core.ids.new("upload"),
            bytes=body.bytes,
            created_at=now,
            filename=clean_name(body.filename),
            purpose=body.purpose,
            status=UploadStatus(UPLOAD.initial),
            expires_at=now + self._core.settings.upload_lifetime,
            mime_type=body.mime_type,
            lifetime=body.expires_after.seconds if body.expires_after else None,
        )
        await self._core.store.write(lambda tx: tx.put(upload))
        return upload.public()

    async def must_be_open(self, upload_id: str) -> None:
        """Look before a part's bytes are taken in.

        Raises:
            NotFound: no such upload.
            IllegalTransition: it was completed or cancelled, or its time is over.
        """
        await self._core.store.read(lambda tx: self._open(tx, upload_id))

    async def add_part(self, upload_id: str, chunks: AsyncIterator[bytes]) -> UploadPart:
        """Keep a part; parts may come at the same time and in any order.

        Raises:
            IllegalTransition: the upload is over.
            TooLarge: over the limit of a part.
            InvalidRequest: the upload has more parts or bytes than one may have.
        """
        await self.must_be_open(upload_id)
        core = self._core
        part_id = core.ids.new("part")
        size = await core.blobs.write(part_id, chunks, core.settings.max_part_bytes)
        part = UploadPartRecord(id=part_id, created_at=core.now(), upload_id=upload_id, size=size)

        def add(tx: Transaction) -> None:
            upload = self._open(tx, upload_id)
            tx.put(part)
            tx.put(self._grown(upload, size))

        try:
            await core.store.write(add)
        except AssistantsError:
            await self._discard(part_id)
            raise
        return part.public()

    async def complete(self, upload_id: str, body: CompleteUpload) -> Upload:
        """Put the named parts together as one file; on any refusal the upload stays as it was.

        Raises:
            IllegalTransition: the upload is over, or just being completed.
            InvalidRequest: a part is unknown or named twice, or the bytes or their MD5 are not as announced.
        """
        parts = await self._core.store.read(lambda tx: self._chosen(tx, upload_id, body))
        with self._alone(upload_id):
            upload, part_ids = await self._put_together(upload_id, parts, body.md5)
        await erase_parts(self._core, part_ids)
        return upload.public()

    @contextlib.contextmanager
    def _alone(self, upload_id: str) -> Generator[None]:
        """Refuse a second completion before it writes the whole file once more; the transaction would only after."""
        if upload_id in self._completing:
            raise IllegalTransition(f"Upload {upload_id} is being completed by another request.")
        self._completing.add(upload_id)
        try:
            yield
        finally:
            self._completing.discard(upload_id)

    async def _put_together(
        self, upload_id: str, parts: Sequence[UploadPartRecord], md5: str | None
    ) -> tuple[UploadRecord, Sequence[str]]:
        """The upload with its file, and the ids of the parts that are left to erase."""
        file_id = self._core.ids.new("file")
        digest = hashlib.md5(usedforsecurity=False)
        try:
            size = await self._core.blobs.write(
                file_id, self._bytes_of(parts, digest.update), sum(part.size for part in parts)
            )
        except StorageFault:
            await self.must_be_open(upload_id)  # its parts went because it is over: says so
            raise
        try:
            _check_md5(digest.hexdigest(), md5)
            return await self._core.store.write(
                lambda tx: self._finish(tx, upload_id, file_id, size)
            )
        except AssistantsError:
            await self._discard(file_id)
            raise

    async def cancel(self, upload_id: str) -> Upload:
        """End the upload without a file.

        Raises:
            IllegalTransition: it is over already.
        """

        def end(tx: Transaction) -> tuple[UploadRecord, Sequence[str]]:
            upload = UPLOAD.fire(self._open(tx, upload_id), On.CANCEL, self._core.now())
            tx.put(upload)
            return upload, drop_parts(tx, upload_id)

        upload, part_ids = await self._core.store.write(end)
        await erase_parts(self._core, part_ids)
        return upload.public()

    def _open(self, tx: Transaction, upload_id: str) -> UploadRecord:
        upload = must(tx, UploadRecord, upload_id)
        if upload.status is not UploadStatus.PENDING:
            raise IllegalTransition(f"Upload {upload_id} is {upload.status}. Create a new upload.")
        if upload.expires_at <= self._core.now():
            raise IllegalTransition(f"Upload {upload_id} has expired. Create a new upload.")
        return upload

    def _grown(self, upload: UploadRecord, size: int) -> UploadRecord:
        """The upload with one part more."""
        parts, received = upload.parts + 1, upload.received + size
        most = self._core.settings.max_upload_bytes
        if parts > MOST_PARTS or received > most:
            raise InvalidRequest(
                f"Upload {upload.id} has too many parts: {MOST_PARTS} parts and {most} bytes are the limits, also "
                "of parts that are not used in the end."
            )
        return upload.model_copy(update={"parts": parts, "received": received})

    def _chosen(
        self, tx: Transaction, upload_id: str, body: CompleteUpload
    ) -> list[UploadPartRecord]:
        """The parts named, in their order, if they come to what was announced."""
        upload = self._open(tx, upload_id)
        found = [tx.get(UploadPartRecord, part_id) for part_id in body.part_ids]
        parts = [part for part in found if part is not None and part.upload_id == upload_id]
        _refuse_odd_parts(body.part_ids, {part.id for part in parts}, upload_id)
        total = sum(part.size for part in parts)
        if total != upload.bytes:
            raise InvalidRequest(
                f"The parts come to {total} bytes, but upload {upload_id} was created for {upload.bytes}. Name all "
                "parts, or create a new upload with the right number.",
                param="part_ids",
            )
        return parts

    async def _bytes_of(
        self, parts: Sequence[UploadPartRecord], seen: Callable[[bytes], None]
    ) -> AsyncIterator[bytes]:
        for part in parts:
            path = await self._core.blobs.intact(part.id, part.size)
            try:
                stream = await asyncio.to_thread(path.open, "rb")
            except FileNotFoundError as error:
                raise StorageFault(f"The bytes of part {part.id} are gone.") from error
            with stream:
                while chunk := await asyncio.to_thread(stream.read, _CHUNK):
                    await asyncio.to_thread(seen, chunk)
                    yield chunk

    def _finish(
        self, tx: Transaction, upload_id: str, file_id: str, size: int
    ) -> tuple[UploadRecord, Sequence[str]]:
        """Make the file and end the upload. What began in time may end after it."""
        upload = must(tx, UploadRecord, upload_id)
        file = new_file(
            self._core,
            file_id,
            upload.filename,
            size,
            purpose=upload.purpose,
            lifetime=upload.lifetime,
        )
        done = UPLOAD.fire(upload, On.COMPLETE, self._core.now(), file=file)
        tx.put(file)
        tx.put(done)
        return done, drop_parts(tx, upload_id)

    async def _discard(self, key: str) -> None:
        """Drop bytes that will have no record."""
        with contextlib.suppress(AssistantsError):  # else housekeeping does
            await self._core.blobs.delete(key)


def _refuse_odd_parts(named: Sequence[str], known: set[str], upload_id: str) -> None:
    unknown = [part_id for part_id in named if part_id not in known]
    if unknown:
        raise InvalidRequest(
            f"No part found with id '{unknown[0][:100]}' in upload {upload_id}.", param="part_ids"
        )
    twice = [part_id for part_id, times in Counter(named).items() if times > 1]
    if twice:
        raise InvalidRequest(
            f"Part '{twice[0]}' is named more than once. Name each part once, in the file's order.",
            param="part_ids",
        )


def _check_md5(found: str, wanted: str | None) -> None:
    if wanted is not None and found != wanted.lower():
        raise InvalidRequest(
            f"The MD5 of the assembled file is {found}, not '{wanted}'. Check the parts and their order.",
            param="md5",
        )
