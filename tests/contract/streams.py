"""Every kind of stream there is, heard once over HTTP, for the tests that look at all of them."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from local_assistants.engine.chat import ToolCall
from local_assistants.engine.clock import RandomIds
from local_assistants.engine.objects import (
    FilePath,
    FileSearchDetails,
    ImageOutput,
    LogsOutput,
    SearchResult,
    SearchText,
)
from local_assistants.engine.ports import Citation, Emit, Tool, ToolResult, ToolSession
from tests.support.answers import events_of
from tests.support.engine import CODE, FUNCTION, PATIENCE, SEARCH, ScriptedTool, calls, house
from tests.support.runs import HANG
from tests.support.tools import broken, work_for_ever

from .live import listening, run_of
from .web import USER, Json, Web, path_of

Streams = dict[str, list[str]]
"""The streams of each kind, one after the other, as they came over the wire."""
Told = list[tuple[str, Any]]
"""The events of a stream: name and data."""

TWO_CALLS = calls("add", {"a": 1, "b": 2}, {"a": 3, "b": 1})
RUN_CODE = calls("code_interpreter", {"code": "print(41)\nprint(42)\nplot()"})
FIND = calls("file_search", {"queries": ["revenue"]})
CITED = {"text": "It was 3.5 billion [1]. That is all: é, 漢, 😀. See [1] again."}
USAGE = {"prompt_tokens": 10, "completion_tokens": 5}


async def compute(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
    """Code that prints twice and shows two pictures."""
    await emit(LogsOutput(logs="41\n"))
    await emit(LogsOutput(logs="42\n"))
    assert session.save_file is not None
    made = [await session.save_file(f"plot{number}.png", b"png") for number in (1, 2)]
    for file in made:
        await emit(ImageOutput(image=FilePath(file_id=file.id)))
    return ToolResult("41\n42\n", images=tuple(file.id for file in made))


async def search(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
    """A search that finds one passage."""
    quote = "Revenue was 3.5 billion."
    result = SearchResult(
        file_id="file-7", file_name="report.pdf", score=0.75, content=(SearchText(text=quote),)
    )
    cited = Citation(session.first_citation, "file-7", "report.pdf", quote)
    return ToolResult(quote, search=FileSearchDetails(results=(result,)), citations=(cited,))


# --- what is done to a run while it is heard -------------------------------------------------------

Deed = Callable[[Web, Json], Awaitable[object]]


async def cancel(web: Web, run: Json) -> None:
    """Ask it to stop."""
    await web.post(f"{path_of(run)}/cancel")


async def expire(web: Web, run: Json) -> None:
    """Let its ten minutes pass."""
    await web.home.virtual.advance(600)


@dataclass(frozen=True)
class Kind:
    """How a kind of run comes about: its model's turns, its tools, what is done to it when `at` was heard."""

    turns: list[Json]
    tools: tuple[Tool, ...] = ()
    fields: Json = field(default_factory=dict[str, Any])
    at: str = ""
    deed: Deed | None = None
    on_thread: bool = True  # else the thread is made with the run


def _turn(**fields: Any) -> Json:
    return fields | {"usage": USAGE}


COMPUTE = (ScriptedTool("code_interpreter", compute),)
ENDLESS = (ScriptedTool("code_interpreter", work_for_ever),)
BROKEN = (ScriptedTool("code_interpreter", broken),)
FINDER = (ScriptedTool("file_search", search),)
HELLO = _turn(text="Hello, how are you?")

