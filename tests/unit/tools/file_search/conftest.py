"""The embedding model, loaded once: importing torch takes longer than all of these tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from local_assistants import catalogue, paths
from local_assistants.tools.file_search.chunking.tokens import FolderTokenizer
from local_assistants.tools.file_search.embedding.sentence import SentenceEmbedder

CHECKOUT = Path(__file__).parents[4]


@pytest.fixture(scope="session")
def model_folder() -> Path:
    """Where the embedding model lies; `local-assistants models pull` puts it there."""
    folders = [root / catalogue.embedder().target for root in paths.model_folders()]
    return next((folder for folder in folders if folder.is_dir()), folders[-1])


@pytest.fixture(scope="session")
def tokenizer(model_folder: Path) -> FolderTokenizer:
    """The model's tokenizer."""
    return FolderTokenizer(model_folder)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def embedder(model_folder: Path) -> AsyncIterator[SentenceEmbedder]:
    """The real model with its weights checked."""
    made = SentenceEmbedder(model_folder, sha256=catalogue.embedder().sha256)
    yield made
    await made.close()


@pytest.fixture(scope="session")
def filing() -> Path:
    """A real earnings release, 9 pages, see examples/data/README.md."""
    return CHECKOUT / "examples" / "data" / "ulta-beauty-q4-fiscal-2022.pdf"
