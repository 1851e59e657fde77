"""Files (contract, 1.14)."""

from starlette.requests import Request
from starlette.responses import Response

from ..access import Api, new_router
from ..reading import read_page
from ..replies import Download, deleted, reply
from ..uploads import read_file_form

router = new_router("/v1/files", "files")


@router.get("")
async def list_files(request: Request, api: Api) -> Response:
    """All files, or those of one purpose."""
    query = read_page(request, limit=10_000, highest=10_000)
    return reply(await api.files.list(query, request.query_params.get("purpose") or None))


@router.post("")
async def create_file(request: Request, api: Api) -> Response:
    """Upload a file as a multipart form."""
    async with read_file_form(request) as form:
        file = await api.files.create(form.filename, form.purpose, form.chunks, form.expires_after)
    return reply(file)


@router.get("/{file_id}")
async def get_file(file_id: str, api: Api) -> Response:
    """One file's record."""
    return reply(await api.files.get(file_id))


@router.delete("/{file_id}")
async def delete_file(file_id: str, api: Api) -> Response:
    """Gone from every vector store and code interpreter, too."""
    await api.files.delete(file_id)
    return deleted(file_id, "file")


@router.get("/{file_id}/content")
async def get_file_content(file_id: str, api: Api) -> Response:
    """The bytes."""
    return Download(*await api.files.content(file_id))
