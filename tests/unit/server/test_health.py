"""What /readyz says of the parts behind the server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from local_assistants.backends.models import LocalModels, ModelEntry, OnProgress
from local_assistants.engine.clock import SystemClock
from local_assistants.engine.errors import BackendFault
from local_assistants.engine.ports import Backend
from local_assistants.engine.services import Services
from local_assistants.server.app import create_app
from local_assistants.server.settings import ServerSettings
from local_assistants.storage import SQLiteStore
from local_assistants.tools.code_interpreter.tool import CodeInterpreter, Settings

from .house import House, open_services


@asynccontextmanager
async def watched(
    root: Path, settings: ServerSettings | None = None, **parts: Any
) -> AsyncIterator[tuple[httpx.AsyncClient, Services]]:
    """A client of an application over a core with other parts."""
    async with open_services(root) as services:
        changed = Services(replace(services.core, **parts))
        transport = httpx.ASGITransport(create_app(changed, settings))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client, changed


def without_interpreter(root: Path) -> dict[str, CodeInterpreter]:
    """A code interpreter whose Python environment is not there."""
    settings = Settings(environment=root / "none", root=root / "code")
    return {"code_interpreter": CodeInterpreter(settings, SystemClock())}


async def test_all_is_well(house: House) -> None:
    """Every part that can be asked answers."""
    answer = await house.client.get("http://localhost/readyz")
    assert (200, {"status": "ready"}) == (answer.status_code, answer.json())


async def test_a_missing_sandbox_is_told(tmp_path: Path) -> None:
    """With what mends it; the process is alive all the same."""
    async with watched(tmp_path, tools=without_interpreter(tmp_path)) as (client, _):
        answer = await client.get("/readyz")
        alive = await client.get("/healthz")
    reasons = answer.json()["reasons"]
    assert (503, ["code_interpreter"], 200) == (
        answer.status_code,
        list(reasons),
        alive.status_code,
    )
    assert "interpreter install" in reasons["code_interpreter"]


async def test_a_part_may_be_left_out(tmp_path: Path) -> None:
    """For those who serve without it on purpose."""
    async with watched(tmp_path, tools=without_interpreter(tmp_path)) as (client, _):
        answer = await client.get(
            "/readyz", params={"exclude": ["file_search", "code_interpreter"]}
        )
    assert 200 == answer.status_code


async def test_strangers_are_told_no_paths(tmp_path: Path) -> None:
    """Beyond loopback whoever asks may be anybody."""
    settings = ServerSettings(host="0.0.0.0", allowed_hosts=frozenset({"localhost"}))
    async with watched(tmp_path, settings, tools=without_interpreter(tmp_path)) as (client, _):
        answer = await client.get("/readyz")
    assert 503 == answer.status_code
    assert str(tmp_path) not in answer.text


async def test_a_model_that_did_not_load_is_told(tmp_path: Path) -> None:
    """Once somebody wanted it."""

    async def refuse(on_progress: OnProgress) -> Backend:
        del on_progress
        raise BackendFault("The weights are damaged.")

    async with watched(tmp_path, models=LocalModels({"m": ModelEntry(refuse)})) as (
        client,
        services,
    ):
        before = await client.get("/readyz?exclude=models")
        with pytest.raises(BackendFault):
            await services.core.models.backend("m")
        after = await client.get("/readyz")
    assert 200 == before.status_code
    assert {"models": "The weights are damaged."} == after.json()["reasons"]


async def test_a_store_that_is_gone_is_told(tmp_path: Path) -> None:
    """Nothing works without it."""
    gone = SQLiteStore.open(tmp_path / "gone.db")
    await gone.close()
    async with watched(tmp_path, store=gone) as (client, _):
        answer = await client.get("/readyz")
    assert (503, ["store"]) == (answer.status_code, list(answer.json()["reasons"]))
