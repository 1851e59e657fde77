"""The vector indexes that the contract is tried on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local_assistants.engine.ports import VectorIndex
from local_assistants.storage.vectors_chroma import ChromaIndex


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[VectorIndex]:
    """An empty index, closed afterwards."""
    made = ChromaIndex(tmp_path / "index")
    yield made
    await made.close()
