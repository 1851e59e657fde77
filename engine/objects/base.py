"""What all API objects share: frozen, serialised in wire order, optionally without nulls."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class Wire(BaseModel):
    """Base of everything a client sees. Frozen; unknown fields are kept out."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    def to_wire(self) -> dict[str, Any]:
        """The JSON-ready form a client receives."""
        return self.model_dump(mode="json")


class Sparse(Wire):
    """A part whose None fields are left out of the wire form (deltas, optional extras)."""

    @model_serializer(mode="wrap")
    def _leave_out_none(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in handler(self).items() if value is not None}


class Page(Wire):
    """One page of a list, ready for the wire."""

    object: Literal["list"] = "list"
    data: tuple[Any, ...]
    first_id: str | None = None
    last_id: str | None = None
    has_more: bool = False
