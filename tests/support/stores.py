"""Vector stores in tests of the core: made in passing from files, and waited for."""

import asyncio
from typing import Any

from local_assistants.engine.objects import VectorStore

from .engine import PATIENCE, House


async def indexed(home: House, store_id: str) -> VectorStore:
    """The store once nothing of it is being indexed any more."""
    async with asyncio.timeout(PATIENCE):
        while True:
            store = await home.services.vector_stores.get(store_id)
            if not store.file_counts.in_progress:
                return store
            await asyncio.sleep(0.002)


def searching(*file_ids: str) -> dict[str, Any]:
    """Tool resources with the helper that makes a vector store of these files."""
    return {"file_search": {"vector_stores": [{"file_ids": list(file_ids)}]}}
