"""Assistants (contract, 1.6)."""

from starlette.requests import Request
from starlette.responses import Response

from ...engine.requests import CreateAssistant, ModifyAssistant
from ..access import Api, new_router
from ..reading import read_body, read_page
from ..replies import deleted, reply

router = new_router("/v1/assistants", "assistants")


@router.get("")
async def list_assistants(request: Request, api: Api) -> Response:
    """Newest first unless asked otherwise."""
    return reply(await api.assistants.list(read_page(request)))


@router.post("")
async def create_assistant(request: Request, api: Api) -> Response:
    """Make an assistant."""
    return reply(await api.assistants.create(await read_body(request, CreateAssistant)))


@router.get("/{assistant_id}")
async def get_assistant(assistant_id: str, api: Api) -> Response:
    """One assistant."""
    return reply(await api.assistants.get(assistant_id))


@router.post("/{assistant_id}")
async def modify_assistant(assistant_id: str, request: Request, api: Api) -> Response:
    """Change what the body names; runs under way keep what they started with."""
    body = await read_body(request, ModifyAssistant)
    return reply(await api.assistants.modify(assistant_id, body))


@router.delete("/{assistant_id}")
async def delete_assistant(assistant_id: str, api: Api) -> Response:
    """Its threads and runs stay."""
    await api.assistants.delete(assistant_id)
    return deleted(assistant_id, "assistant.deleted")
