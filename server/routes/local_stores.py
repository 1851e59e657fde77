"""What the original never had: how far a vector store's files are on their way into the index."""

from starlette.responses import Response

from ..access import Api, new_router
from ..replies import reply_json

router = new_router("/local/vector_stores", "local")


@router.get("/{vector_store_id}/progress")
async def get_indexing_progress(vector_store_id: str, api: Api) -> Response:
    """The files that are being indexed, each with the chunks it has and how many of them have their vectors."""
    return reply_json(await api.indexing.progress(vector_store_id))
