"""File search on a machine without an embedding model: one sentence everywhere, and words are found all the same."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import yaml

from local_assistants import Engine, Settings
from local_assistants.cli.app import run
from local_assistants.engine.objects import File, VectorStoreFile
from local_assistants.engine.ports import Chunk, Extract, Transaction
from local_assistants.engine.states import StoreFileStatus
from local_assistants.server.app import create_app
from local_assistants.tools.file_search.chunking.tokens import GET_MODEL, missing_model

SEARCH = {"tool_calls": [{"name": "file_search", "arguments": {"queries": ["zebras"]}}]}
READY = "/readyz?exclude=code_interpreter"


@dataclass
class Lacking:
    """A server's client, a vector store with one indexed text, and the sentence that is expected."""

    client: httpx.AsyncClient
    store_id: str
    sentence: str

    async def search(self, **more: Any) -> httpx.Response:
        """Search the vector store."""
        return await self.client.post(f"/v1/vector_stores/{self.store_id}/search", json=more)


@pytest.fixture
def sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What is said on a machine with nothing of ours on it."""
    monkeypatch.setenv("LOCAL_ASSISTANTS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCAL_ASSISTANTS_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return missing_model(tmp_path / "all-MiniLM-L6-v2").message


@pytest_asyncio.fixture
async def lacking(
    tmp_path: Path, sentence: str, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[Lacking]:
    """A server that has just been started, over a text that was indexed while there was a model."""
    caplog.set_level(logging.WARNING)
    script = tmp_path / "script.yaml"
    script.write_text(yaml.safe_dump({"turns": [SEARCH, {"text": "Done."}]}))
    settings = Settings(model=f"scripted:{script}", data=tmp_path / "data", load_at_start=True)
    async with Engine.open(settings) as engine:
        transport = httpx.ASGITransport(create_app(engine.services))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            made = (await client.post("/v1/vector_stores", json={})).json()
            await engine.services.core.store.write(lambda tx: _index(tx, made["id"]))
            yield Lacking(client, made["id"], sentence)


def _index(tx: Transaction, store: str) -> None:
    text = "Zebras graze."
    tx.put(File(id="file-a", purpose="assistants", filename="a.txt", bytes=13, created_at=1))
    done = StoreFileStatus.COMPLETED
    tx.put(VectorStoreFile(id="file-a", created_at=1, vector_store_id=store, status=done))
    tx.put_extract(Extract(store, "file-a", "a", "", "a.txt", 13, 1, text))
    tx.put_chunks([Chunk(f"{store}/file-a/0", store, "file-a", 0, text, 0, 13, None, "a.txt")])


async def _settled(client: httpx.AsyncClient, path: str) -> dict[str, Any]:
    """A file of a vector store, once it is no longer in progress."""
    for _ in range(1000):
        found: dict[str, Any] = (await client.get(path)).json()
        if found["status"] != "in_progress":
            return found
        await asyncio.sleep(0.02)
    raise TimeoutError(path)


async def test_readiness_and_the_log_name_the_missing_model(
    lacking: Lacking, caplog: pytest.LogCaptureFixture
) -> None:
    """As a missing sandbox is named: not ready, unless whoever asks does without it."""
    answer = await lacking.client.get(READY)
    without = await lacking.client.get(f"{READY}&exclude=file_search")
    said = [one.getMessage() for one in caplog.get_records("setup")]
    logged = [line for line in said if "file_search" in line]

    assert (503, {"file_search": lacking.sentence}) == (
        answer.status_code,
        answer.json()["reasons"],
    )
    assert 200 == without.status_code
    assert [True] == [f"file_search cannot be used: {lacking.sentence}" in one for one in logged]


async def test_a_search_by_meaning_is_refused_with_the_sentence(
    lacking: Lacking, caplog: pytest.LogCaptureFixture
) -> None:
    """With the status of /readyz, and one line in the log instead of a stack."""
    answer = await lacking.search(query="zebras")
    said = [one for one in caplog.records if "vector_stores" in one.getMessage()]

    assert (503, lacking.sentence) == (answer.status_code, answer.json()["error"]["message"])
    assert [None] == [one.exc_info for one in said]


async def test_a_search_by_words_alone_needs_no_model(lacking: Lacking) -> None:
    """Where the client gives meaning no weight, there is nothing to embed."""
    weights = {"embedding_weight": 0, "text_weight": 1}
    answer = await lacking.search(query="zebra", ranking_options={"hybrid_search": weights})

    assert 200 == answer.status_code, answer.text
    assert [("a.txt", 1.0)] == [(one["filename"], one["score"]) for one in answer.json()["data"]]


async def test_files_and_runs_fail_with_the_sentence(lacking: Lacking) -> None:
    """As last_error of each."""
    client = lacking.client
    upload, purpose = {"file": ("b.txt", b"Lions hunt.")}, {"purpose": "assistants"}
    file = (await client.post("/v1/files", files=upload, data=purpose)).json()
    files = f"/v1/vector_stores/{lacking.store_id}/files"
    await client.post(files, json={"file_id": file["id"]})
    resources = {"file_search": {"vector_store_ids": [lacking.store_id]}}
    body = {"model": "gpt-4o", "tools": [{"type": "file_search"}], "tool_resources": resources}
    assistant = (await client.post("/v1/assistants", json=body)).json()
    asked = {
        "assistant_id": assistant["id"],
        "thread": {"messages": [{"role": "user", "content": "?"}]},
    }
    stream = await client.post("/v1/threads/runs", json={**asked, "stream": True})
    events = [line[6:] for line in stream.text.splitlines() if line.startswith("data: {")]
    failed = [one for one in map(json.loads, events) if one.get("status") == "failed"]
    indexed = await _settled(client, f"{files}/{file['id']}")

    assert ["server_error", lacking.sentence] == list(indexed["last_error"].values())
    assert lacking.sentence == failed[-1]["last_error"]["message"]


def test_doctor_says_the_same(sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With the command beside it."""
    run(["doctor", "--json"])
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}

    assert checks["embedder"]["detail"].startswith(sentence)
    assert GET_MODEL == checks["embedder"]["mend"]


def test_doctor_looks_at_the_model_that_the_server_would_use(
    tmp_path: Path,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The environment's, else the settings file's."""
    assert sentence
    file = tmp_path / "settings.toml"
    file.write_text('[file_search]\nmodel = "mine"\n')
    details: list[str] = []
    for named in ("", "other"):
        monkeypatch.setenv("LOCAL_ASSISTANTS_EMBEDDER", named)
        run(["doctor", "--json", "--settings", str(file)])
        checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
        details.append(checks["embedder"]["detail"])

    assert details[0].startswith("No embedding model 'mine'")
    assert details[1].startswith("No embedding model 'other'")
