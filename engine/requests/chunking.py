"""Chunking strategies as a client may send them."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .. import objects
from .base import Body, Integer, problem, rule


class StaticChunkingBody(Body):
    """Sizes in tokens; the overlap is at most half of a chunk."""

    max_chunk_size_tokens: Annotated[Integer, Field(ge=100, le=4096)]
    chunk_overlap_tokens: Annotated[Integer, Field(ge=0)]

    @model_validator(mode="after")
    def _at_most_half(self) -> "StaticChunkingBody":
        if 2 * self.chunk_overlap_tokens > self.max_chunk_size_tokens:
            raise rule("'chunk_overlap_tokens' must not exceed half of 'max_chunk_size_tokens'.")
        return self


class ChunkingBody(Body):
    """`{type: auto}` or `{type: static, static: {...}}`."""

    type: Literal["auto", "static"]
    static: StaticChunkingBody | None = None

    @model_validator(mode="after")
    def _static_with_its_sizes(self) -> "ChunkingBody":
        if self.type == "static" and self.static is None:
            raise problem("missing", ("static",), None)
        if self.type == "auto" and self.static is not None:
            raise problem("extra_forbidden", ("static",), None)
        return self

    def resolved(self) -> objects.StaticChunking | None:
        """The sizes asked for; None for auto."""
        return objects.StaticChunking(**self.static.model_dump()) if self.static else None
