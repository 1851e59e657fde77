"""The whole event stream of each kind of run, compared with a recorded expectation.

The expectations (recorded/*.json) were checked by hand against the event orders of the API's contract (3.4). To write
them anew: `pytest tests/acceptance/test_run_events.py --record`; read the difference before you commit it. A line is an
event; an object is shown whole when it first appears and later only by what has changed; times count from the start of
the virtual clock; neighbouring fragments of one part are one line.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from openai import AsyncAssistantEventHandler, AsyncOpenAI
from openai.types.beta import AssistantStreamEvent
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local_assistants.engine import requests
from local_assistants.engine.chat import ToolCall
from local_assistants.engine.events import Event
from local_assistants.engine.objects import (
    FilePath,
    FileSearchDetails,
    ImageOutput,
    LogsOutput,
    Run,
    SearchResult,
    SearchText,
)
from local_assistants.engine.ports import Citation, Emit, ToolResult, ToolSession
from local_assistants.engine.requests.base import as_array, as_object
from local_assistants.server.sse import event_stream
from tests.support.clock import START
from tests.support.engine import CODE, FUNCTION, SEARCH, House, ScriptedTool, calls, house
from tests.support.tools import broken, work_for_ever

RECORDED = Path(__file__).with_name("recorded")
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "cached_tokens": 2}


# --- the tools of these runs -----------------------------------------------------------------------


async def compute(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
    """Code that prints twice and shows a picture."""
    await emit(LogsOutput(logs="41\n"))
    await emit(LogsOutput(logs="42\n"))
    assert session.save_file is not None
    file = await session.save_file("plot.png", b"png")
    await emit(ImageOutput(image=FilePath(file_id=file.id)))
    return ToolResult("41\n42\n", images=(file.id,))


async def search(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
    """A search that finds one passage."""
    quote = "Revenue was 3.5 billion."
    result = SearchResult(
        file_id="file-7", file_name="report.pdf", score=0.75, content=(SearchText(text=quote),)
    )
    cited = Citation(session.first_citation, "file-7", "report.pdf", quote, page=12)
    return ToolResult(quote, search=FileSearchDetails(results=(result,)), citations=(cited,))


# --- the runs --------------------------------------------------------------------------------------


async def asked(home: House, *tools: Any, **fields: Any) -> Run:
    """A run on a new thread."""
    return await home.ask("Hi", tools=tools, **fields)


async def plain(home: House) -> list[list[Event]]:
    """Text and nothing else."""
    return [await home.events(await asked(home))]


async def functions(home: House) -> list[list[Event]]:
    """Two calls, then both outputs some seconds later, streamed."""
    run = await asked(home, FUNCTION)
    first = await home.events(run)
    await home.virtual.advance(5)
    _, after = await home.submit(run, {"call_2": "four", "call_1": "three"})
    return [first, await home.events(run, after)]


async def functions_twice(home: House) -> list[list[Event]]:
    """Asked a second time after the first outputs, with words before the call."""
    run = await asked(home, FUNCTION)
    streams = [await home.events(run)]
    for outputs in ({"call_1": "three", "call_2": "four"}, {"call_3": "ten"}):
        _, after = await home.submit(run, outputs)
        streams.append(await home.events(run, after))
    return streams


async def with_code(home: House) -> list[list[Event]]:
    """Logs and a picture, then a message that begins with the picture."""
    return [await home.events(await asked(home, CODE))]


async def with_search(home: House) -> list[list[Event]]:
    """Results, then an answer that cites."""
    return [await home.events(await asked(home, SEARCH))]


async def with_both(home: House) -> list[list[Event]]:
    """A turn that speaks, runs code and calls a function; then the output."""
    run = await asked(home, CODE, FUNCTION)
    first = await home.events(run)
    _, after = await home.submit(run, {"call_2": "three"})
    return [first, await home.events(run, after)]


async def cancelled(home: House, *tools: Any) -> list[list[Event]]:
    """Cancelled as soon as a fragment was heard."""
    run = await asked(home, *tools)
    events: list[Event] = []
    asking: asyncio.Task[Run] | None = None
    async with asyncio.timeout(10):
        async for event in home.services.runs.stream(run.id):
            events.append(event)
            said = json.dumps(event.data)
            if asking is None and ("working" in said or "Hello" in said):
                await home.virtual.advance(3)
                cancel = home.services.runs.cancel(run.thread_id, run.id)
                asking = asyncio.create_task(cancel)
    assert asking is not None
    await asking
    return [events]


async def cancelled_in_a_tool(home: House) -> list[list[Event]]:
    """Cancelled while code runs."""
    return await cancelled(home, CODE)


async def cancelled_while_waiting(home: House) -> list[list[Event]]:
    """Cancelled instead of answered: an observer hears its end."""
    run = await asked(home, FUNCTION)
    first = await home.events(run)
    await home.services.runs.cancel(run.thread_id, run.id)
    return [first, await home.events(run, len(first))]


async def expired(home: House) -> list[list[Event]]:
    """Ten minutes pass while the model speaks."""
    run = await asked(home)
    await home.until(run, "thread.message.delta")
    await home.virtual.advance(600)
    return [await home.events(run)]


async def expired_in_a_tool(home: House) -> list[list[Event]]:
    """Ten minutes pass while code runs."""
    run = await asked(home, CODE)
    async with asyncio.timeout(10):
        async for event in home.services.runs.stream(run.id):
            if "working" in json.dumps(event.data):
                break
    await home.virtual.advance(600)
    return [await home.events(run)]


async def expired_while_waiting(home: House) -> list[list[Event]]:
    """Ten minutes pass and nobody submits: no stream is open, the journal tells."""
    run = await asked(home, FUNCTION)
    first = await home.events(run)
    with home.core.feed.subscribe(run.id) as live:
        await home.virtual.advance(600)
        await asyncio.wait_for(live.take(), 10)
    return [first, (await home.journal(run))[len(first) :]]


async def out_of_tokens(home: House) -> list[list[Event]]:
    """Cut after three tokens."""
    return [await home.events(await asked(home, max_completion_tokens=3))]


async def out_of_prompt(home: House) -> list[list[Event]]:
    """No room for the question."""
    return [await home.events(await asked(home, instructions="a b c", max_prompt_tokens=3))]


async def thread_and_run(home: House) -> list[list[Event]]:
    """Thread, message and run at once."""
    assistant = await home.assistant()
    body = {
        "assistant_id": assistant.id,
        "thread": {"messages": [{"role": "user", "content": "Hi"}]},
    }
    run = await home.services.runs.create_with_thread(
        requests.CreateThreadAndRun.model_validate(body)
    )
    return [await home.events(run)]


def turn(**fields: Any) -> dict[str, Any]:
    """A scripted turn with a usage of its own."""
    return fields | {"usage": USAGE}


CALLS = calls("add", {"a": 1, "b": 2}, {"a": 3, "b": 1})
RUN_CODE = calls("code_interpreter", {"code": "print(41)\nprint(42)\nplot()"})
HELLO = turn(text="Hello, how are you?")
HANG = {"text": "Hello the", "hang": True}

Play = Callable[[House], Awaitable[list[list[Event]]]]
KINDS: dict[str, tuple[list[dict[str, Any]], list[ScriptedTool], Play]] = {
    "text": ([HELLO], [], plain),
    "functions": ([CALLS | {"usage": USAGE}, turn(text="It said {{tool}}.")], [], functions),
    "functions_twice": (
        [CALLS, turn(**calls("add", {"a": 9}, text="Once more.")), HELLO],
        [],
        functions_twice,
    ),
    "code_interpreter": (
        [RUN_CODE | {"usage": USAGE}, turn(text="See the plot.")],
        [ScriptedTool("code_interpreter", compute)],
        with_code,
    ),
    "file_search": (
        [
            turn(**calls("file_search", {"queries": ["revenue"]})),
            turn(text="It was 3.5 billion [1]. That is all."),
        ],
        [ScriptedTool("file_search", search)],
        with_search,
    ),
    "text_code_and_functions": (
        [
            turn(text="One moment.", tool_calls=[*RUN_CODE["tool_calls"], CALLS["tool_calls"][0]]),
            turn(text="Done."),
        ],
        [ScriptedTool("code_interpreter", compute)],
        with_both,
    ),
    "cancelled_while_speaking": ([HANG], [], cancelled),
    "cancelled_in_a_tool_step": (
        [RUN_CODE],
        [ScriptedTool("code_interpreter", work_for_ever)],
        cancelled_in_a_tool,
    ),
    "cancelled_while_waiting": ([CALLS], [], cancelled_while_waiting),
    "failed_before_any_step": (
        [{"error": {"code": "rate_limit_exceeded", "message": "Too many requests."}}],
        [],
        plain,
    ),
    "failed_in_a_message": (
        [{"text": "Hello the", "error": {"message": "The model broke."}}],
        [],
        plain,
    ),
    "failed_in_a_tool_step": (
        [RUN_CODE | {"usage": USAGE}],
        [ScriptedTool("code_interpreter", broken)],
        with_code,
    ),
    "incomplete_completion_tokens": ([{"text": "one two three four"}], [], out_of_tokens),
    "incomplete_prompt_tokens": ([HELLO], [], out_of_prompt),
    "expired_while_speaking": ([HANG], [], expired),
    "expired_in_a_tool_step": (
        [RUN_CODE],
        [ScriptedTool("code_interpreter", work_for_ever)],
        expired_in_a_tool,
    ),
    "expired_while_waiting": ([CALLS | {"usage": USAGE}], [], expired_while_waiting),
    "thread_and_run": ([HELLO], [], thread_and_run),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_run_tells_what_was_recorded(tmp_path: Path, kind: str, record: bool) -> None:
    """Names, order and payloads, to the last field."""
    turns, tools, play = KINDS[kind]
    async with house(tmp_path, turns, tools=tools) as home:
        streams = await play(home)
    told = written(streams)

    file = RECORDED / f"{kind}.json"
    if record:
        file.write_text(told, encoding="utf-8")
    assert file.read_text(encoding="utf-8") == told


@pytest.mark.filterwarnings(
    "ignore:.*[Dd]eprecated:DeprecationWarning"
)  # the SDK says so of every call
@pytest.mark.parametrize("kind", KINDS)
async def test_the_official_handler_adds_the_fragments_up(tmp_path: Path, kind: str) -> None:
    """What the SDK's event handler has accumulated when a message or step ends is what its last event says."""
    turns, tools, play = KINDS[kind]
    async with house(tmp_path, turns, tools=tools) as home:
        streams = await play(home)

    for events in streams:
        http = httpx.AsyncClient(transport=httpx.ASGITransport(replaying(events)))
        client = AsyncOpenAI(
            base_url="http://replay/v1",
            api_key="none",
            max_retries=0,
            http_client=cast(Any, http),  # newer SDKs name a fork of httpx in their types
        )
        async with client.beta.threads.runs.stream(
            thread_id="thread_1", assistant_id="asst_1", event_handler=Listener()
        ) as stream:
            await stream.until_done()
            final = await stream.get_final_run()
        for accumulated, told in stream.pairs:
            assert told == accumulated
        assert events[-1].data["status"] == final.status


