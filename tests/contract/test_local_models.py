"""How the models of a server are, over HTTP: a list, readiness, figures."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from local_assistants.backends.models import LocalModels, ModelEntry, OnProgress
from local_assistants.backends.scripted import ScriptedBackend
from local_assistants.engine.errors import BackendFault
from local_assistants.engine.ports import Backend
from local_assistants.engine.services import Services
from local_assistants.server.app import create_app
from local_assistants.server.settings import ServerSettings

from .web import HELLO, ORIGIN, open_web

LOCAL = f"{ORIGIN}/local/models"
READY = f"{ORIGIN}/readyz?exclude=code_interpreter"


class Weights:
    """A model that is half loaded until `rest` is set, and then broken if there is a fault."""

    def __init__(self) -> None:
        self.rest = asyncio.Event()
        self.fault: BackendFault | None = None

    async def open(self, on_progress: OnProgress) -> Backend:
        """Load it."""
        on_progress(0.5)
        await self.rest.wait()
        if self.fault is not None:
            raise self.fault
        return ScriptedBackend.from_turns(HELLO)


@asynccontextmanager
async def serving(
    folder: Path, weights: Weights, settings: ServerSettings | None = None, **how: Any
) -> AsyncGenerator[tuple[httpx.AsyncClient, LocalModels]]:
    """A client of an application with two models, the first of which is these weights."""
    async with open_web(folder) as web:
        core = web.home.services.core
        entries = {
            "big": ModelEntry(weights.open, lambda _limit: 7_000_000, **how),
            "small": ModelEntry(weights.open),
        }
        models = LocalModels(entries, observers=core.feed.observers)
        app = create_app(Services(replace(core, models=models)), settings)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport) as client:
            yield client, models
        await models.close()


async def half_loaded(models: LocalModels) -> None:
    """Wait until the first model is."""
    async with asyncio.timeout(5):
        while models.status()[0].progress != 0.5:  # noqa: ASYNC110 - as clients poll
            await asyncio.sleep(0.005)


def row(name: str, state: str, progress: float = 0.0, size: int = 0, detail: str = "") -> Any:
    """A model of the list."""
    return {"name": name, "state": state, "progress": progress, "bytes": size, "detail": detail}


async def test_the_list_shows_each_state(tmp_path: Path) -> None:
    """Unloaded, loading with its share, ready, in the order in which they are served."""
    weights = Weights()
    async with serving(tmp_path, weights) as (client, models):

        async def listed() -> Any:
            answer = (await client.get(LOCAL)).json()
            assert "list" == answer["object"]
            return answer["data"]

        assert [row("big", "unloaded"), row("small", "unloaded")] == await listed()
        loading = asyncio.create_task(models.backend("big"))
        await half_loaded(models)
        assert [row("big", "loading", 0.5, 7_000_000), row("small", "unloaded")] == await listed()
        weights.rest.set()
        await loading
        assert [row("big", "ready", 1.0, 7_000_000), row("small", "unloaded")] == await listed()


@pytest.mark.parametrize("near", [True, False])
async def test_why_a_model_failed_is_told_to_those_who_sit_here(tmp_path: Path, near: bool) -> None:
    """From afar it is the operator's business: reasons name folders."""
    weights = Weights()
    weights.rest.set()
    weights.fault = BackendFault("/secret/model.gguf is cut off.")
    settings = ServerSettings(
        host="127.0.0.1" if near else "0.0.0.0",
        no_auth=True,
        allowed_hosts=frozenset({"localhost"}),
    )
    async with serving(tmp_path, weights, settings) as (client, models):
        with pytest.raises(BackendFault):
            await models.backend("big")
        shown = (await client.get(LOCAL)).json()["data"][0]
        ready = await client.get(READY)
    assert ("failed", 503) == (shown["state"], ready.status_code)
    told = "big: /secret/model.gguf is cut off." if near else "It cannot be used; "
    assert ready.json()["reasons"]["models"].startswith(told)
    assert near == ("/secret" in shown["detail"])


async def test_a_server_is_ready_when_the_models_of_its_start_are(tmp_path: Path) -> None:
    """And says how far they are."""
    weights = Weights()
    async with serving(tmp_path, weights, at_start=True) as (client, models):
        models.start()
        await half_loaded(models)
        before = await client.get(READY)
        weights.rest.set()
        await models.backend("big")
        after = await client.get(READY)
    assert (503, 200) == (before.status_code, after.status_code)
    assert {
        "status": "not ready",
        "reasons": {"models": "Being loaded: big (50%)."},
        "loading": {"big": 0.5},
    } == before.json()
    assert {"status": "ready"} == after.json()


async def test_a_model_that_is_loaded_on_demand_keeps_the_server_ready(tmp_path: Path) -> None:
    """Others can be served meanwhile."""
    weights = Weights()
    async with serving(tmp_path, weights) as (client, models):
        loading = asyncio.create_task(models.backend("big"))
        await half_loaded(models)
        answer = await client.get(READY)
        weights.rest.set()
        await loading
    assert (200, {"status": "ready", "loading": {"big": 0.5}}) == (
        answer.status_code,
        answer.json(),
    )


async def test_a_load_that_fails_is_tried_again_and_then_well(tmp_path: Path) -> None:
    """The reason is gone as soon as the model is there; nothing remembers it."""
    weights = Weights()
    weights.rest.set()
    weights.fault = BackendFault("no memory")
    async with serving(tmp_path, weights) as (client, models):
        with pytest.raises(BackendFault):
            await models.backend("big")
        before = await client.get(READY)
        weights.fault = None
        await models.backend("big")
        after = await client.get(READY)
    assert [503, 200] == [before.status_code, after.status_code]


async def test_loads_are_counted(tmp_path: Path) -> None:
    """Those that succeed, those that fail, unloads, and what is in memory."""
    weights = Weights()
    weights.rest.set()
    async with serving(tmp_path, weights) as (client, models):
        weights.fault = BackendFault("no memory")
        with pytest.raises(BackendFault):
            await models.backend("big")
        weights.fault = None
        await models.backend("big")
        text = (await client.get(f"{ORIGIN}/metrics")).text
        await models.close()
        later = (await client.get(f"{ORIGIN}/metrics")).text
    for line in (
        "local_assistants_models_loaded 1.0",
        'local_assistants_model_bytes{model="big"} 7e+06',
        'local_assistants_model_loads_total{model="big",outcome="failed"} 1.0',
        'local_assistants_model_loads_total{model="big",outcome="loaded"} 1.0',
        'local_assistants_model_load_seconds_count{model="big"} 1.0',
    ):
        assert line in text
    assert 'local_assistants_model_unloads_total{model="big"} 1.0' in later
    assert "local_assistants_models_loaded 0.0" in later
