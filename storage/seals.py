"""What a file's bytes hashed to when they were written, kept with the file itself as an extended attribute.

The seal is set before the file gets its name, so whoever finds the file finds it. File systems without such
attributes, and copies that do not carry them along, have files without a seal; of those only the size is known.
"""

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_NAME = "user.local_assistants.sha256"
_CHUNK = 1 << 20
_NONE = (errno.ENODATA, errno.ENOTSUP)


def put(file: BinaryIO | Path, digest: str) -> None:
    """Seal an open file, or one by its path, with the hexadecimal SHA-256 of its bytes.

    Raises:
        OSError: the disk refused; not that it keeps no attributes.
    """
    try:
        os.setxattr(file if isinstance(file, Path) else file.fileno(), _NAME, bytes.fromhex(digest))
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise


def of(place: Path) -> str | None:
    """The seal of a file; None when it has none.

    Raises:
        OSError: there is no such file, or it cannot be read.
    """
    try:
        return os.getxattr(place, _NAME).hex()
    except OSError as error:
        if error.errno in _NONE:
            return None
        raise


def digest(place: Path, seen: Callable[[int], None] = lambda size: None) -> str:
    """The hexadecimal SHA-256 of the bytes as they are now; `seen` is told how many were read, each time.

    Raises:
        OSError: they cannot be read.
    """
    found = hashlib.sha256()
    with place.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            found.update(chunk)
            seen(len(chunk))
    return found.hexdigest()
