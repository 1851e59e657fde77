"""The API's page for people: there without a network and without a key, and it may load nothing from elsewhere."""

import re
from pathlib import Path

import pytest

from local_assistants.server.docs import OPEN_PATHS
from tests.support.answers import error_of

from .house import House, new_key, open_house

ROOT = "http://localhost"


async def test_the_page_names_only_files_of_this_server(house: House) -> None:
    """Everything it loads is served here, and it holds no script of its own."""
    page = await house.client.get(f"{ROOT}/docs")
    named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    loaded = [name for name in named if name != "data:,"]
    answers = [await house.client.get(f"{ROOT}{name}") for name in loaded]
    assert [200] * 3 == [answer.status_code for answer in answers]
    assert all(name.startswith("/docs/") for name in loaded)
    assert [] == re.findall(r"<script>|//", page.text)


async def test_the_policy_forbids_other_hosts_and_inline_code(house: House) -> None:
    """The browser is told to load from here only."""
    page = await house.client.get(f"{ROOT}/docs")
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert not re.search(r"unsafe|\*|https?:", policy)


async def test_the_page_starts_on_our_description(house: House) -> None:
    """And asks no validator on the internet what it thinks of it."""
    start = (await house.client.get(f"{ROOT}/docs/start.js")).text
    assert 'url: "/openapi.json"' in start
    assert "validatorUrl: null" in start


@pytest.mark.parametrize("path", sorted(OPEN_PATHS))
async def test_the_page_needs_no_key_but_operations_do(tmp_path: Path, path: str) -> None:
    """It holds no data."""
    async with open_house(tmp_path) as house:
        await new_key(house)
        page = await house.client.get(f"{ROOT}{path}")
        data = await house.client.get("/assistants")
    assert (200, 401) == (page.status_code, data.status_code)


@pytest.mark.parametrize("name", ["x.js", "..%2f__init__.py", "%00", "redoc.standalone.js"])
async def test_nothing_else_of_the_package_is_served(house: House, name: str) -> None:
    """Names are compared, never joined to a path unseen."""
    answer = await house.client.get(f"{ROOT}/docs/{name}")
    assert (404, None) == (answer.status_code, error_of(answer)["code"])
