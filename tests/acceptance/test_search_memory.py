"""The server's own process stays small: what embeds files lives in another one, and queries need no torch."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

_PATIENCE = 90  # seconds; importing torch takes seven of them on a free machine


class Server:
    """`local-assistants serve` in a process of its own, and a client for it."""

    def __init__(self, pid: int, client: httpx.AsyncClient) -> None:
        self.pid = pid
        self.client = client

    async def posted(self, path: str, **form: object) -> dict[str, str]:
        """The answer to a POST."""
        answer = await self.client.post(path, **form)  # type: ignore[arg-type]
        assert 200 == answer.status_code, answer.text
        found: dict[str, str] = answer.json()
        return found


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """Started as an operator does."""
    (tmp_path / "script.yaml").write_text("turns: [{text: Hello.}]")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "local_assistants", "serve", "--port", "0"),
        *("--model", f"scripted:{tmp_path / 'script.yaml'}", "--data", str(tmp_path / "data")),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    address = (await asyncio.wait_for(process.stdout.readline(), _PATIENCE)).decode().strip()
    async with httpx.AsyncClient(base_url=f"{address}/v1", timeout=_PATIENCE) as client:
        yield Server(process.pid, client)
    process.terminate()
    await process.wait()


def _maps(pid: int | str) -> str:
    return Path(f"/proc/{pid}/maps").read_text()


def _worker_of(pid: int) -> str:
    """The worker process of the server `pid`."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    commands = {each: Path(f"/proc/{each}/cmdline").read_text() for each in children}
    return next(each for each, command in commands.items() if "ingestion.serve" in command)


@pytest.mark.slow
async def test_the_server_imports_no_torch(server: Server) -> None:
    """A file is embedded and found; libtorch is in the worker's memory and not in the server's."""
    content = b"The ship Aurora left Bergen harbour on 3 May."
    form = {"data": {"purpose": "assistants"}, "files": {"file": ("ships.txt", content)}}
    file = await server.posted("/files", **form)
    store = (await server.posted("/vector_stores", json={"file_ids": [file["id"]]}))["id"]
    for _ in range(_PATIENCE * 5):
        if (await server.client.get(f"/vector_stores/{store}")).json()["status"] == "completed":
            break
        await asyncio.sleep(0.2)
    found = await server.posted(
        f"/vector_stores/{store}/search", json={"query": "which vessel sailed?"}
    )

    assert content.decode() in str(found["data"])
    assert "libtorch" in _maps(_worker_of(server.pid))
    assert "libtorch" not in _maps(server.pid)
    assert "onnxruntime" in _maps(server.pid)
