"""GB-days of vector storage, as stores fill, shrink, expire and go."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from local_assistants.engine import requests
from local_assistants.engine.errors import InvalidRequest
from tests.support.engine import OLDEST_FIRST, House, house
from tests.support.stores import indexed

DAY = 86_400
ONE_DAY = {"expires_after": {"anchor": "last_active_at", "days": 1}}


@pytest_asyncio.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    """A house at work."""
    async with house(tmp_path) as made:
        yield made


async def filled(home: House, text: str, **fields: Any) -> str:
    """The id of a vector store whose one file takes as many bytes as the text is long."""
    file = await home.file("a.txt", text)
    body = requests.CreateVectorStore.model_validate({"file_ids": [file.id]} | fields)
    store = await home.services.vector_stores.create(body)
    return (await indexed(home, store.id)).id


async def test_a_store_counts_for_as_long_as_it_has_its_size(home: House) -> None:
    """A thousand bytes for two days, then deleted; what others had is told apart."""
    stores = home.services.vector_stores
    first = await filled(home, "a" * 1000)
    start = int(home.clock.now())
    await home.virtual.advance(2 * DAY, sleepers=0)
    await stores.delete(first)
    second = await filled(home, "b" * 500)
    await home.virtual.advance(DAY, sleepers=0)
    used = await home.services.storage_use.between(start)

    assert {first: 2e-6, second: 0.5e-6} == pytest.approx(
        {one["vector_store_id"]: one["gb_days"] for one in used["vector_stores"]}, rel=0.01
    )
    assert 2.5e-6 == pytest.approx(used["gb_days"], rel=0.01)


async def test_only_the_stretch_that_is_asked_for_counts(home: House) -> None:
    """Also where a size began before it; what is to come is not known."""
    await filled(home, "a" * 1000)
    start = int(home.clock.now())
    await home.virtual.advance(4 * DAY, sleepers=0)
    use = home.services.storage_use

    assert 1e-6 == pytest.approx((await use.between(start + DAY, start + 2 * DAY))["gb_days"])
    future = await use.between(start, start + 100 * DAY)
    assert (start + 4 * DAY, pytest.approx(4e-6, rel=0.01)) == (future["until"], future["gb_days"])
    with pytest.raises(InvalidRequest):
        await use.between(start, start - 1)


async def test_files_that_go_and_stores_that_expire_stop_counting(home: House) -> None:
    """A file taken out, and a store unused for a day."""
    stores = home.services.vector_stores
    emptied = await filled(home, "a" * 1000)
    expired = await filled(home, "b" * 1000, **ONE_DAY)
    start = int(home.clock.now())
    [file] = (await stores.list_files(emptied, OLDEST_FIRST)).data
    await stores.remove_file(emptied, file.id)
    await home.virtual.advance(10 * DAY, sleepers=0)
    await home.services.housekeeping.expire()
    used = await home.services.storage_use.between(start)

    assert [(expired, pytest.approx(1e-6, rel=0.01))] == [
        (one["vector_store_id"], one["gb_days"]) for one in used["vector_stores"] if one["gb_days"]
    ]
