"""Vector stores and searches in them (contract, 1.12)."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ...engine.ports import Passage
from ...engine.requests import CreateVectorStore, ModifyVectorStore, SearchStore
from ..access import Api, new_router
from ..reading import read_body, read_page
from ..replies import deleted, reply, reply_json

router = new_router("/v1/vector_stores", "vector stores")


@router.get("")
async def list_vector_stores(request: Request, api: Api) -> Response:
    """Newest first unless asked otherwise."""
    return reply(await api.vector_stores.list(read_page(request)))


@router.post("")
async def create_vector_store(request: Request, api: Api) -> Response:
    """Make a store; its files are indexed afterwards."""
    return reply(await api.vector_stores.create(await read_body(request, CreateVectorStore)))


@router.get("/{vector_store_id}")
async def get_vector_store(vector_store_id: str, api: Api) -> Response:
    """One store."""
    return reply(await api.vector_stores.get(vector_store_id))


@router.post("/{vector_store_id}")
async def modify_vector_store(vector_store_id: str, request: Request, api: Api) -> Response:
    """Change name, expiry or metadata."""
    body = await read_body(request, ModifyVectorStore)
    return reply(await api.vector_stores.modify(vector_store_id, body))


@router.delete("/{vector_store_id}")
async def delete_vector_store(vector_store_id: str, api: Api) -> Response:
    """Its files stay."""
    await api.vector_stores.delete(vector_store_id)
    return deleted(vector_store_id, "vector_store.deleted")


@router.post("/{vector_store_id}/search")
async def search_vector_store(vector_store_id: str, request: Request, api: Api) -> Response:
    """The passages that fit the query best."""
    body = await read_body(request, SearchStore)
    passages = await api.vector_stores.search(vector_store_id, body)
    return reply_json(
        {
            "object": "vector_store.search_results.page",
            "search_query": list(api.vector_stores.looked_for(body)),
            "data": [_result(passage) for passage in passages],
            "has_more": False,
            "next_page": None,
        }
    )


def _result(passage: Passage) -> dict[str, Any]:
    """As the API has it, and where the text stands in its file."""
    chunk = passage.chunk
    return {
        "file_id": chunk.file_id,
        "filename": passage.filename,
        "score": passage.score,
        "attributes": dict(passage.attributes),
        "content": [{"type": "text", "text": chunk.text}],
        "start": chunk.start,
        "end": chunk.end,
        **({"page": chunk.page} if chunk.page is not None else {}),
    }
