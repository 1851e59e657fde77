"""Messages (contract, 1.9)."""

from starlette.requests import Request
from starlette.responses import Response

from ...engine.requests import CreateMessage, ModifyMetadata
from ..access import Api, new_router
from ..patience import patience_of
from ..reading import read_body, read_page
from ..replies import deleted, reply

router = new_router("/v1/threads/{thread_id}/messages", "messages")


@router.get("")
async def list_messages(thread_id: str, request: Request, api: Api) -> Response:
    """Messages of a thread, or of one run in it (`run_id`)."""
    run_id = request.query_params.get("run_id") or None
    return reply(await api.messages.list(thread_id, read_page(request), run_id))


@router.post("")
async def create_message(thread_id: str, request: Request, api: Api) -> Response:
    """Add a message; refused while a run is active, unless the request would rather wait."""
    body = await read_body(request, CreateMessage)
    async with patience_of(request) as patience:
        message = await api.busy.enter(
            thread_id,
            lambda: api.messages.create(thread_id, body),
            patience,
            lambda: api.messages.check(thread_id, body),
        )
    return reply(message)


@router.get("/{message_id}")
async def get_message(thread_id: str, message_id: str, api: Api) -> Response:
    """One message."""
    return reply(await api.messages.get(thread_id, message_id))


@router.post("/{message_id}")
async def modify_message(thread_id: str, message_id: str, request: Request, api: Api) -> Response:
    """Replace the metadata."""
    body = await read_body(request, ModifyMetadata)
    return reply(await api.messages.modify(thread_id, message_id, body))


@router.delete("/{message_id}")
async def delete_message(thread_id: str, message_id: str, api: Api) -> Response:
    """Its files stay."""
    await api.messages.delete(thread_id, message_id)
    return deleted(message_id, "thread.message.deleted")
