"""Models that the tests of the llama.cpp room run on."""

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from local_assistants.backends.llama_cpp import LlamaCppBackend, LlamaSettings
from tests.support.toy_gguf import write_random_model

SMALL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
LARGE_FILE = "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
# One thread: toys gain nothing from more, and other tests may run beside them.
TOY_SETTINGS = LlamaSettings(context_tokens=2048, threads=1)


@pytest.fixture
def random_model(tmp_path: Path) -> Path:
    """A GGUF with random weights."""
    return write_random_model(tmp_path / "random.gguf")


@pytest.fixture
async def babbler(random_model: Path) -> AsyncIterator[LlamaCppBackend]:
    """A loaded model with random weights."""
    backend = await LlamaCppBackend.open(random_model, TOY_SETTINGS)
    yield backend
    await backend.close()


@pytest.fixture(scope="session")
def weights() -> Callable[[str, str], Path]:
    """Finds real weights in the cache; fails with the command that puts them there."""

    def find(file: str, key: str) -> Path:
        path = _cache() / "models" / file
        if not path.is_file():
            pytest.fail(f"{path} is missing: run `local-assistants models pull {key}` first")
        return path

    return find


def _cache() -> Path:
    own = os.environ.get("LOCAL_ASSISTANTS_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(own) if own else Path(base) / "local-assistants"
