"""Models (contract, 1.16)."""

from starlette.responses import Response

from ..access import Api, new_router
from ..replies import reply, reply_json

router = new_router("/v1/models", "models")


@router.get("")
async def list_models(api: Api) -> Response:
    """All models that answer here; this list has no pages."""
    data = [model.to_wire() for model in await api.models.list()]
    return reply_json({"object": "list", "data": data})


@router.get("/{model:path}")  # names of models may hold slashes
async def get_model(model: str, api: Api) -> Response:
    """One model."""
    return reply(await api.models.get(model))


@router.delete("/{model:path}")
async def delete_model(model: str, api: Api) -> None:
    """Only fine-tuned models can be deleted, and none is here: the answer says how the operator removes one."""
    await api.models.delete(model)
