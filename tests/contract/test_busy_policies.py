"""Requests at a busy thread over HTTP: the header, the server's setting, bounds, and clients that give up."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from local_assistants.engine.clock import RandomIds
from local_assistants.engine.services import Keys
from local_assistants.engine.settings import BusyPolicy
from local_assistants.server.settings import ServerSettings
from tests.support.answers import error_of, events_of, json_of
from tests.support.engine import FUNCTION, PATIENCE, calls, house
from tests.support.runs import HANG

from .live import listening
from .web import USER, Json, Web, open_web, path_of, told

QUEUE = {"x-busy-thread": "queue"}
INTERRUPT = {"x-busy-thread": "interrupt"}
ASK = calls("add", {"a": 1})


async def busy(web: Web) -> Json:
    """A run that waits for its client and so holds its thread."""
    return await web.finished(await web.assistant(tools=[FUNCTION]))


def requests_of(run: Json) -> list[tuple[str, Json]]:
    """What may be asked of a run's thread: a new run, a new message."""
    thread = f"/threads/{run['thread_id']}"
    return [(f"{thread}/runs", {"assistant_id": run["assistant_id"]}), (f"{thread}/messages", USER)]


def refusals(run: Json) -> list[str]:
    """What the API says to these while the run holds the thread."""
    return [
        f"Thread {run['thread_id']} already has an active run {run['id']}.",
        f"Can't add messages to {run['thread_id']} while a run {run['id']} is active.",
    ]


@pytest.mark.parametrize("headers", [{}, {"x-busy-thread": "refuse"}, {"x-busy-thread": ""}])
async def test_without_a_policy_a_busy_thread_refuses(tmp_path: Path, headers: Json) -> None:
    """At once, with the exact texts of the original, and 400 because SDKs retry 409."""
    async with open_web(tmp_path, [ASK]) as web:
        run = await busy(web)
        refused = [
            await web.refused("POST", path, json=body, headers=headers)
            for path, body in requests_of(run)
        ]
    expected = [(text, "invalid_request_error", None, None) for text in refusals(run)]
    assert expected == [told(error) for error in refused]


async def test_a_queued_request_is_answered_when_the_thread_is_free(tmp_path: Path) -> None:
    """A message and a run wait, in this order, until the run before them has its outputs."""
    async with open_web(tmp_path, [ASK, {"text": "Done."}]) as web:
        run = await busy(web)
        (new_run, body), (new_message, said) = requests_of(run)
        message = asyncio.create_task(web.client.post(new_message, json=said, headers=QUEUE))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(web.client.post(new_run, json=body, headers=QUEUE))
        await asyncio.sleep(0.05)
        assert [False, False] == [message.done(), second.done()]
        call = run["required_action"]["submit_tool_outputs"]["tool_calls"][0]["id"]
        outputs = {"tool_outputs": [{"tool_call_id": call, "output": "1"}]}
        await web.post(f"{path_of(run)}/submit_tool_outputs", outputs)
        begun = json_of(await asyncio.wait_for(second, PATIENCE))
        listed = await web.get(new_message, order="asc")
        first = await web.get(path_of(run))
    assert "completed" == first["status"]
    assert "queued" == begun["status"]
    assert ["user", "assistant", "user"] == [each["role"] for each in listed["data"]]
    assert json_of(message.result())["id"] == listed["data"][2]["id"]


async def test_an_interrupting_stream_takes_the_thread_over(tmp_path: Path) -> None:
    """The run that held it is cancelled; the new one's stream begins as always."""
    async with open_web(tmp_path, [ASK]) as web:
        run = await busy(web)
        path, body = requests_of(run)[0]
        answer = await asyncio.wait_for(
            web.client.post(path, json=body | {"stream": True}, headers=INTERRUPT), PATIENCE
        )
        interrupted = await web.get(path_of(run))
    names = [name for name, _ in events_of(answer.text)]
    assert ["thread.run.created", "thread.run.queued"] == names[:2]
    assert "cancelled" == interrupted["status"]


async def test_the_server_s_policy_holds_where_a_request_names_none(tmp_path: Path) -> None:
    """And a request may still ask to be refused."""
    settings = ServerSettings(busy_thread=BusyPolicy.INTERRUPT)
    async with open_web(tmp_path, [ASK], settings=settings) as web:
        run = await busy(web)
        path, body = requests_of(run)[1]
        refused = await web.refused("POST", path, json=body, headers={"x-busy-thread": "refuse"})
        await asyncio.wait_for(web.post(path, body), PATIENCE)
        interrupted = await web.get(path_of(run))
    assert refusals(run)[1] == refused["message"]
    assert "cancelled" == interrupted["status"]


