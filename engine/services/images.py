"""Images that clients put into messages: what a vision model could read, else refused before anything is stored.

Looks at names and purposes only: it opens no file and fetches no URL. Nothing here ever does: a backend gets the URL.
"""

import re
from collections.abc import Sequence
from pathlib import PurePath

from ..errors import InvalidRequest
from ..objects import Content, File, ImageFileContent, ImageUrlContent
from ..ports import Transaction
from .lookup import require_files

_PURPOSES = ("vision", "assistants", "assistants_output")
FORMATS = (".jpeg", ".jpg", ".png", ".gif", ".webp")
_URL = re.compile(
    r"https?://[^/?#]+/[^?#]*\.(?:jpe?g|png|gif|webp)(?:[?#].*)?"
    r"|data:image/(?:jpeg|png|gif|webp);base64,[A-Za-z0-9+/]+=*",
    re.IGNORECASE | re.DOTALL,
)


def check_images(tx: Transaction, content: Sequence[Content], now: int) -> None:
    """Refuse a message whose images nobody could show.

    Raises:
        InvalidRequest: a file does not exist or is no image by its name or purpose, or a URL names no image.
    """
    for part in content:
        if isinstance(part, ImageFileContent):
            _check_file(tx, part.image_file.file_id, now)
        elif isinstance(part, ImageUrlContent) and not _URL.fullmatch(part.image_url.url):
            raise InvalidRequest(
                f"Invalid message content: the image URL '{part.image_url.url[:200]}' must end in a supported format: "
                f"{', '.join(FORMATS)}; or be a base64 data URL of such an image."
            )


def _check_file(tx: Transaction, file_id: str, now: int) -> None:
    require_files(tx, [file_id], "content", now)
    file = tx.get(File, file_id)
    name = file.filename if file is not None else ""
    if not name.lower().endswith(FORMATS):
        found = PurePath(name).suffix or "a name without ending"
        raise InvalidRequest(
            "Invalid message content: Expected file type to be a supported format: "
            f"{', '.join(FORMATS)} but got {found}."
        )
    if file is not None and file.purpose not in _PURPOSES:
        raise InvalidRequest(
            f"Invalid message content: the file '{file_id}' has the purpose '{file.purpose}'. Upload an image for "
            "messages with the purpose 'vision' or 'assistants'."
        )
