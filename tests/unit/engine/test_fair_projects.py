"""Projects that share a server: one that fills it leaves room for the next."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from local_assistants.engine import requests
from local_assistants.engine.errors import RateLimited
from local_assistants.engine.objects import Run
from local_assistants.engine.services import Services
from local_assistants.engine.settings import CoreSettings
from tests.support.engine import FAST, PATIENCE, House, house
from tests.support.runs import HANG, IDLE

EIGHT = replace(FAST, max_concurrent_runs=8)


async def started(services: Services) -> Run:
    """A new run with all that it needs."""
    assistant = await services.assistants.create(requests.CreateAssistant(model="scripted"))
    body = requests.CreateThreadAndRun.model_validate({"assistant_id": assistant.id})
    return await services.runs.create_with_thread(body)


async def settled(home: House, executing: int) -> None:
    """Wait until so many runs are executed, and see that it stays so."""
    async with asyncio.timeout(PATIENCE):
        while home.services.worker.executing != executing:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.005)
    await home.store.write(lambda tx: None)
    await asyncio.sleep(0.05)
    assert executing == home.services.worker.executing


async def test_a_second_project_s_run_starts_though_the_first_has_filled_its_share(
    tmp_path: Path,
) -> None:
    """An eighth of the places is not for one project as soon as another one has a key."""
    async with house(tmp_path, [HANG], settings=EIGHT) as home:
        await home.services.keys.create(project="beta")
        for _ in range(10):
            await started(home.services.of("alpha"))
        await settled(home, 7)
        run = await started(home.services.of("beta"))
        await asyncio.wait_for(home.until(run, "thread.run.in_progress"), PATIENCE)
        await settled(home, 8)


async def test_a_project_alone_has_all_places(tmp_path: Path) -> None:
    """Its share is for when there are others."""
    async with house(tmp_path, [HANG], settings=EIGHT) as home:
        for _ in range(10):
            await started(home.services.of("alpha"))
        await settled(home, 8)


@pytest.mark.parametrize(("places", "share"), [(0, 1), (1, 1), (2, 1), (8, 7), (15, 14), (32, 28)])
def test_a_share_is_all_but_an_eighth(places: int, share: int) -> None:
    """At least one place is left to others, and at least one to the project."""
    assert share == CoreSettings(max_concurrent_runs=places).project_share


async def test_a_project_s_full_queue_is_not_the_others(tmp_path: Path) -> None:
    """What one has waiting refuses its own next run only."""
    async with house(tmp_path, settings=replace(IDLE, max_queued_runs=2)) as home:
        alpha, beta = home.services.of("alpha"), home.services.of("beta")
        for _ in range(2):
            await started(alpha)
        with pytest.raises(RateLimited):
            await started(alpha)
        assert "queued" == (await started(beta)).status
