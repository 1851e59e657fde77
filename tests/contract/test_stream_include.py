"""`include[]` on streams: who asks for the text of search results gets it, and nobody else."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from local_assistants.engine.chat import ToolCall
from local_assistants.engine.events import Event
from local_assistants.engine.objects import FileSearchDetails, SearchResult, SearchText
from local_assistants.engine.ports import Emit, ToolResult, ToolSession
from tests.support.answers import events_of
from tests.support.engine import FUNCTION, PATIENCE, SEARCH, ScriptedTool, calls
from tests.support.tools import work_for_ever

from .web import Json, Web, open_web, path_of

CONTENT = "step_details.tool_calls[*].file_search.results[*].content"
INCLUDE = {"include[]": CONTENT}
FOUND: Json = {"type": "text", "text": "apples and pears"}
TURNS = [calls("file_search", {"queries": ["fruit"]}), {"text": "Apples."}]


async def search(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
    """A search that finds one passage."""
    result = SearchResult(
        file_id="file-7",
        file_name="a.txt",
        score=0.75,
        content=(SearchText(text="apples and pears"),),
    )
    return ToolResult("apples", search=FileSearchDetails(results=(result,)))


TOOLS = [ScriptedTool("file_search", search)]


def results_of(stream: str) -> list[tuple[str, Any]]:
    """Each search result that a stream shows: in which event, and its text, None where there is none."""
    return [
        (name, result.get("content"))
        for name, data in events_of(stream)[:-1]
        for call in data.get("step_details", {}).get("tool_calls", [])
        for result in call.get("file_search", {}).get("results", [])
    ]


async def streamed(web: Web, path: str, body: Json, **query: Any) -> str:
    """The stream that answers a POST."""
    answer = await web.client.post(path, json=body | {"stream": True}, params=query)
    assert 200 == answer.status_code, answer.text
    return answer.text


@pytest.mark.parametrize("key", ["include[]", "include", "include[0]"])
async def test_a_streamed_run_shows_what_was_found(tmp_path: Path, key: str) -> None:
    """In the event that lists the results, in every spelling of the key; otherwise the streams are equal."""
    async with open_web(tmp_path, TURNS, tools=TOOLS) as web:
        assistant = await web.assistant(tools=[SEARCH])
        thread = await web.thread("fruit?")
        body = {"assistant_id": assistant["id"]}
        path = f"/threads/{thread['id']}/runs"
        shown = await streamed(web, path, body, **{key: CONTENT})
        hidden = await streamed(web, path, body)
    assert [("thread.run.step.completed", [FOUND])] == results_of(shown)
    assert [("thread.run.step.completed", None)] == results_of(hidden)
    names = [[name for name, _ in events_of(stream)] for stream in (shown, hidden)]
    assert names[0] == names[1]


async def test_each_subscriber_sees_what_it_asked_for(tmp_path: Path) -> None:
    """One run, two streams that differ in nothing but the text; the journal keeps none of it."""
    async with open_web(tmp_path, TURNS, tools=TOOLS) as web:
        run = await web.finished(await web.assistant(tools=[SEARCH]))
        path = f"{path_of(run)}/events"
        shown, hidden = [(await web.client.get(path, params=query)).text for query in (INCLUDE, {})]
        step = (await web.get(f"{path_of(run)}/steps", **INCLUDE))["data"][-1]
        journal = await web.home.store.read(lambda tx: tx.events(run["id"]))
    text = f',"content":[{json.dumps(FOUND, separators=(",", ":"))}]'
    assert hidden == shown.replace(text, "")
    assert shown != hidden
    assert step in [data for name, data in events_of(shown) if name.endswith("step.completed")]
    assert "pears" not in json.dumps([event.data for event in journal])


async def test_a_resumed_stream_shows_it_too(tmp_path: Path) -> None:
    """Cut right before the event that lists the results, it goes on byte for byte."""
    async with open_web(tmp_path, TURNS, tools=TOOLS) as web:
        run = await web.finished(await web.assistant(tools=[SEARCH]))
        path = f"{path_of(run)}/events"
        whole = (await web.client.get(path, params=INCLUDE)).text
        frames = whole.split("\n\n")
        at = next(i for i, frame in enumerate(frames) if "step.completed" in frame)
        rest = await web.client.get(path, params=INCLUDE, headers={"Last-Event-ID": str(at)})
    assert "\n\n".join(frames[at:]) == rest.text
    assert "apples and pears" in rest.text


async def test_a_thread_and_run_and_a_submit_take_it_too(tmp_path: Path) -> None:
    """The search comes in the first stream or in the second one."""
    later = [calls("add", {"a": 1}), *TURNS]
    async with open_web(tmp_path, TURNS, tools=TOOLS) as web:
        body = {"assistant_id": (await web.assistant(tools=[SEARCH]))["id"]}
        first = await streamed(web, "/threads/runs", body, **INCLUDE)
    async with open_web(tmp_path / "later", later, tools=TOOLS) as web:
        run = await web.finished(await web.assistant(tools=[SEARCH, FUNCTION]))
        call = run["required_action"]["submit_tool_outputs"]["tool_calls"][0]["id"]
        outputs = {"tool_outputs": [{"tool_call_id": call, "output": "1"}]}
        second = await streamed(web, f"{path_of(run)}/submit_tool_outputs", outputs, **INCLUDE)
    for stream in (first, second):
        assert [("thread.run.step.completed", [FOUND])] == results_of(stream)


def follow(web: Web, run: Json) -> AsyncGenerator[Event, None]:
    """The run's events as they come."""
    return web.home.services.runs.stream(run["id"])


async def test_a_cancelled_step_shows_what_was_found_before(tmp_path: Path) -> None:
    """Whichever step event lists results: here the search had an answer while code still ran."""
    both = {
        "tool_calls": [
            {"name": "file_search", "arguments": {"queries": ["fruit"]}},
            {"name": "code_interpreter", "arguments": {"code": "1"}},
        ]
    }
    tools = [*TOOLS, ScriptedTool("code_interpreter", work_for_ever)]
    async with open_web(tmp_path, [both], tools=tools) as web:
        assistant = await web.assistant(tools=[SEARCH, {"type": "code_interpreter"}])
        run = await web.started(assistant)
        async with asyncio.timeout(PATIENCE), aclosing(follow(web, run)) as events:
            async for event in events:
                if "working" in json.dumps(event.data):
                    break
        await web.post(f"{path_of(run)}/cancel")
        await web.settled(path_of(run))
        stream = await web.client.get(f"{path_of(run)}/events", params=INCLUDE)
    assert [("thread.run.step.cancelled", [FOUND])] == results_of(stream.text)


async def test_it_is_refused_before_anything_is_done(web: Web) -> None:
    """What cannot be included is said at once; no run was made."""
    thread = await web.thread("hi")
    body = {"assistant_id": (await web.assistant())["id"], "stream": True}
    path = f"/threads/{thread['id']}/runs"
    for where in (path, "/threads/runs"):
        error = await web.refused("POST", where, json=body, params={"include[]": "all"})
        assert ("include", "invalid_value") == (error["param"], error["code"])
    assert [] == (await web.get(path))["data"]