async def test_a_request_is_refused_when_it_has_waited_long_enough(tmp_path: Path) -> None:
    """After the time that it gives itself, with the ordinary text."""
    async with open_web(tmp_path, [ASK]) as web:
        run = await busy(web)
        waiting = [
            asyncio.create_task(
                web.client.post(path, json=body, headers=QUEUE | {"x-busy-wait": "2.5"})
            )
            for path, body in requests_of(run)
        ]
        await web.home.virtual.advance(2, sleepers=3)
        assert not any(task.done() for task in waiting)
        await web.home.virtual.advance(1, sleepers=3)
        answers = await asyncio.wait_for(asyncio.gather(*waiting), PATIENCE)
    assert [400, 400] == [answer.status_code for answer in answers]
    assert refusals(run) == [error_of(answer)["message"] for answer in answers]


@pytest.mark.parametrize(
    ("headers", "param", "says"),
    [
        (
            {"x-busy-thread": "wait"},
            "x-busy-thread",
            "Invalid value: 'wait'. Supported values are: 'refuse', 'queue', and 'interrupt'.",
        ),
        (QUEUE | {"x-busy-wait": "61"}, "x-busy-wait", "between 0 and 60, the longest that"),
        (QUEUE | {"x-busy-wait": "-1"}, "x-busy-wait", "Expected seconds between 0 and 60"),
        (QUEUE | {"x-busy-wait": "long"}, "x-busy-wait", "Invalid 'x-busy-wait': 'long'."),
        (QUEUE | {"x-busy-wait": "1e1"}, "x-busy-wait", "Invalid 'x-busy-wait': '1e1'."),
    ],
)
async def test_odd_headers_are_refused(web: Web, headers: Json, param: str, says: str) -> None:
    """Before anything is done, also when the thread is free."""
    thread = await web.thread()
    path = f"/threads/{thread['id']}/messages"
    error = await web.refused("POST", path, json=USER, headers=headers)
    assert (param, "invalid_value") == (error["param"], error["code"])
    assert says in error["message"]
    assert [] == (await web.get(path))["data"]


async def test_a_client_that_hangs_up_while_it_waits_leaves_nothing_behind(tmp_path: Path) -> None:
    """Neither its run nor its message is there when the thread is free again."""
    async with house(tmp_path, [HANG], ids=RandomIds()) as home, listening(home) as client:
        web = Web(client, home)
        run = await web.started(await web.assistant())
        for path, body in requests_of(run):
            with pytest.raises(httpx.ReadTimeout):
                await client.post(path, json=body, headers=QUEUE, timeout=0.2)
        await web.post(f"{path_of(run)}/cancel")
        await asyncio.wait_for(nobody_waits(web), PATIENCE)
        await web.settled(path_of(run))
        runs = await web.get(f"/threads/{run['thread_id']}/runs")
        said = await web.get(f"/threads/{run['thread_id']}/messages")
    assert [run["id"]] == [each["id"] for each in runs["data"]]
    assert 1 == len([each for each in said["data"] if each["role"] == "user"])


async def nobody_waits(web: Web) -> None:
    """Return when no request stands in line."""
    services: Any = web.home.services.of("default")
    while vars(services.busy)["_lines"]:  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0.01)


async def test_a_request_that_is_wrong_interrupts_nothing(tmp_path: Path) -> None:
    """A run of no assistant and a message with no such file are refused; the run that waits goes on waiting."""
    async with open_web(tmp_path, [ASK]) as web:
        run = await busy(web)
        (new_run, _), (new_message, _) = requests_of(run)
        lost = {"file_id": "file-none", "tools": [{"type": "file_search"}]}
        await web.refused("POST", new_run, 404, json={"assistant_id": "asst_x"}, headers=INTERRUPT)
        await web.refused(
            "POST", new_message, json=USER | {"attachments": [lost]}, headers=INTERRUPT
        )
        unhurried = INTERRUPT | {"x-busy-wait": "0"}
        hasty = await web.refused("POST", new_message, json=USER, headers=unhurried)
        after = await web.get(path_of(run))
    assert refusals(run)[1] == hasty["message"]
    assert "requires_action" == after["status"]


async def test_a_key_that_is_revoked_while_its_request_waits(tmp_path: Path) -> None:
    """The request gets the refusal that the next one would, and nothing of it is done."""
    async with open_web(tmp_path, [ASK]) as web:
        run = await busy(web)
        keys: Keys = web.home.services.keys
        mine, other = await keys.create(), await keys.create()
        path, said = requests_of(run)[1]
        headers = {"authorization": f"Bearer {mine.secret}"}
        waiting = asyncio.create_task(web.client.post(path, json=said, headers=QUEUE | headers))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await keys.revoke(mine.key.id)
        web.client.headers["authorization"] = f"Bearer {other.secret}"
        await web.post(f"{path_of(run)}/cancel")
        answer = await asyncio.wait_for(waiting, PATIENCE)
        listed = await web.get(path)
    assert (401, "invalid_api_key") == (answer.status_code, error_of(answer)["code"])
    assert 1 == len([each for each in listed["data"] if each["role"] == "user"])
