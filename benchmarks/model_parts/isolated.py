"""Our backend in a process of its own, as `serve` runs it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from local_assistants.backends.llama_cpp import LlamaSettings
from model_parts.bench import Bench
from model_parts.talk import Streams


@asynccontextmanager
async def isolated(bench: Bench, settings: LlamaSettings | None = None) -> AsyncIterator[Streams]:
    """The backend, loaded and warm."""
    async with bench.ours(settings) as ours:
        yield ours
