"""The private folder of the kernels' sockets: short paths, nobody else gets in, made again when swept away."""

import contextlib
import itertools
import os
import tempfile
from pathlib import Path

from ....engine.errors import StorageFault
from ..isolation import folders

_LONGEST = 90  # bytes; a unix socket's path may have 107, and names go under the folder


class SocketFolder:
    """A folder of mode 0700 that no other engine has.

    Attributes:
        path: where it is now.

    Raises:
        StorageFault: none can be made.
    """

    def __init__(self) -> None:
        self.path = _made()
        self._numbers = itertools.count()

    def name(self) -> Path:
        """A path in it that nobody was given before."""
        if not _is_ours(self.path):
            self.path = _made()
        return self.path / str(next(self._numbers))

    def remove(self) -> None:
        """Delete it. Blocking."""
        folders.remove_tree(self.path)


def _made() -> Path:
    """A new one, where no one cleans up by age if there is such a place."""
    places = (
        os.environ.get("XDG_RUNTIME_DIR"),
        "/run" if os.geteuid() == 0 else None,
        None,
        "/tmp",
    )
    for place in places:
        with contextlib.suppress(OSError):
            folder = Path(tempfile.mkdtemp(prefix="kernels-", dir=place))
            if len(os.fsencode(folder)) <= _LONGEST:
                return folder
            folder.rmdir()
    raise StorageFault(
        "no folder with a short path for sockets can be made: is /tmp full or read-only?"
    )


def _is_ours(folder: Path) -> bool:
    """Whether it is still there and nobody else's."""
    with contextlib.suppress(OSError):
        return folder.lstat().st_uid == os.geteuid() and folder.is_dir()
    return False
