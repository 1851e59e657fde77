"""Uploads as a client may send them, and what both ways of bringing in a file share."""

from typing import Annotated, Literal

from pydantic import Field

from .base import Body, Integer

PURPOSES = ("fine-tune", "assistants", "batch", "user_data", "vision", "evals")
"""What a client may upload a file for. Checked by the services, since multipart forms come without a body."""

MOST_PARTS = 10_000
"""Parts of one upload; of the usual size 128 are enough."""

SHORTEST_LIFE = 3_600
LONGEST_LIFE = 2_592_000
"""Seconds a file may be given to live."""


class FileExpiryBody(Body):
    """Seconds after the file's creation."""

    anchor: Literal["created_at"]
    seconds: Annotated[Integer, Field(ge=SHORTEST_LIFE, le=LONGEST_LIFE)]


class CreateUpload(Body):
    """POST /uploads. `bytes`: what the parts will come to."""

    bytes: Annotated[Integer, Field(ge=0)]
    filename: Annotated[str, Field(min_length=1, max_length=1024)]
    mime_type: Annotated[str, Field(max_length=255)]
    purpose: Annotated[str, Field(json_schema_extra={"enum": [*PURPOSES]})]
    expires_after: FileExpiryBody | None = None


class CompleteUpload(Body):
    """POST /uploads/{id}/complete: the parts in the file's order, and the hexadecimal MD5 of all bytes."""

    part_ids: Annotated[tuple[str, ...], Field(max_length=MOST_PARTS)]
    md5: Annotated[str, Field(max_length=64)] | None = None
