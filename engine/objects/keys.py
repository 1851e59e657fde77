"""API keys: who may come in, and to which project. No object of the API itself; operators see it.

The key's secret is nowhere in here: only its hash, which neither the wire form nor `repr` shows.
"""

from typing import Any, Literal

from pydantic import Field

from .base import Wire

DEFAULT_PROJECT = "default"
"""What belongs to nobody in particular: made without a key, embedded, or before there were projects."""


class ApiKey(Wire):
    """A key that was given out. `revoked_at`: Unix seconds; None while it opens the door."""

    id: str
    object: Literal["api_key"] = "api_key"
    created_at: int
    name: str = ""
    project: str = DEFAULT_PROJECT
    ending: str  # the secret's last characters, to recognise it by
    revoked_at: int | None = None
    digest: str = Field(repr=False)  # SHA-256 of the secret, hexadecimal

    def to_wire(self) -> dict[str, Any]:
        """What operators see."""
        return self.model_dump(mode="json", exclude={"digest"})
