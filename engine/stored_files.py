"""Brings bytes into the blob store and makes the File record, and takes both away; the one way files come and go.

Bytes come before their record and go after it. So a crash in between leaves bytes that nobody names, which
housekeeping removes, and never a file without its bytes.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TypeVar

from .core import Core
from .errors import AssistantsError
from .objects import Assistant, File, FileIds, Thread, UploadPartRecord, VectorStoreFile
from .ports import PageQuery, Transaction
from .requests.uploads import MOST_PARTS
from .tally import Change, account

OwnerT = TypeVar("OwnerT", Assistant, Thread)

_log = logging.getLogger("local_assistants.files")
_CHUNK = 1 << 20
_LONGEST_NAME, _LEAST_STEM = 255, 200  # characters; what leaves less is no ending


async def keep_file(
    core: Core,
    filename: str,
    source: bytes | Path | AsyncIterator[bytes],
    *,
    purpose: str,
    expires_after: int | None = None,
) -> File:
    """Store bytes, then their record.

    Raises:
        TooLarge: over the limit of `CoreSettings`; nothing is kept.
    """
    file_id = core.ids.new("file")
    size = await core.blobs.write(file_id, _chunks(source), core.settings.max_file_bytes)
    file = new_file(core, file_id, filename, size, purpose=purpose, lifetime=expires_after)
    try:
        await core.store.write(lambda tx: tx.put(file))
    except AssistantsError:  # not a cancel: then the record may have been made
        with contextlib.suppress(AssistantsError):
            await core.blobs.delete(file_id)
        raise
    return file


def new_file(
    core: Core, file_id: str, filename: str, size: int, *, purpose: str, lifetime: int | None
) -> File:
    """The record of a file made now; `lifetime` in seconds, None: for ever."""
    now = core.now()
    return File(
        id=file_id,
        purpose=purpose,
        filename=clean_name(filename),
        bytes=size,
        created_at=now,
        expires_at=None if lifetime is None else now + lifetime,
    )


def clean_name(name: str | None) -> str:
    """A file name without folders and control characters, at most 255 long; "upload" when nothing is left.

    A longer one keeps its ending, by which the file's type is known.
    """
    last = (name or "").replace("\\", "/").rsplit("/", 1)[-1]
    cleaned = "".join(c for c in last if c.isprintable()).strip()
    if len(cleaned) > _LONGEST_NAME:
        ending = PurePosixPath(cleaned).suffix
        kept = _LONGEST_NAME - len(ending)
        cleaned = cleaned[:kept] + ending if kept >= _LEAST_STEM else cleaned[:_LONGEST_NAME]
    return "upload" if cleaned in ("", ".", "..") else cleaned


def drop_file(tx: Transaction, file_id: str, now: int) -> list[str]:
    """Take a file out of every vector store and every code interpreter's list, and drop its record.

    Returns:
        Ids of the vector stores it was in; `erase` still has to be called for these.
    """
    store_ids = tx.stores_with_file(file_id)
    for store_id in store_ids:
        detach(tx, store_id, file_id, now)
    _unlist(tx, Assistant, file_id)
    _unlist(tx, Thread, file_id)
    tx.delete(File, file_id)
    return store_ids


def _unlist(tx: Transaction, kind: type[OwnerT], file_id: str) -> None:
    """Take a file out of the code interpreter's lists of all assistants or threads."""
    for owner_id in tx.owners_of_file(kind, file_id):
        owner = tx.get(kind, owner_id)
        if owner is not None:
            left = tuple(id_ for id_ in owner.tool_resources.file_ids if id_ != file_id)
            listed = {"code_interpreter": FileIds(file_ids=left)}
            resources = owner.tool_resources.model_copy(update=listed)
            tx.put(owner.model_copy(update={"tool_resources": resources}))


def detach(tx: Transaction, store_id: str, file_id: str, now: int) -> None:
    """Take a file out of one vector store; its place in the library is the caller's to clear."""
    key = f"{store_id}/{file_id}"
    item = tx.get(VectorStoreFile, key)
    if item is not None:
        tx.delete(VectorStoreFile, key)
        account(tx, store_id, [Change(item, None)], now)


async def erase(core: Core, file_id: str, store_ids: list[str]) -> None:
    """Clear what a dropped file leaves outside the store: its text and vectors in the library, its bytes."""
    for store_id in store_ids:
        await core.library.remove(store_id, file_id)
    await core.blobs.delete(file_id)


def drop_parts(tx: Transaction, upload_id: str) -> list[str]:
    """Drop the records of an upload's parts.

    Returns:
        Their ids; `erase_parts` still has to be called for these.
    """
    parts, _ = tx.page(UploadPartRecord, PageQuery({"upload_id": upload_id}, MOST_PARTS, "asc"))
    tx.delete_where(UploadPartRecord, {"upload_id": upload_id})
    return [part.id for part in parts]


async def erase_parts(core: Core, part_ids: Sequence[str]) -> None:
    """Drop the bytes of parts; what the disk refuses now, or a crash brings back, is left to housekeeping."""
    try:
        await core.blobs.delete_all(part_ids)
    except AssistantsError:
        _log.exception("the bytes of some parts could not be removed")


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
