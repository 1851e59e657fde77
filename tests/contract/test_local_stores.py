"""How far the files of a vector store are, over HTTP."""

import asyncio

from .web import ORIGIN, Web

LOCAL = f"{ORIGIN}/local/vector_stores"


async def test_the_progress_of_a_store_is_told_until_it_is_done(web: Web) -> None:
    """Its files in progress by name, and the counts that the store shows too."""
    web.home.library.gate = asyncio.Event()
    file = await web.upload(name="report.txt")
    store = await web.post("/vector_stores", {"file_ids": [file["id"]]})
    progress = await web.get(f"{LOCAL}/{store['id']}/progress")

    assert ("vector_store.progress", store["id"]) == (
        progress["object"],
        progress["vector_store_id"],
    )
    assert ("in_progress", 1) == (progress["status"], progress["file_counts"]["in_progress"])
    (shown,) = progress["files"]
    assert (file["id"], "report.txt", "reading") == (
        shown["file_id"],
        shown["filename"],
        shown["stage"],
    )
    web.home.library.gate.set()
    await web.settled(f"/vector_stores/{store['id']}")
    assert [] == (await web.get(f"{LOCAL}/{store['id']}/progress"))["files"]


async def test_a_store_that_is_not_there_has_no_progress(web: Web) -> None:
    """404, as everywhere."""
    error = await web.refused("GET", f"{LOCAL}/vs_none/progress", 404)

    assert "No vector store found with id 'vs_none'." == error["message"]
