"""A data folder that the product made, with runs, files and vector stores of every kind and every end in it."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from local_assistants.engine import requests
from local_assistants.engine.objects import Run
from local_assistants.storage.sqlite import SQLiteStore
from local_assistants.storage.vectors.index import open_index
from local_assistants.tools.file_search.ingestion.inline import InlineWorker
from local_assistants.tools.file_search.library import FileLibrary
from tests.support.clock import VirtualClock
from tests.support.counting_embedder import CountingEmbedder
from tests.support.engine import (
    CODE,
    FAST,
    FUNCTION,
    PATIENCE,
    SEARCH,
    House,
    ScriptedTool,
    Turns,
    answering,
    calls,
    house,
)
from tests.support.ids import CountingIds
from tests.support.stores import indexed, searching
from tests.support.uploads import completed, filled

_TEXT = "\n\n".join(f"Paragraph {n} on walruses and the tides of the north. " * 8 for n in range(9))


async def furnish(folder: Path) -> None:
    """Fill `folder`; at the end one run waits for its client, one upload for its last part."""
    stage = _Stage(folder)
    await stage.play([{"text": "Hello."}], _talk)
    await stage.play([calls("add", {"a": 1}, text="I add."), {"text": "Done."}], _functions)
    await stage.play([calls("code_interpreter", {"code": "1"}), {"text": "One."}], _code)
    await stage.play(
        [{"text": "So far ", "error": {"code": "server_error", "message": "Broke."}}], _ask
    )
    await stage.play([{"text": "Still thinking ", "hang": True}], _stopped)
    await stage.play([{"text": "a b c d e f g h"}], _short)
    await stage.play([calls("file_search", {"queries": ["walruses"]}), {"text": "Read."}], _files)
    await stage.play([{"text": "Hello."}], _uploads)


class _Stage:
    """Plays several scripts on one folder, one after the other, with ids that go on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ids, self._clock = CountingIds(), VirtualClock()
        (folder / "model").mkdir(parents=True, exist_ok=True)

    async def play(self, turns: Turns, scene: Any) -> None:
        tools = [
            ScriptedTool("code_interpreter", answering("1")),
            ScriptedTool("file_search", answering("x")),
        ]
        async with house(
            self._folder,
            turns,
            tools=tools,
            settings=replace(FAST, indexed_at_once=4),
            clock=self._clock,
            ids=self._ids,
            library=self._library,
        ) as home:
            await scene(home)

    def _library(self, store: SQLiteStore) -> FileLibrary:
        worker = InlineWorker(CountingEmbedder(self._folder / "model"))
        return FileLibrary(store, open_index(self._folder / "vectors"), worker)


async def _ask(home: House) -> Run:
    return await home.finish(await home.ask("Hi"))


async def _talk(home: House) -> None:
    """Changes without an event, deletions, a thread made with its run, another project."""
    run = await _ask(home)
    services = home.services
    change = requests.ModifyMetadata(metadata={"k": "v"})
    await services.runs.modify(run.thread_id, run.id, change)
    first, last = await home.messages(run)
    await services.messages.modify(run.thread_id, last.id, change)
    other = await _ask(home)
    await services.messages.delete(other.thread_id, (await home.messages(other))[1].id)
    gone = await _ask(home)
    await services.threads.delete(gone.thread_id)
    body = {
        "assistant_id": run.assistant_id,
        "thread": {"messages": [{"role": "user", "content": "Hi"}]},
    }
    made = requests.CreateThreadAndRun.model_validate(body)
    await home.finish(await services.runs.create_with_thread(made))
    await services.of("other").threads.create(requests.CreateThread())
    assert "user" == first.role


async def _functions(home: House) -> None:
    """One run gets its outputs, one waits for ever."""
    run = await home.finish(await home.ask(tools=[FUNCTION]))
    assert run.required_action is not None
    (call,) = run.required_action.submit_tool_outputs.tool_calls
    again, before = await home.submit(run, {call.id: "2"})
    assert "completed" == (await home.finish(again, before)).status
    assert "requires_action" == (await home.finish(await home.ask(tools=[FUNCTION]))).status


async def _code(home: House) -> None:
    """A tool's step, and files that assistant and thread list."""
    file = await home.file("a.csv", "a,b\n1,2\n")
    listed = {"code_interpreter": {"file_ids": [file.id]}}
    assistant = await home.assistant(tools=[CODE], tool_resources=listed)
    thread = await home.thread("Count", tool_resources=listed)
    assert "completed" == (await home.finish(await home.run(thread.id, assistant.id))).status


async def _stopped(home: House) -> None:
    """Cancelled in the middle of a word, and expired there."""
    for _ in range(2):
        run = await home.ask("Hi")
        await home.until(run, "thread.message.delta")
        if not _:
            await home.services.runs.cancel(run.thread_id, run.id)
        else:
            await home.virtual.advance(601)
        assert (await home.finish(run)).status in ("cancelled", "expired")


async def _short(home: House) -> None:
    """A budget of tokens that does not do."""
    assert (
        "incomplete"
        == (await home.finish(await home.ask("Hi", max_completion_tokens=256 // 128))).status
    )


async def _files(home: House) -> None:
    """Vector stores: searched, with attributes, a batch, a failed file, a file taken out, one deleted, one expired."""
    stores = home.services.vector_stores
    names = ("a.txt", "b.txt", "c.txt", "d.weird")
    files = [await home.file(name, f"{name} {_TEXT}") for name in names]
    thread = await home.thread("Search", tool_resources=searching(files[0].id, files[1].id))
    (store_id,) = thread.tool_resources.vector_store_ids
    await indexed(home, store_id)
    entry = {
        "file_id": files[2].id,
        "attributes": {"year": 2020, "draft": True, "by": "ann", "x": 1.5},
    }
    await stores.add_file(store_id, requests.CreateStoreFile.model_validate(entry))
    batch = requests.CreateBatch(file_ids=(files[0].id, files[3].id))
    await stores.create_batch(store_id, batch)
    await indexed(home, store_id)
    await stores.remove_file(store_id, files[1].id)
    assistant = await home.assistant(tools=[SEARCH])
    assert "completed" == (await home.finish(await home.run(thread.id, assistant.id))).status
    for days in (None, 1):
        after = {"expires_after": {"anchor": "last_active_at", "days": days}} if days else {}
        body = requests.CreateVectorStore.model_validate({"file_ids": [files[0].id]} | after)
        store = await stores.create(body)
        await indexed(home, store.id)
        if days is None:
            await stores.delete(store.id)
        else:
            await home.virtual.advance(86_400)
            await _until_expired(home, store.id)


async def _until_expired(home: House, store_id: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while await home.store.read(lambda tx: tx.file_chunks(store_id)):  # noqa: ASYNC110 - it comes by itself
            await asyncio.sleep(0.01)


async def _uploads(home: House) -> None:
    """One completed, one cancelled, one that still waits."""
    upload_id, part_ids = await filled(home.services, b"one, ", b"two")
    await completed(home.services, upload_id, part_ids)
    upload_id, _ = await filled(home.services, b"never")
    await home.services.uploads.cancel(upload_id)
    await filled(home.services, b"to be", b" continued")