def test_nothing_recorded_is_left_over() -> None:
    """Every file belongs to a kind of run."""
    assert set(KINDS) == {file.stem for file in RECORDED.glob("*.json")}


# --- the official SDK ------------------------------------------------------------------------------


class Listener(AsyncAssistantEventHandler):
    """Sets what was accumulated beside what the end of a message or step says of it."""

    def __init__(self) -> None:
        super().__init__()
        self.pairs: list[tuple[Any, Any]] = []

    async def on_event(self, event: AssistantStreamEvent) -> None:
        """Called before the handler takes the event in."""
        if event.event in ("thread.message.completed", "thread.message.incomplete"):
            assert self.current_message_snapshot is not None
            self.pairs.append((bare(self.current_message_snapshot), bare(event.data)))
        elif event.event == "thread.run.step.completed":
            step = self.current_run_step_snapshot  # of the step begun last
            if step is not None and step.id == event.data.id and step.type == "tool_calls":
                self.pairs.append((bare(step), bare(event.data)))


def bare(obj: BaseModel) -> Any:
    """The content or the calls, without what fragments alone have (indexes) and what ends alone bring."""
    data = obj.model_dump(exclude_none=True)
    return without(data["content"] if "content" in data else data["step_details"])


def without(value: Any) -> Any:
    """`value` without indexes of entries, function outputs and search results."""
    if (items := as_array(value)) is not None:
        return [without(item) for item in items]
    if (entries := as_object(value)) is None:
        return value
    alone = ("index", "output", "results")
    return {key: without(item) for key, item in entries.items() if key not in alone}


