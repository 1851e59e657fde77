"""The vector index that an operator chose."""

from pathlib import Path

from .chroma import ChromaIndex
from .folder import FolderHome
from .server import ServerHome


def open_index(folder: Path, address: str | None = None) -> ChromaIndex:
    """An index in `folder`, or on the Chroma server at `address`. Nothing is opened before it is used.

    Raises:
        InvalidRequest: `address` is no http address.
    """
    return ChromaIndex(FolderHome(folder) if address is None else ServerHome(address, folder))
