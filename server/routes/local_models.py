"""What the original never had: how the models of this machine are."""

from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ...engine.ports import ModelStatus
from ..access import Api, new_router
from ..reading import settings_of
from ..replies import reply_json

router = new_router("/local/models", "local")


@router.get("")
async def list_model_states(request: Request, api: Api) -> Response:
    """Every model: unloaded, loading and how far, ready and what it takes, or failed and why."""
    told = settings_of(request).on_loopback
    return reply_json(
        {"object": "list", "data": [_shown(each, told) for each in api.models.states()]}
    )


def _shown(status: ModelStatus, told: bool) -> dict[str, Any]:
    """Reasons name folders of the host, which is nobody's business from afar."""
    shown = asdict(status)
    if status.state == "failed" and not told:
        shown["detail"] = "It cannot be loaded; 'local-assistants doctor' says why."
    return shown
