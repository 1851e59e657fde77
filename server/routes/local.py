"""What the original never had: all threads in a list, and one written out whole (docs/streams.md)."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from typing import BinaryIO

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from ...engine.services import ExportFormat
from ..access import Api, new_router
from ..patience import watched
from ..reading import read_export_format, read_thread_list
from ..replies import reply, reply_json

router = new_router("/local/threads", "local")

_MEDIA_TYPES = {ExportFormat.JSONL: "application/jsonl", ExportFormat.JSON: "application/json"}
_CHUNK = 256 * 1024


@router.get("")
async def list_threads(request: Request, api: Api) -> Response:
    """All threads, newest first, each with what is going on in it."""
    return reply(await api.overview.threads(read_thread_list(request)))


@router.get("/{thread_id}/export")
async def export_thread(thread_id: str, request: Request, api: Api) -> Response:
    """A thread with its messages, runs, steps, events and the records of its files."""
    form = read_export_format(request)
    # Written out first: a client that reads slowly would keep a reader of the store as long as it likes.
    file: BinaryIO = await asyncio.to_thread(tempfile.TemporaryFile)
    try:
        async with watched(request) as gone:
            await api.export.write(thread_id, file, form, gone=gone)
    except BaseException:
        file.close()
        raise
    return WrittenOut(file, f"{thread_id}.{form}", _MEDIA_TYPES[form])


@router.get("/{thread_id}/runs/{run_id}/prompt")
async def get_run_prompt(thread_id: str, run_id: str, api: Api) -> Response:
    """What the run's model was told: instructions, profiles of files, tools, outputs with their hints."""
    return reply_json(await api.run_prompts.get(thread_id, run_id))


@router.get("/{thread_id}/messages/{message_id}/citations")
async def list_citations(thread_id: str, message_id: str, api: Api) -> Response:
    """The message's citations, each with the page and the sentence behind it."""
    data = await api.citations.of_message(thread_id, message_id)
    return reply_json({"object": "list", "data": data})


class WrittenOut(StreamingResponse):
    """A file that nobody else has, sent as a download and closed whatever becomes of it."""

    def __init__(self, file: BinaryIO, name: str, media_type: str) -> None:
        size = file.tell()
        file.seek(0)
        headers = {
            "content-length": str(size),
            "content-disposition": f'attachment; filename="{name}"',
            "x-content-type-options": "nosniff",
        }
        super().__init__(_chunks(file), headers=headers, media_type=media_type)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file."""
        with self._file:
            await super().__call__(scope, receive, send)


async def _chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(file.read, _CHUNK):
        yield chunk
