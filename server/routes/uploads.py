"""Uploads in parts (contract, 1.15)."""

from starlette.requests import Request
from starlette.responses import Response

from ...engine.requests import CompleteUpload, CreateUpload
from ..access import Api, new_router
from ..reading import read_body
from ..replies import reply
from ..uploads import read_part_form

router = new_router("/v1/uploads", "uploads")


@router.post("")
async def create_upload(request: Request, api: Api) -> Response:
    """Announce a file that will come in parts."""
    return reply(await api.uploads.create(await read_body(request, CreateUpload)))


@router.post("/{upload_id}/parts")
async def add_upload_part(upload_id: str, request: Request, api: Api) -> Response:
    """Take in one part; parts may come at the same time."""
    await api.uploads.must_be_open(upload_id)  # before its bytes are
    async with read_part_form(request) as chunks:
        part = await api.uploads.add_part(upload_id, chunks)
    return reply(part)


@router.post("/{upload_id}/complete")
async def complete_upload(upload_id: str, request: Request, api: Api) -> Response:
    """Put the parts together; the answer carries the file."""
    body = await read_body(request, CompleteUpload)
    return reply(await api.uploads.complete(upload_id, body))


@router.post("/{upload_id}/cancel")
async def cancel_upload(upload_id: str, api: Api) -> Response:
    """Give the upload up."""
    return reply(await api.uploads.cancel(upload_id))
