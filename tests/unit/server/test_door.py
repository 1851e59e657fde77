"""When a key is asked for, which ones open, and how a refusal reads."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from local_assistants.engine.services import Services
from local_assistants.server.errors import SORRY
from local_assistants.server.settings import ServerSettings
from tests.support.answers import error_of

from .house import House, key_beside, new_key, open_house

LIVE = 1.0  # seconds after which a change of another process has to be known
BEYOND = ServerSettings(host="0.0.0.0")
WRONG = "sk-la-ThisIsNotTheKeyThatOpensAnyDoorAtAllXYZ"


@pytest.fixture
async def locked(tmp_path: Path) -> AsyncIterator[tuple[House, str]]:
    """A house with a key, and the key."""
    async with open_house(tmp_path) as house:
        yield house, await new_key(house)


async def status(house: House, headers: dict[str, str] | None = None) -> int:
    """What a request for the models gets."""
    return (await house.client.get("/models", headers=headers)).status_code


async def within_a_second(house: House, expected: int, headers: dict[str, str]) -> bool:
    """Whether requests are answered with this status within a second, or 50 requests where they are slow."""
    deadline, asked = time.monotonic() + LIVE, 0
    while asked < 50 or time.monotonic() < deadline:
        asked += 1
        if await status(house, headers) == expected:
            return True
        await asyncio.sleep(0.02)
    return False


@pytest.mark.parametrize(
    "form",
    [
        {"authorization": "Bearer {}"},
        {"authorization": "bearer  {} "},
        {"api-key": "{}"},
        {"authorization": "Bearer {}", "origin": "https://page.example"},
    ],
)
async def test_a_key_opens(locked: tuple[House, str], form: dict[str, str]) -> None:
    """Both headers are taken; with a key a page of another site may call, too."""
    house, key = locked
    headers = {name: value.format(key) for name, value in form.items()}
    assert 200 == await status(house, headers)


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({}, None),
        ({"authorization": "{}"}, None),
        ({"authorization": "Basic {}"}, None),
        ({"authorization": "Bearer "}, None),
        ({"authorization": "Bearer {}x"}, "invalid_api_key"),
        ({"api-key": WRONG}, "invalid_api_key"),
        ({"api-key": "short"}, "invalid_api_key"),
        ({"api-key": "\xff\xfe"}, "invalid_api_key"),
    ],
)
async def test_no_key_and_a_wrong_key_do_not(
    locked: tuple[House, str], form: dict[str, str], code: str | None
) -> None:
    """The two cases are told apart in the API's words, and no answer holds what was sent."""
    house, key = locked
    headers = [(name.encode(), value.format(key).encode("latin-1")) for name, value in form.items()]
    answer = await house.client.get("/models", headers=headers)
    error = error_of(answer)
    assert (401, "invalid_request_error", code) == (
        answer.status_code,
        error["type"],
        error["code"],
    )
    began = "Incorrect API key provided: " if code else "You didn't provide an API key. You need to"
    assert error["message"].startswith(began)
    assert key not in answer.text
    assert WRONG not in answer.text


async def test_a_wrong_key_is_shown_masked(locked: tuple[House, str]) -> None:
    """Its first five and last two characters, as the original does."""
    answer = await locked[0].client.get("/models", headers={"api-key": WRONG})
    assert "Incorrect API key provided: sk-la***YZ. " in error_of(answer)["message"]


@pytest.mark.parametrize("path", ["/openai/models", "/openai/v1/models"])
async def test_azure_says_access_denied(locked: tuple[House, str], path: str) -> None:
    """Under /openai a missing key has Azure's two-key error."""
    answer = await locked[0].client.get(f"http://localhost{path}")
    assert (401, "401") == (answer.status_code, answer.json()["error"]["code"])
    assert {"code", "message"} == set(answer.json()["error"])


async def test_health_is_open_without_a_key(locked: tuple[House, str]) -> None:
    """Whoever watches the process needs no key."""
    answers = [await locked[0].client.get(f"http://localhost/{p}") for p in ("healthz", "readyz")]
    assert [200, 200] == [answer.status_code for answer in answers]


async def test_unknown_paths_need_a_key_too(locked: tuple[House, str]) -> None:
    """Nobody learns what is served here."""
    answer = await locked[0].client.get("/nothing")
    assert 401 == answer.status_code


async def test_on_loopback_no_key_is_asked_for_until_there_is_one(house: House) -> None:
    """The first key closes the door at once in this process; the last revoked one opens it again."""
    assert 200 == await status(house)
    services: Services = house.app.state.services
    made = await services.keys.create()
    assert 401 == await status(house)
    await services.keys.revoke(made.key.id)
    assert 200 == await status(house)


async def test_a_key_made_and_revoked_beside_the_server_counts_within_a_second(
    tmp_path: Path,
) -> None:
    """Another process writes to the store; the running server needs no restart."""
    async with open_house(tmp_path) as house:
        assert 200 == await status(house)
        first, second = await key_beside(tmp_path), await key_beside(tmp_path)
        assert await within_a_second(house, 401, {})
        assert 200 == await status(house, {"api-key": first})
        async with open_house(tmp_path) as beside:
            services: Services = beside.app.state.services
            (key, _) = await services.keys.list()
            await services.keys.revoke(key.id)
        assert await within_a_second(house, 401, {"api-key": first})
        assert 200 == await status(house, {"api-key": second})


async def test_beyond_loopback_the_last_key_closes_the_door(tmp_path: Path) -> None:
    """Without an active key nobody gets in, with the revoked one neither."""
    async with open_house(tmp_path, settings=BEYOND) as house:
        assert 401 == await status(house)
        services: Services = house.app.state.services
        made = await services.keys.create()
        headers = {"api-key": made.secret}
        assert (200, 401) == (await status(house, headers), await status(house))
        await services.keys.revoke(made.key.id)
        assert (401, 401) == (await status(house, headers), await status(house))


async def test_asking_nobody_is_a_setting(tmp_path: Path) -> None:
    """With no_auth neither missing nor wrong keys matter; pages of other sites are kept out again."""
    settings = ServerSettings(no_auth=True)
    async with open_house(tmp_path, settings=settings) as house:
        await new_key(house)
        foreign = {"origin": "https://page.example"}
        assert (200, 200) == (await status(house), await status(house, {"api-key": WRONG}))
        assert 403 == await status(house, foreign)


async def test_a_store_that_fails_opens_nothing(tmp_path: Path) -> None:
    """When keys cannot be read, the answer is an error without details, not the data."""
    async with open_house(tmp_path) as house:
        with closing(sqlite3.connect(tmp_path / "store.db")) as connection:
            connection.execute("DROP TABLE api_keys")
        answer = await house.client.get("/models")
    assert (500, SORRY) == (answer.status_code, error_of(answer)["message"])


async def test_keys_are_not_in_the_log(
    locked: tuple[House, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither good nor wrong ones, at any level."""
    house, key = locked
    caplog.set_level(0)
    await house.client.get("/threads/thread_1", headers={"api-key": key})
    await house.client.get("/threads/thread_1", headers={"authorization": f"Bearer {WRONG}"})
    assert caplog.records
    assert key not in caplog.text
    assert WRONG not in caplog.text
