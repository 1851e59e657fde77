"""What routes answer with: objects, pages, deletions, file downloads."""

import json
import mimetypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from ..engine.objects import File, Wire

JSON = "application/json"


def reply(obj: Wire, headers: Mapping[str, str] | None = None) -> Response:
    """An object in wire form; the same bytes as `to_wire` as JSON, written in one go."""
    return Response(obj.model_dump_json(), media_type=JSON, headers=dict(headers or {}))


def reply_json(data: Mapping[str, Any], status: int = 200) -> Response:
    """A plain JSON answer, for the few that are no object of the API."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return Response(text.encode("utf-8", "replace"), status_code=status, media_type=JSON)


def deleted(object_id: str, kind: str) -> Response:
    """The answer to a DELETE; `kind` as in `assistant.deleted`."""
    return reply_json({"id": object_id, "object": kind, "deleted": True})


class Download(FileResponse):
    """The bytes of a stored file, never shown by a browser as a page of ours.

    Files come from models and strangers: always an attachment, of exactly the type named, without any rights. Ranges
    are not served.
    """

    chunk_size = 256 * 1024

    def __init__(self, file: File, path: Path) -> None:
        guessed, encoding = mimetypes.guess_type(file.filename)
        super().__init__(
            path,
            media_type=guessed if guessed and not encoding else "application/octet-stream",
            filename=file.filename,
            headers={
                "x-content-type-options": "nosniff",
                "content-security-policy": "default-src 'none'; sandbox",
                "accept-ranges": "none",
            },
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file whole."""
        headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
        await super().__call__({**scope, "headers": headers}, receive, send)
