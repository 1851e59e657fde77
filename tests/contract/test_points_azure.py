"""Azure's manner of the same API (contract, section 7; point 43): paths, versions, keys, and its own two errors."""

from pathlib import Path

import httpx
import pytest

from local_assistants.server.settings import ServerSettings
from tests.support.answers import error_of

from .web import ORIGIN, USER, Json, Web, open_web, plainly, told

PREFIXES = ("/openai", "/openai/v1", "/openai/deployments/gpt-4o")
VERSIONS = (
    "2024-02-15-preview",
    "2024-05-01-preview",
    "2024-07-01-preview",
    "2024-08-01-preview",
    "2024-09-01-preview",
    "2025-01-01-preview",
    "2025-03-01-preview",
    "2025-04-01-preview",
    "2024-10-21",
    "preview",
    "v1",
    "next-year",
    "",
)
DENIED: Json = {
    "error": {
        "code": "401",
        "message": "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid "
        "key for an active subscription and use a correct regional API endpoint for your resource.",
    }
}
NOT_FOUND: Json = {"error": {"code": "404", "message": "Resource not found"}}

each_prefix = pytest.mark.parametrize("prefix", PREFIXES)


async def at(web: Web, path: str, method: str = "GET", **sent: object) -> httpx.Response:
    """The answer to a request below the host's root."""
    return await web.client.request(method, f"{ORIGIN}{path}", **sent)  # type: ignore[arg-type]


@each_prefix
@pytest.mark.parametrize("version", [None, *VERSIONS])
async def test_point_43_any_version_and_none(web: Web, prefix: str, version: str | None) -> None:
    """Preview, GA, unknown, empty and missing api-versions are all the same."""
    query = {} if version is None else {"api-version": version}
    made = await at(web, f"{prefix}/threads", "POST", params=query, json={"messages": [USER]})
    listed = await at(web, f"{prefix}/threads/{made.json()['id']}/messages", params=query)
    assert [200, 200] == [made.status_code, listed.status_code]
    assert ["hi"] == [m["content"][0]["text"]["value"] for m in listed.json()["data"]]


@each_prefix
async def test_point_43_one_world_behind_all_paths(web: Web, prefix: str) -> None:
    """What is made by one path is read, listed and changed by every other."""
    made = await at(web, f"{prefix}/assistants", "POST", json={"model": "scripted"})
    id_ = made.json()["id"]
    for other in ("/v1", *PREFIXES):
        assert made.json() == (await at(web, f"{other}/assistants/{id_}")).json()
        listed = (await at(web, f"{other}/assistants")).json()
        assert [id_] == [assistant["id"] for assistant in listed["data"]]


KEY_HEADERS = {
    "api-key": "{}",
    "Authorization": "Bearer {}",
    "authorization": "bearer {}",
    "API-KEY": "{}",
}


@each_prefix
async def test_point_43_both_kinds_of_keys(tmp_path: Path, prefix: str) -> None:
    """`api-key` and an Entra bearer open, in any case of letters; without or with a wrong one Azure's 401 is told."""
    async with open_web(tmp_path) as web:
        secret = (await web.home.services.keys.create()).secret
        opened = [
            (await at(web, f"{prefix}/models", headers={name: value.format(secret)})).status_code
            for name, value in KEY_HEADERS.items()
        ]
        closed = [
            await at(web, f"{prefix}/models", headers=headers)
            for headers in ({}, {"api-key": "wrong"}, {"authorization": "Bearer wrong"})
        ]
    assert [200] * 4 == opened
    assert [(401, DENIED)] * 3 == [(answer.status_code, answer.json()) for answer in closed]


@each_prefix
async def test_any_key_opens_where_none_is_asked_for(web: Web, prefix: str) -> None:
    """A local server takes whatever a client has to send."""
    for headers in ({}, {"api-key": "x"}, {"authorization": "Bearer eyJ0eXAi.x.y"}):
        assert 200 == (await at(web, f"{prefix}/models", headers=headers)).status_code


@each_prefix
async def test_point_43_the_beta_header_is_never_insisted_on(tmp_path: Path, prefix: str) -> None:
    """Also where OpenAI's own paths need it; sending it does no harm."""
    async with open_web(tmp_path, settings=ServerSettings(require_beta_header=True)) as web:
        without = await at(web, f"{prefix}/assistants")
        sent = [
            await at(web, f"{prefix}/assistants", headers={"openai-beta": value})
            for value in ("assistants=v2", "assistants=v1")
        ]
        openai = await at(web, "/v1/assistants")
    assert [200, 200, 200] == [answer.status_code for answer in (without, *sent)]
    assert 400 == openai.status_code


@each_prefix
@pytest.mark.parametrize("path", ["", "/", "/nothing", "/threads/thread_1/nothing"])
async def test_unknown_paths_are_no_resource(web: Web, prefix: str, path: str) -> None:
    """Azure's 404 has two keys and a code that is a string."""
    answer = await at(web, f"{prefix}{path}", params={"api-version": VERSIONS[0]})
    assert (404, NOT_FOUND) == (answer.status_code, answer.json())
    assert "application/json" == answer.headers["content-type"]


@each_prefix
async def test_the_service_s_own_errors_have_four_keys(web: Web, prefix: str) -> None:
    """Unknown ids, wrong bodies and unknown models read as they do under OpenAI's path."""
    cases: list[tuple[str, str, Json | None]] = [
        ("GET", "/threads/thread_none", None),
        ("GET", "/threads/undefined", None),
        ("GET", "/assistants?limit=0", None),
        ("POST", "/assistants", {}),
        ("POST", "/assistants", {"model": "nobody"}),
        ("POST", "/threads", {"x": 1}),
    ]
    for method, path, body in cases:
        answers = [await at(web, f"{base}{path}", method, json=body) for base in (prefix, "/v1")]
        azure, openai = (told(error_of(answer)) for answer in answers)
        assert azure == openai
        assert answers[0].status_code == answers[1].status_code


async def test_methods_that_do_not_exist(web: Web) -> None:
    """The path is named as it was sent."""
    answer = await at(web, "/openai/threads/thread_1", "PATCH")
    expected = plainly("Invalid method for URL (PATCH /openai/threads/thread_1)")
    assert (405, expected) == (answer.status_code, told(error_of(answer)))
