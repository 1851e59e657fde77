"""What a run may be asked for (contract, 1.10, 4.2 to 4.6): precedence, refusals, limits; over HTTP."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local_assistants.backends.models import LocalModels, ModelEntry, OnProgress
from local_assistants.backends.scripted import ScriptedBackend
from local_assistants.engine.ports import Backend
from tests.support.engine import CODE, FAST, FUNCTION, SEARCH, ScriptedTool, answering, calls
from tests.support.runs import IDLE

from .web import USER, Json, Web, open_web, path_of

DONE: Json = {"text": "Done."}
NAMED: Json = {"type": "function", "function": {"name": "subtract"}}
JSON_OBJECT: Json = {"type": "json_object"}
SCHEMA: Json = {
    "type": "json_schema",
    "json_schema": {"name": "answer", "strict": True, "schema": {"type": "object"}},
}


# --- precedence ------------------------------------------------------------------------------------


async def test_a_run_takes_the_assistants_settings_where_it_has_none(web: Web) -> None:
    """null and absent mean the same; metadata is never inherited."""
    own: Json = {
        "instructions": "Be brief.",
        "tools": [FUNCTION],
        "temperature": 0.5,
        "top_p": 0.25,
        "response_format": SCHEMA,
        "reasoning_effort": "low",
        "metadata": {"of": "assistant"},
    }
    assistant = await web.assistant(**own)
    body = {"assistant_id": assistant["id"], **dict.fromkeys(own), "model": None}
    run = await web.post(f"/threads/{(await web.thread('hi'))['id']}/runs", body)
    names = [name for name in own if name != "metadata"] + ["model"]

    assert {name: assistant[name] for name in names} == {name: run[name] for name in names}
    assert {} == run["metadata"]


async def test_a_run_s_own_settings_come_first(web: Web) -> None:
    """Also the empty ones: no tools, no instructions, a temperature of nothing."""
    assistant = await web.assistant(
        instructions="Be brief.", tools=[FUNCTION], temperature=0.5, response_format=SCHEMA
    )
    fields: Json = {
        "instructions": "",
        "tools": [],
        "temperature": 0,
        "response_format": "auto",
        "reasoning_effort": "high",
        "metadata": {"of": "run"},
    }
    body = {"assistant_id": assistant["id"]} | fields
    run = await web.post(f"/threads/{(await web.thread('hi'))['id']}/runs", body)
    assert fields == {name: run[name] for name in fields}


async def test_the_defaults(web: Web) -> None:
    """As the wire shows them."""
    run = await web.started(await web.assistant())
    assert {
        "temperature": 1.0,
        "top_p": 1.0,
        "truncation_strategy": {"type": "auto", "last_messages": None},
        "response_format": "auto",
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "reasoning_effort": None,
        "max_prompt_tokens": None,
        "max_completion_tokens": None,
        "tool_resources": {},
        "instructions": None,
    } == {
        name: run[name]
        for name in (
            "temperature",
            "top_p",
            "truncation_strategy",
            "response_format",
            "tool_choice",
            "parallel_tool_calls",
            "reasoning_effort",
            "max_prompt_tokens",
            "max_completion_tokens",
            "tool_resources",
            "instructions",
        )
    }


@pytest.mark.parametrize(
    "effort", ["none", "minimal", "low", "medium", "high", "xhigh", "max", None]
)
async def test_every_reasoning_effort_is_taken(web: Web, effort: str | None) -> None:
    """Which a model understands is the model's business."""
    assistant = await web.assistant(reasoning_effort=effort)
    assert effort == assistant["reasoning_effort"]


async def test_files_of_assistant_and_thread_are_both_there(tmp_path: Path) -> None:
    """And those that create-and-run names go to the assistant's level."""
    tool = ScriptedTool("code_interpreter", answering("42"))
    async with open_web(tmp_path, [calls("code_interpreter", {}), DONE], tools=[tool]) as web:
        one, two, three = [(await web.upload(name=f"{n}.txt"))["id"] for n in range(3)]
        resources: list[Json] = [
            {"code_interpreter": {"file_ids": [id_]}} for id_ in (one, two, three)
        ]
        assistant = await web.assistant(tools=[CODE], tool_resources=resources[0])
        await web.finished(assistant, thread={"messages": [USER], "tool_resources": resources[1]})
        thread = {"messages": [USER], "tool_resources": resources[1]}
        body = {"tool_resources": resources[2], "thread": thread}
        run = await web.finished(assistant, **body)

    assert resources[2] == run["tool_resources"]
    seen = [[file.file.id for file in session.files] for session in tool.sessions]
    assert [[one, two], [three, two]] == seen


