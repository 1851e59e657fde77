"""Who may come in, by which path, and how a refusal reads in each dialect."""

from pathlib import Path

import pytest

from local_assistants.server.dialect import canonical
from local_assistants.server.settings import ServerSettings

from .house import House, error_of, open_house

KEY = "sk-local-0123456789abcdef"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/threads", "/v1/threads"),
        ("/openai/threads", "/v1/threads"),
        ("/openai/v1/threads/thread_1", "/v1/threads/thread_1"),
        ("/openai/deployments/gpt-4o/threads", "/v1/threads"),
        ("/openai", "/openai"),
        ("/openaikin/threads", "/openaikin/threads"),
        ("/healthz", "/healthz"),
    ],
)
def test_all_prefixes_lead_to_one_path(path: str, expected: str) -> None:
    """Every dialect's path has one canonical form."""
    assert expected == canonical(path)


@pytest.mark.parametrize("prefix", ["/v1", "/openai", "/openai/v1", "/openai/deployments/my-model"])
async def test_every_prefix_serves_the_same(house: House, prefix: str) -> None:
    """Any api-version is taken, and none."""
    for query in ("", "?api-version=2024-05-01-preview"):
        answer = await house.client.get(f"http://localhost{prefix}/models{query}")
        assert (200, "scripted") == (answer.status_code, answer.json()["data"][0]["id"])


async def test_azure_says_resource_not_found(house: House) -> None:
    """An unknown path under /openai has Azure's two-key error; an unknown id has the usual one."""
    path = await house.client.get("http://localhost/openai/nothing")
    thread = await house.client.get("http://localhost/openai/threads/thread_1")
    assert (404, {"error": {"code": "404", "message": "Resource not found"}}) == (
        path.status_code,
        path.json(),
    )
    assert "No thread found with id 'thread_1'." == error_of(thread)["message"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:8000", 200),
        ("LOCALHOST:1", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example:8000", 403),
        ("evil.example@localhost.evil", 403),
        ("[::1", 403),
        ("", 403),
    ],
)
async def test_bound_to_loopback_only_loopback_names_are_served(
    house: House, host: str, status: int
) -> None:
    """A name that was bent to this machine (DNS rebinding) is refused."""
    answer = await house.client.get("/models", headers={"host": host})
    assert status == answer.status_code
    if status == 403:
        assert "invalid_request_error" == error_of(answer)["type"]


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://localhost", 200), ("https://evil.example", 403), ("null", 403), ("http://[", 403)],
)
async def test_pages_of_other_sites_are_refused(house: House, origin: str, status: int) -> None:
    """Without keys, a browser's visitor must not be used against this server."""
    answer = await house.client.post("/threads", headers={"origin": origin})
    assert status == answer.status_code


@pytest.mark.parametrize(
    ("settings", "host", "status"),
    [
        (ServerSettings(host="0.0.0.0"), "anything.example", 200),
        (ServerSettings(host="0.0.0.0", allowed_hosts=frozenset({"box.lan"})), "box.lan:80", 200),
        (ServerSettings(host="0.0.0.0", allowed_hosts=frozenset({"box.lan"})), "other.lan", 403),
        (ServerSettings(allowed_hosts=frozenset({"box.lan"})), "box.lan", 200),
    ],
)
async def test_further_names_can_be_allowed(
    tmp_path: Path, settings: ServerSettings, host: str, status: int
) -> None:
    """Elsewhere than on loopback any name is served, unless names are given."""
    async with open_house(tmp_path, settings=settings) as house:
        answer = await house.client.get("/models", headers={"host": host})
    assert status == answer.status_code


LOCKED = ServerSettings(api_keys=frozenset({KEY, "another-key"}))


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer {KEY}"},
        {"api-key": KEY},
        {"api-key": "another-key"},
        {"authorization": f"Bearer {KEY}", "origin": "https://page.example"},
    ],
)
async def test_a_key_opens(tmp_path: Path, headers: dict[str, str]) -> None:
    """Both headers are taken."""
    async with open_house(tmp_path, settings=LOCKED) as house:
        answer = await house.client.get("/models", headers=headers)
    assert 200 == answer.status_code


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, None),
        ({"authorization": KEY}, None),
        ({"authorization": "Basic eDp5"}, None),
        ({"authorization": "Bearer "}, None),
        ({"authorization": f"Bearer {KEY}x"}, "invalid_api_key"),
        ({"api-key": "wrong"}, "invalid_api_key"),
    ],
)
async def test_no_key_and_a_wrong_key_do_not(
    tmp_path: Path, headers: dict[str, str], code: str | None
) -> None:
    """The two cases are told apart, and a wrong key is not echoed."""
    async with open_house(tmp_path, settings=LOCKED) as house:
        answer = await house.client.get("/models", headers=headers)
    assert (401, code) == (answer.status_code, error_of(answer)["code"])
    assert KEY not in answer.text


async def test_azure_says_access_denied(tmp_path: Path) -> None:
    """Under /openai a missing key has Azure's two-key error."""
    async with open_house(tmp_path, settings=LOCKED) as house:
        answer = await house.client.get("http://localhost/openai/models")
    assert (401, "401") == (answer.status_code, answer.json()["error"]["code"])
    assert {"code", "message"} == set(answer.json()["error"])


async def test_health_is_open_without_a_key(tmp_path: Path) -> None:
    """Whoever watches the process needs no key."""
    async with open_house(tmp_path, settings=LOCKED) as house:
        answer = await house.client.get("http://localhost/healthz")
    assert 200 == answer.status_code


async def test_the_beta_header_can_be_insisted_on(tmp_path: Path) -> None:
    """Then it is needed where the hosted service needed it, and never under Azure's paths."""
    async with open_house(tmp_path, settings=ServerSettings(require_beta_header=True)) as house:
        refused = await house.client.get("/assistants")
        statuses = [
            (await house.client.get("/assistants", headers={"openai-beta": value})).status_code
            for value in ("assistants=v2", "x=1, assistants=v2", "assistants=v1")
        ]
        azure = await house.client.get("http://localhost/openai/assistants")
        files = await house.client.get("/files")
    assert (400, "invalid_beta") == (refused.status_code, error_of(refused)["code"])
    assert [200, 200, 400] == statuses
    assert (200, 200) == (azure.status_code, files.status_code)
