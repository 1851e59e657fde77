"""A whole engine for the HTTP tests: real services, store and blobs, scripted turns, and a library of plain words."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from local_assistants.backends.scripted import ScriptedBackend
from local_assistants.engine.chat import ChatRequest
from local_assistants.engine.clock import RandomIds, SystemClock
from local_assistants.engine.core import Core
from local_assistants.engine.errors import ModelNotFound, UnsupportedFile
from local_assistants.engine.feed import EventFeed
from local_assistants.engine.journal import Journal
from local_assistants.engine.objects import Model, StaticChunking
from local_assistants.engine.ports import (
    Backend,
    Chunk,
    Clock,
    Indexed,
    ModelStatus,
    Opened,
    Passage,
    SearchQuery,
    Store,
    Tool,
    ToolFile,
)
from local_assistants.engine.services import Keys, Services
from local_assistants.engine.settings import CoreSettings
from local_assistants.server.app import create_app
from local_assistants.server.settings import ServerSettings
from local_assistants.storage import FileBlobs
from tests.support.answers import events_of, json_of
from tests.support.database import open_store

Json = dict[str, Any]
HELLO: tuple[Json, ...] = ({"text": "Hello there."},)


class OneModel:
    """The Models port over one backend, named `scripted`."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def list(self) -> Sequence[Model]:
        return [Model(id="scripted", created=0, owned_by="tests")]

    def resolve(self, name: str) -> str:
        if name != "scripted":
            raise ModelNotFound(f"The model '{name}' does not exist", param="model")
        return name

    async def backend(self, name: str) -> Backend:
        del name
        return self._backend

    async def validate(self, name: str, request: ChatRequest) -> None:
        """Everything can be answered."""

    async def forget(self, session: str) -> None:
        """Nothing is kept."""

    def status(self) -> Sequence[ModelStatus]:
        return [ModelStatus("scripted", "ready", 1.0)]

    async def close(self) -> None:
        await self._backend.close()


class WordLibrary:
    """The Library port by the store's keyword search alone: one chunk a file, text files only."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def add(
        self, vector_store_id: str, source: ToolFile, chunking: StaticChunking | None
    ) -> Indexed:
        del chunking
        if not source.file.filename.endswith(".txt"):
            raise UnsupportedFile("The file type is not supported.")
        text = source.path.read_text(encoding="utf-8")
        key = f"{vector_store_id}/{source.file.id}"
        chunk = Chunk(key, vector_store_id, source.file.id, 0, text, 0, len(text))
        await self._store.write(lambda tx: tx.put_chunks([chunk]))
        return Indexed(1, len(text.encode()) + 1024)

    async def remove(self, vector_store_id: str, file_id: str) -> None:
        await self._store.write(lambda tx: tx.delete_chunks(vector_store_id, file_id))

    async def drop(self, vector_store_id: str) -> None:
        await self._store.write(lambda tx: tx.delete_chunks(vector_store_id))

    async def search(self, query: SearchQuery) -> list[Passage]:
        text = " ".join(query.queries)

        def find(tx: Any) -> list[Chunk]:
            hits = tx.match_chunks(query.vector_store_ids, text, query.max_results)
            found: list[Chunk] = tx.chunks([chunk_id for chunk_id, _ in hits])
            return found

        return [Passage(chunk, "a.txt", 0.5) for chunk in await self._store.read(find)]

    def rewritten(self, queries: Sequence[str]) -> tuple[str, ...]:
        return tuple(query.lower() for query in queries)

    async def text(self, vector_store_id: str, file_id: str) -> str:
        chunks = await self._store.read(lambda tx: tx.file_chunks(vector_store_id, file_id))
        return "".join(chunk.text for chunk in chunks)

    @property
    def name(self) -> str:
        return "words"

    async def open(self, source: str, file_id: str, start: int, end: int) -> Opened | None:
        text = await self.text(source, file_id)
        return Opened(text, 0, start, end) if end <= len(text) else None

    async def close(self) -> None:
        return None


@asynccontextmanager
async def open_services(
    root: Path,
    turns: Sequence[Json] = HELLO,
    core: CoreSettings | None = None,
    clock: Clock | None = None,
    *,
    tools: Sequence[Tool] = (),
) -> AsyncGenerator[Services]:
    """Services at work, over files below `root`."""
    store = open_store(root)
    clock, feed = clock or SystemClock(), EventFeed()
    store.on_answer = feed.stored
    bundle = Core(
        store=store,
        blobs=FileBlobs(root / "blobs"),
        models=OneModel(ScriptedBackend.from_turns(list(turns))),
        tools={tool.type: tool for tool in tools},
        library=WordLibrary(store),
        clock=clock,
        ids=RandomIds(),
        feed=feed,
        journal=Journal(store, feed, clock),
        settings=core or CoreSettings(),
    )
    services = Services(bundle)
    await services.start()
    try:
        yield services
    finally:
        await services.stop()
        await store.close()


@dataclass(frozen=True)
class House:
    """An application with a client at its door; paths are relative to /v1."""

    app: FastAPI
    client: httpx.AsyncClient

    async def get(self, path: str, **query: Any) -> Json:
        """The JSON of a GET that has to succeed."""
        return json_of(await self.client.get(path, params=query))

    async def post(self, path: str, body: Mapping[str, Any] | None = None) -> Json:
        """The JSON of a POST that has to succeed."""
        return json_of(await self.client.post(path, json=body))

    async def upload(self, content: bytes = b"apples and pears", name: str = "a.txt") -> Json:
        """A stored file."""
        files, data = {"file": (name, content)}, {"purpose": "assistants"}
        return json_of(await self.client.post("/files", files=files, data=data))

    async def finished_run(self, thread_id: str, body: Mapping[str, Any]) -> Json:
        """A run, streamed to its end, then read."""
        answer = await self.client.post(f"/threads/{thread_id}/runs", json={**body, "stream": True})
        run_id = events_of(answer.text)[0][1]["id"]
        return await self.get(f"/threads/{thread_id}/runs/{run_id}")


@asynccontextmanager
async def open_house(
    root: Path,
    turns: Sequence[Json] = HELLO,
    settings: ServerSettings | None = None,
    core: CoreSettings | None = None,
    clock: Clock | None = None,
    *,
    tools: Sequence[Tool] = (),
) -> AsyncGenerator[House]:
    """The application over real services, called in this process."""
    async with open_services(root, turns, core, clock, tools=tools) as services:
        app = create_app(services, settings)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost/v1") as client:
            yield House(app, client)


async def new_key(house: House, project: str = "default") -> str:
    """A key to a project; from now on the house asks for one."""
    services: Services = house.app.state.services
    return (await services.keys.create(project=project)).secret


async def key_beside(root: Path, project: str = "default") -> str:
    """A key as another process makes it, in the store of the house below `root`."""
    store = open_store(root)
    made = await Keys(store, SystemClock(), RandomIds()).create(project=project)
    await store.close()
    return made.secret