# --- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tools", "choice", "why"),
    [
        ([FUNCTION], NAMED, "the run has no function named 'subtract'"),
        ([], NAMED, "the run has no function named 'subtract'"),
        ([FUNCTION], CODE, "the run has no tool 'code_interpreter'"),
        ([CODE], SEARCH, "the run has no tool 'file_search'"),
        ([], "required", "'required' needs at least one tool, and the run has none"),
    ],
)
async def test_a_choice_of_what_the_run_has_not_is_refused(
    web: Web, tools: list[Json], choice: Any, why: str
) -> None:
    """At once, and nothing of the request is kept."""
    assistant = await web.assistant(tools=tools)
    thread = await web.thread("hi")
    body = {
        "assistant_id": assistant["id"],
        "tool_choice": choice,
        "additional_messages": [USER],
    }
    error = await web.refused("POST", f"/threads/{thread['id']}/runs", json=body)
    listed = (await web.get(f"/threads/{thread['id']}/messages"))["data"]

    assert (f"Invalid value for 'tool_choice': {why}.", "tool_choice") == (
        error["message"],
        error["param"],
    )
    assert 1 == len(listed)


@pytest.mark.parametrize("where", ["assistant", "run"])
async def test_json_mode_needs_the_word(web: Web, where: str) -> None:
    """Nowhere mentioned: a 400 about the messages; the schema and plain text need no word."""
    own: Json = {"response_format": JSON_OBJECT}
    assistant = await web.assistant(**(own if where == "assistant" else {}))
    body = {"assistant_id": assistant["id"], **(own if where == "run" else {})}
    path = f"/threads/{(await web.thread('hi'))['id']}/runs"
    for attempt, sent in ((path, body), ("/threads/runs", body)):
        error = await web.refused("POST", attempt, json=sent)
        assert ("messages", None) == (error["param"], error["code"])
        assert "must contain the word 'json' in some form" in error["message"]
    assert [] == (await web.get(path))["data"]
    for other in ("auto", {"type": "text"}, SCHEMA):
        await web.settled(path_of(await web.post(path, body | {"response_format": other})))


@pytest.mark.parametrize(
    "fields",
    [
        {"instructions": "Answer in JSON."},
        {"additional_instructions": "Use Json!"},
        {"additional_messages": [{"role": "user", "content": "as json"}]},
        {"additional_messages": [{"role": "user", "content": [{"type": "text", "text": "JSONL"}]}]},
    ],
)
async def test_the_word_may_stand_anywhere(web: Web, fields: Json) -> None:
    """In the instructions or a message, in any case."""
    assistant, thread = await web.assistant(), await web.thread("hi")
    body = {"assistant_id": assistant["id"], "response_format": JSON_OBJECT} | fields
    run = await web.settled(path_of(await web.post(f"/threads/{thread['id']}/runs", body)))
    assert ("completed", JSON_OBJECT) == (run["status"], run["response_format"])


async def test_the_word_may_stand_in_the_oldest_of_many_messages(web: Web) -> None:
    """All of them are looked at, page by page."""
    thread = await web.thread("in json, please", *["more"] * 120)
    body = {"assistant_id": (await web.assistant())["id"], "response_format": JSON_OBJECT}
    assert "queued" == (await web.post(f"/threads/{thread['id']}/runs", body))["status"]


