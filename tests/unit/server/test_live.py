"""The application behind a real server on a real socket, with the official client at the other end."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import openai
import pytest
import uvicorn
from openai.types.beta import AssistantStreamEvent
from openai.types.beta.threads import TextContentBlock

from local_assistants.engine.settings import CoreSettings
from local_assistants.server.app import create_app
from tests.support.answers import error_of, events_of

from .house import HELLO, Json, key_beside, open_services

# The SDK marks every method of the Assistants API as deprecated; they are what is tested here.
# pyright: reportDeprecated=false
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

SLOW: tuple[Json, ...] = ({"text": "one two three four five", "tokens_per_second": 20},)


@asynccontextmanager
async def listening(
    root: Path, turns: tuple[Json, ...] = HELLO, core: CoreSettings | None = None
) -> AsyncGenerator[str]:
    """The URL of a server on a free loopback port."""
    async with open_services(root, turns, core) as services:
        config = uvicorn.Config(create_app(services), log_level="error", lifespan="off")
        server = uvicorn.Server(config)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            task = asyncio.create_task(server.serve([listener]))
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            finally:
                server.should_exit = True
                await task


async def test_a_client_that_goes_away_does_not_stop_the_run(tmp_path: Path) -> None:
    """The run is finished and its message kept."""
    async with listening(tmp_path, SLOW) as url, httpx.AsyncClient(base_url=f"{url}/v1") as client:
        assistant = (await client.post("/assistants", json={"model": "scripted"})).json()
        body = {"assistant_id": assistant["id"], "stream": True}
        async with client.stream("POST", "/threads/runs", json=body) as answer:
            begun = ""
            async for text in answer.aiter_text():
                begun += text
                if "thread.message.delta" in begun:
                    break
        run = events_of(begun.split("\n\n")[1] + "\n\n")[0][1]
        path = f"/threads/{run['thread_id']}"
        await until_completed(client, f"{path}/runs/{run['id']}")
        said = (await client.get(f"{path}/messages")).json()["data"][0]
    assert "one two three four five" == said["content"][0]["text"]["value"]


async def test_a_stream_comes_piece_by_piece(tmp_path: Path) -> None:
    """Events are sent when they happen, not when the run is over."""
    async with listening(tmp_path, SLOW) as url, httpx.AsyncClient(base_url=f"{url}/v1") as client:
        assistant = (await client.post("/assistants", json={"model": "scripted"})).json()
        body = {"assistant_id": assistant["id"], "stream": True}
        async with client.stream("POST", "/threads/runs", json=body) as answer:
            pieces = [text async for text in answer.aiter_text()]
    first = next(i for i, piece in enumerate(pieces) if "thread.message.delta" in piece)
    last = next(i for i, piece in enumerate(pieces) if "thread.run.completed" in piece)
    assert first < last


async def test_an_upload_over_the_limit_gets_its_answer(tmp_path: Path) -> None:
    """The client reads the 413 although its file was not read."""
    core = CoreSettings(max_file_bytes=1000)
    async with listening(tmp_path, core=core) as url, httpx.AsyncClient() as client:
        answer = await client.post(
            f"{url}/v1/files", files={"file": ("a", b"x" * 3_000_000)}, data={"purpose": "vision"}
        )
    assert (413, "invalid_request_error") == (answer.status_code, error_of(answer)["type"])


async def test_the_official_client_polls_and_streams(tmp_path: Path) -> None:
    """create_and_poll, and stream with the SDK's own event handler."""
    async with listening(tmp_path) as url:
        client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any")
        assistant = await client.beta.assistants.create(model="scripted")
        thread = await client.beta.threads.create(messages=[{"role": "user", "content": "hi"}])
        polled = await client.beta.threads.runs.create_and_poll(
            thread_id=thread.id, assistant_id=assistant.id
        )
        handler: openai.AsyncAssistantEventHandler = openai.AsyncAssistantEventHandler()
        async with client.beta.threads.runs.stream(
            thread_id=thread.id, assistant_id=assistant.id, event_handler=handler
        ) as stream:
            events: list[AssistantStreamEvent] = [event async for event in stream]
            messages = await stream.get_final_messages()
        await client.close()
    content = messages[0].content[0]
    assert ("completed", "thread.run.completed") == (polled.status, events[-1].event)
    assert isinstance(content, TextContentBlock)
    assert "Hello there." == content.text.value


async def test_the_azure_client_works_unchanged(tmp_path: Path) -> None:
    """Its paths, its key header, its api-version, and a deployment in the URL."""
    key = await key_beside(tmp_path)
    async with listening(tmp_path) as url:
        client = openai.AsyncAzureOpenAI(
            azure_endpoint=url, api_key=key, api_version="2024-05-01-preview"
        )
        assistant = await client.beta.assistants.create(model="scripted")
        run = await client.beta.threads.create_and_run_poll(assistant_id=assistant.id)
        await client.close()
        stranger = openai.AsyncAzureOpenAI(
            azure_endpoint=url, api_key="x", api_version="2024-05-01-preview"
        )
        with pytest.raises(openai.AuthenticationError):
            await stranger.beta.assistants.list()
        await stranger.close()
    assert "completed" == run.status


async def test_the_official_client_uploads_and_searches(tmp_path: Path) -> None:
    """upload_and_poll of a file, a search, a batch, a download refused with the SDK's own error."""
    async with listening(tmp_path) as url:
        client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any")
        store = await client.vector_stores.create(name="S")
        file = await client.vector_stores.files.upload_and_poll(
            vector_store_id=store.id, file=("a.txt", b"apples and pears")
        )
        batch = await client.vector_stores.file_batches.create_and_poll(
            store.id, file_ids=[file.id]
        )
        found = await client.vector_stores.search(store.id, query="pears")
        with pytest.raises(openai.BadRequestError, match="Not allowed to download"):
            await client.files.content(file.id)
        names = [result.filename async for result in found]
        await client.close()
    assert ("completed", "completed", ["a.txt"]) == (file.status, batch.status, names)


async def until_completed(client: httpx.AsyncClient, path: str) -> None:
    """Poll a run as clients do; the test's timeout is the limit."""
    while (await client.get(path)).json()["status"] != "completed":  # noqa: ASYNC110
        await asyncio.sleep(0.02)
