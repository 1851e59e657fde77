"""The vector index that an operator chose."""

from collections.abc import Callable
from pathlib import Path

from .chroma import ChromaIndex
from .folder import FolderHome
from .server import ServerHome


def open_index(
    folder: Path, address: str | None = None, mine: Callable[[], bool] = lambda: True
) -> ChromaIndex:
    """An index in `folder`, or on the Chroma server at `address`. Nothing is opened before it is used.

    `mine` is asked before: whether it is this process that may.

    Raises:
        InvalidRequest: `address` is no http address.
    """
    home = FolderHome(folder) if address is None else ServerHome(address, folder)
    return ChromaIndex(home, mine)
