"""The vector indexes that the contract is tried on: a folder, and a real Chroma server."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from local_assistants.engine.ports import VectorIndex
from local_assistants.storage.vectors.index import open_index
from tests.support.chroma_server import chroma_server


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a Chroma server answers."""
    with chroma_server(tmp_path_factory.mktemp("chroma")) as found:
        yield found


@pytest.fixture(params=["folder", "server"])
async def index(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[VectorIndex]:
    """An empty index, closed afterwards."""
    address = request.getfixturevalue("address") if request.param == "server" else None
    made = open_index(tmp_path / "index", address)
    yield made
    await made.close()
