"""Files of a vector store and their batches (contract, 1.13)."""

from starlette.requests import Request
from starlette.responses import Response

from ...engine.requests import CreateBatch, CreateStoreFile, ModifyStoreFile
from ..access import Api, new_router
from ..reading import read_body, read_filter, read_page, settings_of
from ..replies import deleted, reply, reply_json

router = new_router("/v1/vector_stores/{vector_store_id}", "vector store files")


@router.get("/files")
async def list_store_files(vector_store_id: str, request: Request, api: Api) -> Response:
    """Files of a store, or those in one status (`filter`)."""
    query, status = read_page(request), read_filter(request)
    return reply(await api.vector_stores.list_files(vector_store_id, query, status))


@router.post("/files")
async def add_store_file(vector_store_id: str, request: Request, api: Api) -> Response:
    """Attach a file; it is indexed afterwards."""
    body = await read_body(request, CreateStoreFile)
    return reply(await api.vector_stores.add_file(vector_store_id, body))


@router.get("/files/{file_id}")
async def get_store_file(
    vector_store_id: str, file_id: str, request: Request, api: Api
) -> Response:
    """One file of the store; tells pollers when to come again."""
    file = await api.vector_stores.get_file(vector_store_id, file_id)
    return reply(file, settings_of(request).poll_headers)


@router.post("/files/{file_id}")
async def modify_store_file(
    vector_store_id: str, file_id: str, request: Request, api: Api
) -> Response:
    """Replace the attributes."""
    body = await read_body(request, ModifyStoreFile)
    return reply(await api.vector_stores.modify_file(vector_store_id, file_id, body))


@router.delete("/files/{file_id}")
async def remove_store_file(vector_store_id: str, file_id: str, api: Api) -> Response:
    """Detach; the file itself stays."""
    await api.vector_stores.remove_file(vector_store_id, file_id)
    return deleted(file_id, "vector_store.file.deleted")


@router.get("/files/{file_id}/content")
async def get_store_file_content(vector_store_id: str, file_id: str, api: Api) -> Response:
    """The text that was read from the file."""
    text = await api.vector_stores.file_text(vector_store_id, file_id)
    return reply_json(
        {
            "object": "vector_store.file_content.page",
            "data": [{"type": "text", "text": text}],
            "has_more": False,
            "next_page": None,
        }
    )


@router.post("/file_batches")
async def create_batch(vector_store_id: str, request: Request, api: Api) -> Response:
    """Attach many files at once."""
    body = await read_body(request, CreateBatch)
    return reply(await api.vector_stores.create_batch(vector_store_id, body))


@router.get("/file_batches/{batch_id}")
async def get_batch(vector_store_id: str, batch_id: str, request: Request, api: Api) -> Response:
    """One batch; tells pollers when to come again."""
    batch = await api.vector_stores.get_batch(vector_store_id, batch_id)
    return reply(batch, settings_of(request).poll_headers)


@router.post("/file_batches/{batch_id}/cancel")
async def cancel_batch(vector_store_id: str, batch_id: str, api: Api) -> Response:
    """Stop what is not yet indexed."""
    return reply(await api.vector_stores.cancel_batch(vector_store_id, batch_id))


@router.get("/file_batches/{batch_id}/files")
async def list_batch_files(
    vector_store_id: str, batch_id: str, request: Request, api: Api
) -> Response:
    """Files of a batch, or those in one status (`filter`)."""
    query, status = read_page(request), read_filter(request)
    page = await api.vector_stores.list_batch_files(vector_store_id, batch_id, query, status)
    return reply(page)
