"""What clones usually get wrong about streams: points 1, 6, 10, 12, 36 to 39 and 52 of the contract (section 8).

The points that speak of streams in general are tried on every kind of stream there is (streams.py);
those of deltas are in test_points_deltas.py.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncAssistantEventHandler, AsyncOpenAI
from openai.types.beta import AssistantStreamEvent, Thread
from openai.types.beta.threads import Message, Run
from openai.types.beta.threads.runs import RunStep
from pydantic import BaseModel, TypeAdapter

from local_assistants.engine import objects
from local_assistants.engine.clock import RandomIds
from local_assistants.engine.events import EventName
from tests.support.answers import error_of, events_of
from tests.support.engine import FUNCTION, PATIENCE, calls, house
from tests.support.runs import HANG

from .live import listening
from .streams import KINDS, Streams, Told
from .web import USER, Json, Web, open_web, path_of

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*[Dd]eprecated:DeprecationWarning"  # the SDK says so of every call
)

ENDS = ("completed", "incomplete", "failed", "cancelled", "expired")


def test_point_01_every_stream_ends_with_done(heard: Streams) -> None:
    """Both lines, once, as the very last: whatever became of the run."""
    for streams in heard.values():
        for stream in streams:
            assert stream.endswith("\n\nevent: done\ndata: [DONE]\n\n")
            assert 1 == stream.count("[DONE]")


def test_point_06_a_resumed_stream_goes_on(heard: Streams) -> None:
    """It begins with the step that the outputs complete, then queued and in_progress; never with run.created."""
    resumed = [stream for kind in ("functions", "functions_twice") for stream in heard[kind][1:]]
    assert 3 == len(resumed)
    for stream in resumed:
        (first, step), (second, queued), (third, working) = events_of(stream)[:3]
        assert "thread.run.step.completed" == first
        assert ("thread.run.queued", "thread.run.in_progress") == (second, third)
        assert [None] * 2 == [run["required_action"] for run in (queued, working)]
        outputs = [call["function"]["output"] for call in step["step_details"]["tool_calls"]]
        assert {"é4"} == set(outputs)
        assert "thread.run.created" not in stream


def test_point_10_what_is_spoken_of_was_created_before(runs: dict[str, Told]) -> None:
    """The run, then the step that names the message, then the message, then its fragments."""
    for kind, events in runs.items():
        known: set[str] = set()
        named: str | None = None  # by the latest step
        for name, data in events:
            subject = data["id"]
            if name.endswith(".created"):
                assert subject not in known, kind
                known.add(subject)
            else:
                assert subject in known, (kind, name)
            if name == "thread.run.step.created":
                named = data["step_details"].get("message_creation", {}).get("message_id")
            elif name == "thread.message.created":
                assert named == subject, kind


def test_point_10_one_message_is_open_at_a_time(runs: dict[str, Told]) -> None:
    """The Node SDK refuses a second one; no id is used twice."""
    for events in runs.values():
        is_open = False
        ids: list[str] = []
        for name, data in events:
            if name == "thread.message.created":
                assert not is_open
                is_open, ids = True, [*ids, data["id"]]
            elif name in ("thread.message.completed", "thread.message.incomplete"):
                assert is_open
                is_open = False
        assert not is_open
        assert len(set(ids)) == len(ids)


def test_point_12_every_ending_is_told(runs: dict[str, Told]) -> None:
    """In the order of the contract (3.4 f), with every status that there is and none that there is not."""
    endings = {kind: endings_of(events) for kind, events in runs.items()}
    message, step, run = "thread.message.incomplete", "thread.run.step", "thread.run"
    assert {
        "cancelled_speaking": [
            f"{run}.cancelling",
            message,
            f"{step}.cancelled",
            f"{run}.cancelled",
        ],
        "cancelled_in_a_tool": [f"{run}.cancelling", f"{step}.cancelled", f"{run}.cancelled"],
        "cancelled_waiting": [f"{run}.cancelling", f"{step}.cancelled", f"{run}.cancelled"],
        "failed_at_once": [f"{run}.failed"],
        "failed_speaking": [message, f"{step}.failed", f"{run}.failed"],
        "failed_in_a_tool": [f"{step}.failed", f"{run}.failed"],
        "out_of_completion": [message, f"{step}.completed", f"{run}.incomplete"],
        "out_of_prompt": [f"{run}.incomplete"],
        "expired_speaking": [message, f"{step}.expired", f"{run}.expired"],
        "expired_in_a_tool": [f"{step}.expired", f"{run}.expired"],
        "expired_waiting": [f"{step}.expired", f"{run}.expired"],
    } == {kind: ending for kind, ending in endings.items() if ending[-1] != f"{run}.completed"}
    assert set(KINDS) == set(endings)


def endings_of(events: Told) -> list[str]:
    """The names of the events that end a run, after all that it did."""
    names = [name for name, _ in events]
    going_on = (".delta", ".created", ".in_progress", ".queued", ".requires_action")
    last = max(i for i, name in enumerate(names) if name.endswith(going_on))
    return names[last + 1 :]


def test_point_12_no_event_is_invented_and_none_is_missing(told: list[Told]) -> None:
    """All 24 names that a run can bring about occur; `error` has its own test."""
    names = {name for events in told for name, _ in events}
    assert set(EventName) - {EventName.ERROR} == names


async def test_point_36_errors_before_the_first_event_are_plain(tmp_path: Path) -> None:
    """JSON with their own status, for each of the three ways to get a stream."""
    async with open_web(tmp_path, [calls("add", {"a": 1})]) as web:
        run = await web.finished(await web.assistant(tools=[FUNCTION]))
        thread = f"/threads/{run['thread_id']}"
        asked: Json = {"stream": True}
        nobody = asked | {"assistant_id": "asst_none"}
        somebody = asked | {"assistant_id": run["assistant_id"]}
        outputs: Json = {"stream": True, "tool_outputs": []}
        answers = [
            await web.client.post(path, json=body)
            for path, body in (
                ("/threads/thread_none/runs", somebody),
                (f"/threads/{(await web.thread())['id']}/runs", nobody),
                ("/threads/runs", nobody),
                (f"{thread}/runs", somebody),
                ("/threads/runs", asked),
                ("/threads/runs", somebody | {"model": "none"}),
                (f"{path_of(run)}/submit_tool_outputs", outputs),
                (f"{thread}/runs/run_none/submit_tool_outputs", outputs),
            )
        ]
    assert [404, 404, 404, 400, 400, 404, 400, 404] == [answer.status_code for answer in answers]
    messages = [error_of(answer)["message"] for answer in answers]
    assert all(messages)
    assert f"Thread {run['thread_id']} already has an active run {run['id']}." == messages[3]


async def test_point_37_a_stream_that_breaks_is_an_error_for_the_sdk(tmp_path: Path) -> None:
    """Its run vanishes: both the raw stream and the helper raise, because the error is nested."""
    async with house(tmp_path, [HANG], ids=RandomIds()) as home, listening(home) as http:
        web = Web(http, home)
        client = AsyncOpenAI(base_url=str(http.base_url), api_key="any", max_retries=0)
        assistant = await web.assistant()

        async def raw(thread_id: str) -> None:
            stream = await client.beta.threads.runs.create(
                thread_id=thread_id, assistant_id=assistant["id"], stream=True
            )
            async for event in stream:
                await vanish(web, event)

        async def helped(thread_id: str) -> None:
            handler: AsyncAssistantEventHandler = AsyncAssistantEventHandler()
            async with client.beta.threads.runs.stream(
                thread_id=thread_id, assistant_id=assistant["id"], event_handler=handler
            ) as stream:
                async for event in stream:
                    await vanish(web, event)

        for listen in (raw, helped):
            thread = await web.thread("hi")
            with pytest.raises(openai.APIError, match="No run found with id"):
                await asyncio.wait_for(listen(thread["id"]), PATIENCE)
        await client.close()


async def vanish(web: Web, event: AssistantStreamEvent) -> None:
    """Delete the thread under a run that speaks, as no request could."""
    if event.event == "thread.message.created":
        thread_id = event.data.thread_id
        await web.home.store.write(lambda tx: tx.delete(objects.Thread, thread_id))


async def test_point_37_the_error_is_nested_and_done_follows(tmp_path: Path) -> None:
    """`{"error": {message, type, param, code}}`, without an id, then `done`."""
    async with house(tmp_path, [HANG], ids=RandomIds()) as home, listening(home) as client:
        web = Web(client, home)
        run = await web.started(await web.assistant())
        stream = ""
        async with (
            asyncio.timeout(PATIENCE),
            client.stream("GET", f"{path_of(run)}/events") as answer,
        ):
            async for text in answer.aiter_text():
                stream += text
                if text.count("thread.message.delta"):
                    await home.store.write(lambda tx: tx.delete(objects.Thread, run["thread_id"]))
    *_, error, done, rest = stream.split("\n\n")
    assert ("event: done\ndata: [DONE]", "") == (done, rest)
    first, second = error.split("\n")
    assert "event: error" == first
    data = json.loads(second.removeprefix("data: "))
    assert ["error"] == list(data)
    assert ["message", "type", "param", "code"] == list(data["error"])


async def test_point_38_a_run_outlives_its_listener(tmp_path: Path) -> None:
    """The client hangs up after the first fragment; the run is finished and its message kept."""
    turns = [{"text": "one two three four five", "tokens_per_second": 100}]
    async with house(tmp_path, turns, ids=RandomIds()) as home, listening(home) as client:
        web = Web(client, home)
        body = {"assistant_id": (await web.assistant())["id"], "stream": True}
        read = ""
        async with client.stream("POST", "/threads/runs", json=body) as answer:
            async for text in answer.aiter_text():
                read += text
                if "thread.run.created" in read:
                    break
        run = events_of("\n\n".join(read.split("\n\n")[:-1]))[1][1]
        turning = asyncio.create_task(turn(web))
        ended = await web.settled(path_of(run))
        turning.cancel()
        said = (await web.get(f"/threads/{run['thread_id']}/messages"))["data"][0]
    assert "completed" == ended["status"]
    assert "one two three four five" == said["content"][0]["text"]["value"]


async def turn(web: Web) -> None:
    """Let the time pass."""
    while True:
        await web.home.virtual.advance(0.1, sleepers=0)
        await asyncio.sleep(0.001)


def test_point_39_create_and_run_begins_with_the_thread(heard: Streams) -> None:
    """`thread.created` once, in this stream only; the run names the thread."""
    [stream] = heard["thread_and_run"]
    (first, thread), (second, run) = events_of(stream)[:2]
    assert ("thread.created", "thread.run.created") == (first, second)
    assert (thread["id"], "thread") == (run["thread_id"], thread["object"])
    others = [s for kind, streams in heard.items() for s in streams if kind != "thread_and_run"]
    assert [] == [other for other in others if "thread.created" in other]


async def test_point_39_the_polling_helper_finds_the_thread(web: Web) -> None:
    """Without a stream the answer is the run, which names its thread."""
    body = {"assistant_id": (await web.assistant())["id"], "thread": {"messages": [USER]}}
    run = await web.post("/threads/runs", body)
    assert ("thread.run", "thread_") == (run["object"], run["thread_id"][:7])
    assert run["id"] == (await web.get(path_of(run)))["id"]


OF_THE_WIRE: dict[str, tuple[type[BaseModel], set[str]]] = {
    "thread": (Thread, set()),
    "thread.run": (Run, {"tool_resources", "reasoning_effort"}),
    "thread.run.step": (RunStep, {"expires_at"}),
    "thread.message": (Message, set()),
}
"""Fields that the hosted service sends beyond those of the SDK's types (contract, 1.17)."""


def test_point_52_events_carry_what_their_names_say(told: list[Told]) -> None:
    """The object of the name with exactly its fields; usage on ended runs and steps only; whole ids."""
    for events in told:
        for name, data in events[:-1]:
            kind = name.rpartition(".")[0]
            if name.endswith(".delta"):
                assert (["id", "object", "delta"], name) == (list(data), data["object"])
                continue
            assert kind == data["object"]
            known, extra = OF_THE_WIRE[kind]
            assert set(known.model_fields) | extra == set(data), name
            assert all(len(data[key]) > 5 for key in ("id", "thread_id") if key in data)
            if "usage" in data:
                ended = data["status"] in ENDS
                assert ended or data["usage"] is None, name


def test_point_52_the_sdk_s_own_types_take_every_event(told: list[Told]) -> None:
    """Validated, which the SDK itself does not do: nothing is missing, nothing null that may not be."""
    adapter: TypeAdapter[Any] = TypeAdapter(AssistantStreamEvent)
    for events in told:
        for name, data in events[:-1]:
            parsed = adapter.validate_python({"event": name, "data": data})
            assert name == parsed.event
