"""Multipart forms that bring bytes: these go to disk as they come, and no more than the limit is ever taken in.

The purpose may stand behind the file (the Node SDK sends it so), hence the file is spooled first. Knows nothing of
how files are kept.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import BinaryIO

from starlette.requests import Request

from ..engine.errors import InvalidRequest, TooLarge
from ..engine.requests.uploads import LONGEST_LIFE, SHORTEST_LIFE
from .bodies import chunks_of
from .multipart import Form, read_form
from .reading import limits_of, settings_of
from .validation import missing, out_of_range, unsupported_value, wrong_type

_CHUNK = 1 << 20
_FORM_OVERHEAD = 1 << 20  # room for the other fields and the boundaries


@dataclass(frozen=True, slots=True)
class FileForm:
    """The form of POST /files. `chunks` reads the file once."""

    filename: str
    purpose: str
    chunks: AsyncIterator[bytes]
    expires_after: int | None  # seconds


@asynccontextmanager
async def read_file_form(request: Request) -> AsyncGenerator[FileForm, None]:
    """The form, for the length of the block; its temporary file is gone afterwards.

    The name stands with the file, or, as the agents client sends it, in a field `filename`.

    Raises:
        InvalidRequest: not multipart, broken, or a field is missing or wrong.
        TooLarge: the file is over the limit.
        SilentBody: the rest of the form did not come.
    """
    limit = limits_of(request).max_file_bytes
    form = await _read(request, limit, bare_file="file")
    try:
        file = _file_of(form, "file", limit)
        if "purpose" not in form.fields:
            raise _refused(*missing("purpose"), "purpose")
        expiry = _expires_after(form.fields)
        name = form.filename or form.fields.get("filename", "")
        yield FileForm(name, form.fields["purpose"], _chunks(file), expiry)
    finally:
        form.close()


@asynccontextmanager
async def read_part_form(request: Request) -> AsyncGenerator[AsyncIterator[bytes], None]:
    """The bytes of an upload's part, for the length of the block, to be read once; `data` needs no file name.

    Raises:
        InvalidRequest: not multipart, broken, or there is no `data`.
        TooLarge: the part is over the limit.
        SilentBody: the rest of the form did not come.
    """
    limit = limits_of(request).max_part_bytes
    form = await _read(request, limit, bare_file="data")
    try:
        yield _chunks(_file_of(form, "data", limit))
    finally:
        form.close()


def _file_of(form: Form, field: str, limit: int) -> BinaryIO:
    if form.file is None or form.file_field != field:
        raise _refused(*missing(field), field)
    if form.size > limit:
        raise _too_large(limit, form.size)
    return form.file


async def _read(request: Request, most: int, bare_file: str | None = None) -> Form:
    limit = most + _FORM_OVERHEAD
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != "multipart/form-data":
        raise InvalidRequest(
            f"Unsupported content type: '{content_type[:200]}'. Send the file as 'multipart/form-data'."
        )
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:18]) > limit:
        raise _too_large(limit, int(declared[:18]))
    return await read_form(content_type, _limited(request, limit), bare_file)


async def _limited(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    read = 0
    async for chunk in chunks_of(request, settings_of(request).body_silence):
        read += len(chunk)
        if read > limit:
            raise _too_large(limit, read)
        yield chunk


async def _chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(file.read, _CHUNK):
        yield chunk


def _expires_after(form: Mapping[str, str]) -> int | None:
    anchor, seconds = form.get("expires_after[anchor]"), form.get("expires_after[seconds]")
    if anchor is None and seconds is None:
        return None
    if anchor != "created_at":
        told = unsupported_value(anchor or "", ("created_at",)), "invalid_value"
        raise _refused(*told, "expires_after.anchor")
    param = "expires_after.seconds"
    if seconds is None:
        raise _refused(*missing(param), param)
    if not (seconds.isascii() and seconds.isdecimal() and len(seconds) < 20):
        raise _refused(*wrong_type(param, "an integer", seconds), param)
    number = int(seconds)
    if not SHORTEST_LIFE <= number <= LONGEST_LIFE:
        below = number < SHORTEST_LIFE
        bound = SHORTEST_LIFE if below else LONGEST_LIFE
        raise _refused(*out_of_range(param, number, bound, below=below), param)
    return number


def _refused(message: str, code: str | None, param: str) -> InvalidRequest:
    return InvalidRequest(message, code=code, param=param)


def _too_large(limit: int, read: int) -> TooLarge:
    return TooLarge(f"Maximum content size limit ({limit}) exceeded ({read} bytes read)")
