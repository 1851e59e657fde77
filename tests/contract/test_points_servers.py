"""Pollers are told when to come again (point 35), and two servers on one data folder are one (point 49)."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from local_assistants.cli.demo.server_process import ServerProcess
from tests.support.answers import error_of, events_of, json_of

from .web import USER, Json, Web, path_of, plainly, told

POLL = {"X-Stainless-Poll-Helper": "true"}


async def test_point_35_pollers_are_told_a_short_pause(web: Web) -> None:
    """Runs, store files and batches carry 50 to 250 ms, with and without the SDK's poll header; others do not."""
    run = await web.started(await web.assistant())
    file, store = await web.upload(), await web.post("/vector_stores")
    path = f"/vector_stores/{store['id']}"
    batch = await web.post(f"{path}/file_batches", {"file_ids": [file["id"]]})
    polled = [
        path_of(run),
        f"{path}/files/{file['id']}",
        f"{path}/file_batches/{batch['id']}",
    ]
    others = ["/assistants", "/models", path, f"/files/{file['id']}", f"{path_of(run)}/steps"]
    for headers in (POLL, POLL | {"X-Stainless-Custom-Poll-Interval": "5000"}, {}):
        answers = [await web.client.get(each, headers=headers) for each in polled]
        pauses = [answer.headers["openai-poll-after-ms"] for answer in answers]
        assert [True] * 3 == [50 <= int(pause) <= 250 for pause in pauses]
    silent = [await web.client.get(each, headers=POLL) for each in others]
    assert [False] * 5 == ["openai-poll-after-ms" in answer.headers for answer in silent]


@pytest.fixture
def two_servers(tmp_path: Path) -> Iterator[list[httpx.Client]]:
    """Clients of two processes that serve one data folder."""
    turns: list[Json] = [{"text": "one two three", "tokens_per_second": 2}]
    script = tmp_path / "script.yaml"
    script.write_text(yaml.safe_dump({"turns": turns}))
    model, data = f"scripted:{script}", tmp_path / "data"
    with (
        ServerProcess(model, data, tmp_path / "first.log") as first,
        ServerProcess(model, data, tmp_path / "second.log") as second,
        httpx.Client(base_url=f"{first.start()}/v1", timeout=30) as one,
        httpx.Client(base_url=f"{second.start()}/v1", timeout=30) as other,
    ):
        yield [one, other]


def made(client: httpx.Client, path: str, body: Json | None = None) -> Json:
    """What a POST made."""
    return json_of(client.post(path, json=body))


def read(client: httpx.Client, path: str, **query: Any) -> Json:
    """What a GET found."""
    return json_of(client.get(path, params=query or None))


@pytest.mark.slow
def test_point_49_what_one_server_made_the_other_has_at_once(
    two_servers: list[httpx.Client],
) -> None:
    """Objects of every kind, changes and deletions, in both directions and without waiting."""
    for turn in range(6):
        here, there = two_servers[turn % 2], two_servers[(turn + 1) % 2]
        assistant = made(here, "/assistants", {"model": "scripted"})
        thread = made(there, "/threads", {"messages": [USER]})
        at = f"/threads/{thread['id']}"
        message = made(here, f"{at}/messages", USER)
        store = made(there, "/vector_stores", {"name": "S"})
        file = json_of(
            here.post("/files", files={"file": ("a.txt", b"x")}, data={"purpose": "vision"})
        )
        paths = {
            f"/assistants/{assistant['id']}": assistant,
            f"{at}/messages/{message['id']}": message,
            f"/vector_stores/{store['id']}": store,
            f"/files/{file['id']}": file,
        }
        for client in (there, here):
            assert paths == {path: read(client, path) for path in paths}
            assert message["id"] == read(client, f"{at}/messages")["first_id"]
        assert b"x" == there.get(f"/files/{file['id']}/content").content
        changed = made(there, f"/assistants/{assistant['id']}", {"name": "N"})
        assert changed == read(here, f"/assistants/{assistant['id']}")
        there.delete(at)
        assert 404 == here.get(at).status_code


@pytest.mark.slow
def test_point_49_a_run_is_one_run_on_both_servers(two_servers: list[httpx.Client]) -> None:
    """The other server shows it, locks its thread, streams it and has its answer; ended there is ended here."""
    here, there = two_servers
    assistant = made(here, "/assistants", {"model": "scripted"})
    body = {"assistant_id": assistant["id"]}
    run = made(there, "/threads/runs", body | {"thread": {"messages": [USER]}})
    path = path_of(run)
    busy = [client.post(f"/threads/{run['thread_id']}/runs", json=body) for client in (here, there)]
    listed = read(here, f"/threads/{run['thread_id']}/runs")["data"]
    deadline = time.monotonic() + 30
    while (found := read(here, path))["status"] != "completed":
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    said = [read(client, f"/threads/{run['thread_id']}/messages") for client in (here, there)]
    again = here.post(f"/threads/{run['thread_id']}/runs", json=body | {"stream": True})
    assert [400, 400] == [answer.status_code for answer in busy]
    assert all(run["id"] in answer.text for answer in busy)
    assert [run["id"]] == [each["id"] for each in listed]
    assert found == read(there, path)
    assert said[0] == said[1]
    assert "one two three" == said[0]["data"][0]["content"][0]["text"]["value"]
    assert "done" == events_of(again.text)[-1][0]


@pytest.mark.slow
def test_models_of_the_hosted_service(two_servers: list[httpx.Client]) -> None:
    """Names of those that talk are answered by the model that is here; those that do not talk are refused as there."""
    server = two_servers[0]
    made(server, "/assistants", {"model": "gpt-4o"})
    message = "The requested model 'text-embedding-3-small' cannot be used with the Assistants API."
    assistant = made(server, "/assistants", {"model": "scripted"})
    body = {"model": "text-embedding-3-small"}
    answers = [
        server.post("/assistants", json=body),
        server.post(f"/assistants/{assistant['id']}", json=body),
        server.post("/threads/runs", json=body | {"assistant_id": assistant["id"]}),
    ]
    told_of = plainly(message, "model", "unsupported_model")
    assert [(400, told_of)] * 3 == [(a.status_code, told(error_of(a))) for a in answers]
