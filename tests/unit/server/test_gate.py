"""Who may come in, by which path, and how a refusal reads in each dialect."""

from pathlib import Path

import pytest

from local_assistants.server.dialect import canonical
from local_assistants.server.settings import ServerSettings, is_loopback
from tests.support.answers import error_of

from .house import House, new_key, open_house


@pytest.mark.parametrize(
    ("path", "expected", "dialect"),
    [
        ("/v1/threads", "/v1/threads", "openai"),
        ("/openai/threads", "/v1/threads", "azure"),
        ("/openai/v1/threads/thread_1", "/v1/threads/thread_1", "azure"),
        ("/openai/deployments/gpt-4o/threads", "/v1/threads", "azure"),
        ("/openai", "/openai", "azure"),
        ("/threads", "/v1/threads", "agents"),
        ("/assistants/asst_1", "/v1/assistants/asst_1", "agents"),
        ("/api/projects/mine/vector_stores", "/v1/vector_stores", "agents"),
        ("/api/projects/mine/files/f/content", "/v1/files/f/content", "agents"),
        ("/api/projects/mine", "/api/projects/mine", "openai"),
        ("/api/projects/mine/models", "/api/projects/mine/models", "openai"),
        ("/api/projects/a/b/threads", "/api/projects/a/b/threads", "openai"),
        ("/threadsy", "/threadsy", "openai"),
        ("/docs", "/docs", "openai"),
        ("/openaikin/threads", "/openaikin/threads", "openai"),
        ("/healthz", "/healthz", "openai"),
    ],
)
def test_all_prefixes_lead_to_one_path(path: str, expected: str, dialect: str) -> None:
    """Every dialect's path has one canonical form, and foreign paths stay as they are."""
    assert (expected, dialect) == canonical(path)


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


BOX = frozenset({"box.lan"})


@pytest.mark.parametrize(
    ("settings", "host", "status"),
    [
        (ServerSettings(allowed_hosts=BOX), "box.lan", 200),
        (ServerSettings(allowed_hosts=frozenset({"Box.LAN"})), "BOX.lan:80", 200),
        (ServerSettings(host="127.0.0.5"), "127.0.0.5:80", 200),
        (ServerSettings(host="127.0.0.5"), "127.0.0.6:80", 403),
        (ServerSettings(host="0.0.0.0", allowed_hosts=BOX, no_auth=True), "box.lan:80", 200),
        (ServerSettings(host="0.0.0.0", allowed_hosts=BOX, no_auth=True), "other.lan", 403),
        (ServerSettings(host="0.0.0.0", no_auth=True), "192.168.1.20:80", 200),
        (ServerSettings(host="::", no_auth=True), "[fe80::20]:80", 200),
        (ServerSettings(host="0.0.0.0", no_auth=True), "anything.example", 403),
    ],
)
async def test_further_names_can_be_allowed(
    tmp_path: Path, settings: ServerSettings, host: str, status: int
) -> None:
    """Elsewhere than on loopback any address is served without a key, and a name only when it was given."""
    async with open_house(tmp_path, settings=settings) as house:
        answer = await house.client.get("/models", headers={"host": host})
    assert status == answer.status_code


@pytest.mark.parametrize(
    ("allowed", "status"), [(frozenset[str](), 200), (BOX, 403)], ids=["any", "given"]
)
async def test_whoever_has_a_key_may_use_any_name_unless_names_are_given(
    tmp_path: Path, allowed: frozenset[str], status: int
) -> None:
    """A page that was bent to this machine has no key."""
    settings = ServerSettings(host="0.0.0.0", allowed_hosts=allowed)
    async with open_house(tmp_path, settings=settings) as house:
        headers = {"host": "anything.example", "api-key": await new_key(house)}
        answer = await house.client.get("/models", headers=headers)
    assert status == answer.status_code


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("192.168.1.20", False),
        ("::ffff:192.168.1.20", False),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
    ],
)
def test_only_addresses_of_this_machine_are_loopback(host: str, expected: bool) -> None:
    """What listens on all addresses does not count, nor does a name that only looks like one."""
    assert expected == is_loopback(host)


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
