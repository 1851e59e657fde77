"""Brings bytes into the blob store and makes the File record; the one way files come to be."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from .core import Core
from .objects import File

MAX_FILE_BYTES = 512 * 1024 * 1024  # contract, 1.14
_CHUNK = 1 << 20


async def keep_file(
    core: Core,
    filename: str,
    source: bytes | Path | AsyncIterator[bytes],
    *,
    purpose: str,
    expires_after: int | None = None,
) -> File:
    """Store bytes, then their record; a crash between the two leaves a blob nobody names, never a broken file.

    Raises:
        TooLarge: over 512 MB; nothing is kept.
    """
    file_id = core.ids.new("file")
    size = await core.blobs.write(file_id, _chunks(source), MAX_FILE_BYTES)
    now = core.now()
    file = File(
        id=file_id,
        purpose=purpose,
        filename=filename,
        bytes=size,
        created_at=now,
        expires_at=None if expires_after is None else now + expires_after,
    )
    try:
        await core.store.write(lambda tx: tx.put(file))
    except BaseException:
        with contextlib.suppress(Exception):
            await core.blobs.delete(file_id)
        raise
    return file


async def _chunks(source: bytes | Path | AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if isinstance(source, bytes):
        yield source
    elif isinstance(source, Path):
        with source.open("rb") as stream:
            while chunk := await asyncio.to_thread(stream.read, _CHUNK):
                yield chunk
    else:
        async for chunk in source:
            yield chunk