KINDS: dict[str, Kind] = {
    "text": Kind([HELLO]),
    "thread_and_run": Kind([HELLO], on_thread=False),
    "functions": Kind([TWO_CALLS, _turn(text="It said {{tool}}.")]),
    "functions_twice": Kind([TWO_CALLS, calls("add", {"a": 9}, text="Once more."), HELLO]),
    "code": Kind([RUN_CODE | {"usage": USAGE}, _turn(text="See the plot.")], COMPUTE),
    "search": Kind([FIND, CITED], FINDER),
    "text_then_tools": Kind(
        [
            {"text": "One moment.", "tool_calls": [*RUN_CODE["tool_calls"], *FIND["tool_calls"]]},
            {
                "text": "And now.",
                "tool_calls": [*RUN_CODE["tool_calls"], TWO_CALLS["tool_calls"][0]],
            },
            CITED,
        ],
        COMPUTE + FINDER,
    ),
    "cancelled_speaking": Kind([HANG], at="Hello", deed=cancel),
    "cancelled_in_a_tool": Kind([RUN_CODE], ENDLESS, at="working", deed=cancel),
    "cancelled_waiting": Kind([TWO_CALLS], at="requires_action", deed=cancel),
    "failed_at_once": Kind([{"error": {"code": "rate_limit_exceeded", "message": "Too many."}}]),
    "failed_speaking": Kind([{"text": "Hello the", "error": {"message": "The model broke."}}]),
    "failed_in_a_tool": Kind([RUN_CODE], BROKEN),
    "out_of_completion": Kind(
        [{"text": "one two three four"}], fields={"max_completion_tokens": 3}
    ),
    "out_of_prompt": Kind([HELLO], fields={"max_prompt_tokens": 1}),
    "expired_speaking": Kind([HANG], at="Hello", deed=expire),
    "expired_in_a_tool": Kind([RUN_CODE], ENDLESS, at="working", deed=expire),
    "expired_waiting": Kind([TWO_CALLS], at="requires_action", deed=expire),
}


# --- hearing them ----------------------------------------------------------------------------------


def every_stream(folder: Path) -> Streams:
    """The streams of all kinds."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return {name: runner.run(streams_of(folder / name, kind)) for name, kind in KINDS.items()}


async def streams_of(folder: Path, kind: Kind) -> list[str]:
    """The streams of one run, up to its end."""
    async with (
        house(folder, kind.turns, tools=kind.tools, ids=RandomIds()) as home,
        listening(home) as client,
        asyncio.timeout(PATIENCE),
    ):
        web = Web(client, home)
        tools = [{"type": tool.type} for tool in kind.tools]
        own = [CODE, SEARCH] if len(kind.tools) > 1 else tools
        assistant = await web.assistant(instructions="Be brief.", tools=[*own, FUNCTION])
        body = {"assistant_id": assistant["id"], "stream": True} | kind.fields
        if kind.on_thread:
            thread = await web.thread("Hi")
            path = f"/threads/{thread['id']}/runs"
        else:
            path, body["thread"] = "/threads/runs", {"messages": [USER]}
        streams = [await _heard(web, partial(client.stream, "POST", path, json=body), kind)]
        return streams + await _the_rest(web, streams[0], kind)


async def _the_rest(web: Web, first: str, kind: Kind) -> list[str]:
    """What follows when a run waits for its client: its outputs' streams, or its end as an observer hears it."""
    run, streams = run_of(first.encode()), [first]
    while events_of(streams[-1])[-2][0] == "thread.run.requires_action":
        if kind.deed is not None:
            path = f"{path_of(run)}/events"
            observed = await web.client.get(path, params={"until": "end"})
            return [observed.text.removeprefix(first.split("event: done")[0])]
        action = events_of(streams[-1])[-2][1]["required_action"]["submit_tool_outputs"]
        outputs = [{"tool_call_id": call["id"], "output": "é4"} for call in action["tool_calls"]]
        body = {"tool_outputs": outputs, "stream": True}
        answer = await web.client.post(f"{path_of(run)}/submit_tool_outputs", json=body)
        streams.append(answer.text)
    return streams[1:]


async def _heard(web: Web, ask: Callable[[], Any], kind: Kind) -> str:
    """A stream to its end; the deed is done as soon as its cue was heard."""
    read, doing = b"", None
    async with ask() as answer:
        async for chunk in answer.aiter_bytes():
            read += chunk
            if kind.deed is not None and doing is None and kind.at in json.dumps(read.decode()):
                doing = asyncio.create_task(_do(kind.deed, web, run_of(read)))
    if doing is not None:
        await doing
    return read.decode()


async def _do(deed: Deed, web: Web, run: Json) -> None:
    await deed(web, run)
