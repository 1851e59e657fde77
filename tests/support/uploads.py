"""Uploads in tests of the core: announced, filled and completed in passing."""

from collections.abc import AsyncIterator

from local_assistants.engine import requests
from local_assistants.engine.objects import Upload
from local_assistants.engine.services import Services


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    """A stream of these chunks."""
    for chunk in chunks:
        yield chunk


async def announced(services: Services, size: int, **fields: object) -> Upload:
    """A new upload of so many bytes."""
    known: dict[str, object] = {
        "bytes": size,
        "filename": "big.txt",
        "mime_type": "text/plain",
        "purpose": "vision",
    }
    return await services.uploads.create(requests.CreateUpload.model_validate(known | fields))


async def filled(services: Services, *parts: bytes, **fields: object) -> tuple[str, list[str]]:
    """An upload with these parts: its id and theirs."""
    upload = await announced(services, sum(map(len, parts)), **fields)
    ids = [(await services.uploads.add_part(upload.id, pieces(part))).id for part in parts]
    return upload.id, ids


async def completed(
    services: Services, upload_id: str, part_ids: list[str], md5: str | None = None
) -> Upload:
    """The upload, its parts put together."""
    body = requests.CompleteUpload(part_ids=tuple(part_ids), md5=md5)
    return await services.uploads.complete(upload_id, body)
