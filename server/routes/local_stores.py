"""What the original never had: how far a vector store's files are, and where a passage stands in one."""

from starlette.requests import Request
from starlette.responses import Response

from ..access import Api, new_router
from ..reading import read_period, read_stretch
from ..replies import reply_json

router = new_router("/local/vector_stores", "local")


@router.get("/usage")
async def get_storage_use(request: Request, api: Api) -> Response:
    """GB-days of vector storage from `since` up to `until`."""
    return reply_json(await api.storage_use.between(*read_period(request)))


@router.get("/{vector_store_id}/progress")
async def get_indexing_progress(vector_store_id: str, api: Api) -> Response:
    """The files that are being indexed, each with the chunks it has and how many of them have their vectors."""
    return reply_json(await api.indexing.progress(vector_store_id))


@router.get("/{vector_store_id}/files/{file_id}/passages")
async def get_passage(vector_store_id: str, file_id: str, request: Request, api: Api) -> Response:
    """The page that a stretch of the file's text, from `start` to `end`, stands on."""
    start, end = read_stretch(request)
    return reply_json(await api.citations.opened(vector_store_id, file_id, start, end))