def replaying(events: list[Event]) -> Starlette:
    """An application that answers everything with these events, through the server's own SSE."""

    async def tell() -> AsyncGenerator[Sequence[Event], None]:
        for event in events:
            yield [event]

    async def answer(request: Request) -> Response:
        return await event_stream(tell(), ping_seconds=15)

    return Starlette(routes=[Route("/{path:path}", answer, methods=["POST"])])


# --- how streams are written down ------------------------------------------------------------------


def written(streams: list[list[Event]]) -> str:
    """The streams as JSON with a line for each event, `done` at the end of each stream."""
    known: dict[str, dict[str, Any]] = {}
    lines: list[str] = []
    for events in streams:
        for name, data in merged(events):
            lines.append(json.dumps({name: changed(known, data)}, ensure_ascii=False))
        lines.append(json.dumps({"done": "[DONE]"}))
    return "[\n" + ",\n".join(lines) + "\n]\n"


def merged(events: list[Event]) -> list[tuple[str, dict[str, Any]]]:
    """Names and payloads, neighbouring fragments of one part joined as a client joins them."""
    joined: list[tuple[str, dict[str, Any]]] = []
    for event in events:
        data: dict[str, Any] = json.loads(json.dumps(event.data))
        if joined and event.name.endswith("delta") and same_part(joined[-1], event.name, data):
            add(part_of(joined[-1][1]), part_of(data))
        else:
            joined.append((event.name.removeprefix("thread."), data))
    return joined


