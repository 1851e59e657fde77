"""Folders that are this engine's as long as it lives; what engines that were killed left is found by that and removed.

A claim is a lock on the folder itself, which goes with the process that holds it. A folder gets its name when it is
locked, so that nobody takes one that is just being made for an abandoned one. Blocking.
"""

import contextlib
import fcntl
import os
import tempfile
from pathlib import Path

from . import folders

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Claim:
    """A new folder of mode 0700 in `parent`, whose name begins with `prefix`.

    Attributes:
        path: where it is.

    Raises:
        OSError: it cannot be made there.
    """

    def __init__(self, parent: Path, prefix: str) -> None:
        _remove_abandoned(parent, prefix)
        made = Path(tempfile.mkdtemp(prefix=f"new-{prefix}", dir=parent))
        self._descriptor = os.open(made, _FLAGS)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        self.path = made.with_name(made.name.removeprefix("new-"))
        made.rename(self.path)

    def holds(self) -> bool:
        """Whether the folder is still there."""
        with contextlib.suppress(OSError):
            return os.path.samestat(self.path.lstat(), os.fstat(self._descriptor))
        return False

    def release(self) -> None:
        """Delete it."""
        folders.remove_tree(self.path)
        os.close(self._descriptor)


def _remove_abandoned(parent: Path, prefix: str) -> None:
    for folder in parent.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):  # claimed, somebody else's, or gone
            if folder.lstat().st_uid == os.geteuid():
                _remove_unclaimed(folder)


def _remove_unclaimed(folder: Path) -> None:
    descriptor = os.open(folder, _FLAGS)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        folders.remove_tree(folder)
    finally:
        os.close(descriptor)
