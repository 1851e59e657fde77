"""The private folder of the kernels' sockets: short paths, nobody else gets in, made again when swept away."""

import contextlib
import itertools
import os
import tempfile
from pathlib import Path

from ....engine.errors import StorageFault
from ..isolation.claims import Claim

_LONGEST = 90  # bytes; a unix socket's path may have 107, and names go under the folder
_PREFIX = "kernels-"


class SocketFolder:
    """A folder of mode 0700 that no other engine has. Those of engines that were killed are removed.

    Raises:
        StorageFault: none can be made.
    """

    def __init__(self) -> None:
        self._claim = _claimed()
        self._numbers = itertools.count()

    @property
    def path(self) -> Path:
        """Where it is now."""
        return self._claim.path

    def name(self) -> Path:
        """A path in it that nobody was given before."""
        if not self._claim.holds():
            self._claim.release()
            self._claim = _claimed()
        return self.path / str(next(self._numbers))

    def remove(self) -> None:
        """Delete it. Blocking."""
        self._claim.release()


def _claimed() -> Claim:
    """A new one, where no one cleans up by age if there is such a place."""
    places = (
        os.environ.get("XDG_RUNTIME_DIR"),
        "/run" if os.geteuid() == 0 else None,
        tempfile.gettempdir(),
        "/tmp",
    )
    for place in places:
        if place is not None:
            with contextlib.suppress(OSError):
                claim = Claim(Path(place), _PREFIX)
                if len(os.fsencode(claim.path)) <= _LONGEST:
                    return claim
                claim.release()
    raise StorageFault(
        "no folder with a short path for sockets can be made: is /tmp full or read-only?"
    )