def part_of(delta: dict[str, Any]) -> dict[str, Any]:
    """The one part that a delta of ours carries."""
    inner = delta["delta"]
    (part,) = inner["content"] if "content" in inner else inner["step_details"]["tool_calls"]
    found: dict[str, Any] = part
    return found


def same_part(last: tuple[str, dict[str, Any]], name: str, data: dict[str, Any]) -> bool:
    """Whether a delta goes on where the last event stopped, with plain fragments only."""
    if last[0] != name.removeprefix("thread.") or last[1]["id"] != data["id"]:
        return False
    before, after = part_of(last[1]), part_of(data)
    marked = [part.get("text", {}).get("annotations") for part in (before, after)]
    headed = ["id" in part for part in (before, after)]
    outputs = [part.get("code_interpreter", {}).get("outputs") for part in (before, after)]
    return (
        before["index"] == after["index"]
        and not any(marked)
        and not any(headed)
        and bool(outputs[0]) == bool(outputs[1])
        and [o["index"] for o in outputs[0] or ()] == [o["index"] for o in outputs[1] or ()]
    )


def add(before: dict[str, Any], after: Mapping[str, Any]) -> None:
    """Add a fragment to what came before: strings grow, lists are merged by index."""
    for key, value in after.items():
        if key in ("index", "type"):
            continue
        if isinstance(value, str):
            before[key] += value
        elif (entries := as_object(value)) is not None:
            add(before[key], entries)
        else:
            for old, new in zip(before[key], as_array(value) or (), strict=True):
                add(old, new)


def changed(known: dict[str, dict[str, Any]], data: dict[str, Any]) -> dict[str, Any]:
    """An object whole at first, later its id and what is different; times from the clock's start."""
    shown = {key: since_start(key, value) for key, value in data.items()}
    if str(data["object"]).endswith(".delta"):
        return {key: value for key, value in shown.items() if key != "object"}
    before = known.get(str(data["id"]))
    known[str(data["id"])] = shown
    if before is None:
        return shown
    return {k: v for k, v in shown.items() if k == "id" or v != before[k]}


def since_start(key: str, value: Any) -> Any:
    """A time as the seconds since the clock was made."""
    return f"T+{value - START}" if key.endswith("_at") and isinstance(value, int) else value