@pytest.mark.parametrize("wanted", [JSON_OBJECT, SCHEMA])
async def test_the_format_is_asked_of_the_model_in_every_turn(tmp_path: Path, wanted: Json) -> None:
    """Before and after a tool was called, and after its client has answered."""
    turns = [calls("code_interpreter", {}), calls("add", {}), DONE]
    tool = ScriptedTool("code_interpreter", answering("42"))
    async with open_web(tmp_path, turns, tools=[tool]) as web:
        assistant = await web.assistant(tools=[CODE, FUNCTION], instructions="JSON")
        run = await web.finished(assistant, response_format=wanted)
        (call,) = run["required_action"]["submit_tool_outputs"]["tool_calls"]
        output = {"tool_outputs": [{"tool_call_id": call["id"], "output": "7"}]}
        await web.post(f"{path_of(run)}/submit_tool_outputs", output)
        await web.settled(path_of(run))
        asked = [request.response_format for request in web.home.backend.requests]
    assert [wanted] * 3 == asked


async def test_a_full_queue_is_a_429_that_says_when_to_come_again(tmp_path: Path) -> None:
    """Rate limits are the one thing an SDK may retry by itself; nothing of the request is kept."""
    core = replace(IDLE, max_queued_runs=2)
    async with open_web(tmp_path, core=core) as web:
        assistant = await web.assistant()
        first = await web.started(assistant)
        await web.started(assistant)
        body = {"assistant_id": assistant["id"], "thread": {"messages": [USER]}}
        answer = await web.client.post("/threads/runs", json=body)
        await web.delete(f"/threads/{first['thread_id']}")
        again = await web.started(assistant)

    assert (429, "1") == (answer.status_code, answer.headers["retry-after"])
    error = answer.json()["error"]
    assert ("rate_limit_error", "rate_limit_exceeded") == (error["type"], error["code"])
    assert "queued" == again["status"]


async def test_models_that_are_not_here_or_do_not_talk(tmp_path: Path) -> None:
    """404 for a name that nobody has, 400 for the embedder's; on assistants and runs alike."""
    async with open_web(tmp_path, core=FAST) as web:
        assistant, thread = await web.assistant(), await web.thread("hi")

        async def ready(on_progress: OnProgress) -> Backend:
            del on_progress
            return ScriptedBackend.from_turns([DONE])

        web.home.models.registry = LocalModels({"scripted": ModelEntry(ready)}, unsuited=["minilm"])
        for path, body in (
            ("/assistants", {}),
            (f"/assistants/{assistant['id']}", {}),
            (f"/threads/{thread['id']}/runs", {"assistant_id": assistant["id"]}),
            ("/threads/runs", {"assistant_id": assistant["id"]}),
        ):
            unknown = await web.refused("POST", path, 404, json=body | {"model": "nobody"})
            unsuited = await web.refused("POST", path, 400, json=body | {"model": "minilm"})
            assert {
                "message": "The model 'nobody' does not exist",
                "type": "invalid_request_error",
                "param": "model",
                "code": "model_not_found",
            } == unknown
            assert {
                "message": "The requested model 'minilm' cannot be used with the Assistants API.",
                "type": "invalid_request_error",
                "param": "model",
                "code": "unsupported_model",
            } == unsuited
        await web.refused("GET", "/models/minilm", 404)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("additional_instructions", "x"),
        ("additional_messages", [USER]),
        ("reasoning_effort", "low"),
    ],
)
async def test_create_and_run_does_not_know_what_a_run_knows(
    web: Web, field: str, value: Any
) -> None:
    """Three fields are the run's alone."""
    body = {"assistant_id": (await web.assistant())["id"], field: value}
    error = await web.refused("POST", "/threads/runs", json=body)
    assert (f"Unknown parameter: '{field}'.", field) == (error["message"], error["param"])


async def test_an_image_is_a_file_made_for_looking_at(web: Web) -> None:
    """Of purpose vision or assistants; a batch's input is none, whatever its name."""
    path = f"/threads/{(await web.thread())['id']}/messages"
    for purpose, status in (("vision", 200), ("assistants", 200), ("batch", 400), ("evals", 400)):
        file = await web.upload(b"x", "a.png", purpose)
        part = {"type": "image_file", "image_file": {"file_id": file["id"]}}
        answer = await web.client.post(path, json={"role": "user", "content": [part]})
        assert status == answer.status_code, purpose
