"""The contract's open questions (section 9), A1 to A25: one test for each answer that was chosen."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from local_assistants.engine.errors import InvalidRequest
from local_assistants.engine.objects import Message, Run, RunStep
from local_assistants.engine.ports import Citation
from local_assistants.tools.file_search.parsing.reading import ParseLimits, read_document
from local_assistants.tools.file_search.searching.filters import compiled
from tests.support.answers import events_of
from tests.support.clock import START
from tests.support.engine import (
    CODE,
    FAST,
    FUNCTION,
    SEARCH,
    ScriptedTool,
    answering,
    calls,
    names,
)
from tests.support.runs import HANG, IDLE, SPENT

from .web import USER, Json, Web, open_web, path_of

DONE: Json = {"text": "Done.", "usage": SPENT}
ADD = calls("add", {"a": 1}) | {"usage": SPENT}
CITING = [calls("file_search", {"queries": ["x"]}), {"text": "𝄞 Sales — naïve: it rose [1]."}]
FOUND = answering("found", citations=(Citation(1, "file-9", "a.txt", "It rose."),))


async def stored(web: Web, run: Json) -> Run:
    """The run as the core holds it."""
    return await web.home.services.runs.get(run["thread_id"], run["id"])


async def told(web: Web, run: Json) -> list[str]:
    """Names of the run's events from its first step on."""
    return names(await web.home.journal(await stored(web, run)))


async def speaking(web: Web) -> Json:
    """A run in the middle of a message."""
    run = await web.started(await web.assistant(tools=[FUNCTION]))
    await web.home.until(await stored(web, run), "thread.message.delta")
    return run


async def expiry(web: Web, run: Json) -> None:
    """Wait until a run that waits for its client has expired."""
    for _ in range(2000):
        if (await web.get(path_of(run)))["status"] == "expired":
            return
        await asyncio.sleep(0.005)
    raise AssertionError("the run does not expire")


async def answered(web: Web, run: Json) -> Json:
    """The text of the newest message."""
    page = await web.get(f"/threads/{run['thread_id']}/messages", limit=1)
    text: Json = page["data"][0]["content"][-1]["text"]
    return text


async def test_choice_a01_a_step_has_both_names_of_its_expiry(tmp_path: Path) -> None:
    """The wire's expires_at and the specification's expired_at."""
    async with open_web(tmp_path, [ADD]) as web:
        run = await web.finished(await web.assistant(tools=[FUNCTION]))
        (waiting,) = (await web.get(f"{path_of(run)}/steps"))["data"]
        await web.home.virtual.advance(600)
        await expiry(web, run)
        (expired,) = (await web.get(f"{path_of(run)}/steps"))["data"]

    assert (START + 600, None) == (waiting["expires_at"], waiting["expired_at"])
    assert (START + 600, START + 600) == (expired["expires_at"], expired["expired_at"])


async def test_choice_a02_a_batch_is_called_as_in_the_specification(web: Web) -> None:
    """vector_store.files_batch: strict clients check it."""
    store, file = await web.post("/vector_stores"), await web.upload()
    batches = f"/vector_stores/{store['id']}/file_batches"
    batch = await web.post(batches, {"file_ids": [file["id"]]})
    assert "vector_store.files_batch" == batch["object"]


async def test_choice_a03_a_message_always_has_a_status(web: Web) -> None:
    """Read, listed, changed or new."""
    thread = await web.thread("hi")
    path = f"/threads/{thread['id']}/messages"
    new = await web.post(path, USER)
    seen = [new, await web.get(f"{path}/{new['id']}"), await web.post(f"{path}/{new['id']}", {})]
    assert ["completed"] * 5 == [m["status"] for m in [*seen, *(await web.get(path))["data"]]]


async def test_choice_a04_a_waiting_run_shows_no_usage(tmp_path: Path) -> None:
    """Neither itself nor its event nor its step."""
    async with open_web(tmp_path, [ADD]) as web:
        run = await web.finished(await web.assistant(tools=[FUNCTION]))
        (step,) = (await web.get(f"{path_of(run)}/steps"))["data"]
        event = (await web.home.journal(await stored(web, run)))[-1]

    assert ("requires_action", None, None) == (run["status"], run["usage"], step["usage"])
    assert event.data["usage"] is None


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        (
            "cancelled",
            ["run.cancelling", "message.incomplete", "run.step.cancelled", "run.cancelled"],
        ),
        ("failed", ["message.incomplete", "run.step.failed", "run.failed"]),
        ("incomplete", ["message.incomplete", "run.step.completed", "run.incomplete"]),
        ("expired", ["message.incomplete", "run.step.expired", "run.expired"]),
    ],
)
async def test_choice_a05_what_is_open_is_closed_from_the_inside_out(
    tmp_path: Path, ending: str, expected: Sequence[str]
) -> None:
    """Message, step, run; a cancel is announced first."""
    turns: dict[str, Json] = {
        "failed": {"text": "Hello", "error": {}},
        "incomplete": {"text": "one two three"},
    }
    async with open_web(tmp_path, [turns.get(ending, HANG)]) as web:
        limit = {"max_completion_tokens": 2} if ending == "incomplete" else {}
        run = await web.started(await web.assistant(), **limit)
        await web.home.until(await stored(web, run), "thread.message.delta")
        if ending == "cancelled":
            await web.post(f"{path_of(run)}/cancel")
        elif ending == "expired":
            await web.home.virtual.advance(600)
        done = await web.settled(path_of(run))
        last = await told(web, run)

    assert ending == done["status"]
    assert expected == last[-len(expected) :]


async def test_choice_a06_an_error_in_a_stream_is_nested(tmp_path: Path) -> None:
    """Under `error`, so that the SDK raises it; then done."""
    async with open_web(tmp_path, [HANG]) as web:
        run = await speaking(web)
        following = asyncio.create_task(web.client.get(f"{path_of(run)}/events"))
        await asyncio.sleep(0.05)
        await web.home.store.write(lambda tx: tx.delete(Run, run["id"]))
        events = events_of((await following).text)

    (name, data), done = events[-2:]
    assert ("error", ["error"]) == (name, list(data))
    assert {"message", "type", "param", "code"} == set(data["error"])
    assert ("done", "[DONE]") == done


@pytest.mark.parametrize(
    ("status", "turn", "core"),
    [("queued", ADD, IDLE), ("in_progress", HANG, FAST), ("requires_action", ADD, FAST)],
)
async def test_choice_a07_three_states_can_be_cancelled(
    tmp_path: Path, status: str, turn: Json, core: Any
) -> None:
    """Queued, in progress, waiting; once it is cancelling, a second request is a 400."""
    async with open_web(tmp_path, [turn], core=core) as web:
        run = await web.started(await web.assistant(tools=[FUNCTION]))
        await web.home.until(await stored(web, run), f"thread.run.{status}")
        await web.home.services.worker.stop()
        assert "cancelling" == (await web.post(f"{path_of(run)}/cancel"))["status"]
        error = await web.refused("POST", f"{path_of(run)}/cancel")
    assert "Cannot cancel run with status 'cancelling'." == error["message"]


def test_choice_a08_a_file_holds_five_million_tokens(tmp_path: Path) -> None:
    """Twenty million characters, at four to a token; one more is too large."""
    limits = ParseLimits()
    assert 4 * 5_000_000 == limits.characters
    path = tmp_path / "long.txt"
    path.write_text("a" * limits.characters)
    assert limits.characters == len(
        read_document(BytesIO(path.read_bytes()), path.name, limits).text
    )
    path.write_text("a" * (limits.characters + 1))
    with pytest.raises(InvalidRequest, match="too large"):
        read_document(BytesIO(path.read_bytes()), path.name, limits)


async def test_choice_a09_a_batch_holds_two_thousand_files(web: Web) -> None:
    """2001 are too many; of 2000 that are not there the ids are what is wrong."""
    store = await web.post("/vector_stores")
    path = f"/vector_stores/{store['id']}/file_batches"
    ids = [f"file-{number:022}" for number in range(2001)]
    most = await web.refused("POST", path, json={"file_ids": ids[:2000]})
    more = await web.refused("POST", path, json={"file_ids": ids})
    assert most["code"] is None
    assert ("array_above_max_length", "file_ids") == (more["code"], more["param"])


async def test_choice_a10_a_run_may_have_128_tools(tmp_path: Path) -> None:
    """As many as an assistant; one more is refused."""
    functions = [{"type": "function", "function": {"name": f"f{n}"}} for n in range(129)]
    async with open_web(tmp_path, [DONE]) as web:
        assistant = await web.assistant()
        run = await web.finished(assistant, tools=functions[:128])
        body = {"assistant_id": assistant["id"], "tools": functions}
        error = await web.refused("POST", "/threads/runs", json=body)

    assert ("completed", 128) == (run["status"], len(run["tools"]))
    assert ("array_above_max_length", "tools") == (error["code"], error["param"])


@pytest.mark.parametrize(("named", "marker"), [(True, "【1:0†a.txt】"), (False, "【1:0†source】")])
async def test_choice_a11_a_marker_names_the_file(tmp_path: Path, named: bool, marker: str) -> None:
    """Or says "source", if the installation is set so."""
    core = replace(FAST, named_citations=named)
    async with open_web(
        tmp_path, CITING, tools=[ScriptedTool("file_search", FOUND)], core=core
    ) as web:
        run = await web.finished(await web.assistant(tools=[SEARCH]))
        text = await answered(web, run)
    assert marker in text["value"]
    assert [marker] == [mark["text"] for mark in text["annotations"]]


async def test_choice_a12_offsets_count_code_points(tmp_path: Path) -> None:
    """A character beyond the basic plane is one, an accent on its letter is none more."""
    async with open_web(tmp_path, CITING, tools=[ScriptedTool("file_search", FOUND)]) as web:
        text = await answered(web, await web.finished(await web.assistant(tools=[SEARCH])))
    (mark,) = text["annotations"]
    assert mark["text"] == text["value"][mark["start_index"] : mark["end_index"]]
    assert len("𝄞 Sales — naïve: it rose ") == mark["start_index"]


@pytest.mark.parametrize("budget", ["max_prompt_tokens", "max_completion_tokens"])
async def test_choice_a13_a_budget_of_one_token_is_taken_and_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, budget: str
) -> None:
    """From 256 on nobody is warned; none at all is refused."""
    async with open_web(tmp_path, [DONE]) as web:
        assistant = await web.assistant()
        with caplog.at_level(logging.WARNING, "local_assistants.run"):
            await web.finished(assistant, **{budget: 256})
            assert [] == caplog.records
            run = await web.finished(assistant, **{budget: 1})
        body = {"assistant_id": assistant["id"], budget: 0}
        error = await web.refused("POST", "/threads/runs", json=body)

    assert 1 == run[budget]
    assert [budget in record.getMessage() for record in caplog.records] == [True]
    assert ("integer_below_min_value", budget) == (error["code"], error["param"])


async def test_choice_a14_a_citation_has_a_quote(tmp_path: Path) -> None:
    """Always a string, also in the finished message: old samples read it. Here it is the passage."""
    async with open_web(tmp_path, CITING, tools=[ScriptedTool("file_search", FOUND)]) as web:
        text = await answered(web, await web.finished(await web.assistant(tools=[SEARCH])))
    assert [{"file_id": "file-9", "quote": "It rose."}] == [
        mark["file_citation"] for mark in text["annotations"]
    ]


async def test_choice_a15_a_failed_run_tells_what_it_spent(tmp_path: Path) -> None:
    """Of the turns that were finished."""
    code = ScriptedTool("code_interpreter", answering("42"))
    turns: list[Json] = [calls("code_interpreter", {}) | {"usage": SPENT}, {"error": {}}]
    async with open_web(tmp_path, turns, tools=[code]) as web:
        run = await web.finished(await web.assistant(tools=[CODE]))
    assert ("failed", 15) == (run["status"], run["usage"]["total_tokens"])


async def test_choice_a16_an_unknown_cursor_is_an_invalid_value(web: Web) -> None:
    """Of the parameter that names it."""
    for param in ("after", "before"):
        error = await web.refused("GET", "/assistants", params={param: "asst_x"})
        assert ("invalid_value", param) == (error["code"], error["param"])


async def test_choice_a17_a_message_is_created_with_its_first_token(tmp_path: Path) -> None:
    """A model that says nothing, or only white space, leaves no message."""
    async with open_web(tmp_path, [{"text": " \n "}]) as web:
        run = await web.finished(await web.assistant())
        page = await web.get(f"/threads/{run['thread_id']}/messages")
        events = await told(web, run)
    assert ("completed", 1) == (run["status"], len(page["data"]))
    assert not [name for name in events if name.startswith("message")]


async def test_choice_a18_instructions_take_256000_characters(web: Web) -> None:
    """On assistants and runs; one more is too long."""
    assistant = await web.assistant(instructions="a" * 256_000)
    assert 256_000 == len(assistant["instructions"])
    for path, body in (
        ("/assistants", {"model": "scripted"}),
        ("/threads/runs", {"assistant_id": assistant["id"]}),
    ):
        error = await web.refused("POST", path, json=body | {"instructions": "a" * 256_001})
        assert ("string_above_max_length", "instructions") == (error["code"], error["param"])


async def test_choice_a19_additional_instructions_are_shown_joined(web: Web) -> None:
    """By a blank line, after those of the run or the assistant."""
    assistant = await web.assistant(instructions="Be brief.")
    thread = await web.thread("hi")
    body = {"assistant_id": assistant["id"], "additional_instructions": "Be kind."}
    run = await web.post(f"/threads/{thread['id']}/runs", body)
    assert "Be brief.\n\nBe kind." == run["instructions"]


def test_choice_a20_ne_and_nin_match_what_lacks_the_key() -> None:
    """Every other comparison does not."""
    spec: Json = {"key": "year", "value": 2024}
    hits = {
        kind: compiled(spec | {"type": kind} | ({"value": [2024]} if "in" in kind else {}))({})
        for kind in ("eq", "ne", "gt", "gte", "lt", "lte", "in", "nin")
    }
    assert {"ne", "nin"} == {kind for kind, hit in hits.items() if hit}


async def test_choice_a21_hybrid_search_is_echoed_as_null(web: Web) -> None:
    """As on the wire, though no specification knows it."""
    assistant = await web.assistant(tools=[SEARCH])
    assert {
        "ranker": "default_2024_08_21",
        "score_threshold": 0.0,
        "hybrid_search": None,
    } == assistant["tools"][0]["file_search"]["ranking_options"]


async def test_choice_a22_an_expired_run_keeps_its_deadline(tmp_path: Path) -> None:
    """expires_at stands, required_action goes; no call can be answered any more."""
    async with open_web(tmp_path, [ADD]) as web:
        run = await web.finished(await web.assistant(tools=[FUNCTION]))
        await web.home.virtual.advance(600)
        await expiry(web, run)
        done = await web.get(path_of(run))
        output = {"tool_outputs": [{"tool_call_id": "call_x", "output": "7"}]}
        error = await web.refused("POST", f"{path_of(run)}/submit_tool_outputs", json=output)

    assert ("expired", START + 600, None) == (
        done["status"],
        done["expires_at"],
        done["required_action"],
    )
    assert 15 == done["usage"]["total_tokens"]
    assert 'Runs in status "expired" do not accept tool outputs.' == error["message"]


async def test_choice_a23_a_thread_without_messages_can_be_run(tmp_path: Path) -> None:
    """The model has its instructions alone, or nothing at all."""
    async with open_web(tmp_path, [DONE]) as web:
        assistant = await web.assistant()
        for fields in ({"instructions": "Greet."}, {}):
            run = await web.post("/threads/runs", {"assistant_id": assistant["id"], **fields})
            assert "completed" == (await web.settled(path_of(run)))["status"]
            assert "Done." == (await answered(web, run))["value"]
        prompts = [[m.role for m in request.messages] for request in web.home.backend.requests]
    assert [["system"], []] == prompts


async def test_choice_a24_messages_may_be_changed_and_deleted_while_a_run_works(
    tmp_path: Path,
) -> None:
    """Thread, run and messages take new metadata; any message may go, even the one being written, and the thread."""
    async with open_web(tmp_path, [HANG]) as web:
        run = await speaking(web)
        thread = f"/threads/{run['thread_id']}"
        written, question = (await web.get(f"{thread}/messages"))["data"]
        note = {"metadata": {"k": "v"}}
        changed = [thread, path_of(run), f"{thread}/messages/{question['id']}"]
        assert [note["metadata"]] * 3 == [(await web.post(p, note))["metadata"] for p in changed]
        for message in (question, written):
            assert (await web.delete(f"{thread}/messages/{message['id']}"))["deleted"]
        assert "in_progress" == (await web.get(path_of(run)))["status"]
        assert (await web.delete(thread))["deleted"]
        await web.refused("GET", path_of(run), 404)
        left = await web.home.store.read(
            lambda tx: [
                tx.get(kind, key) for kind, key in ((Run, run["id"]), (Message, written["id"]))
            ]
        )
        assert [None, None] == left
        assert 0 == await web.home.store.write(
            lambda tx: tx.delete_where(RunStep, {"run_id": run["id"]})
        )


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "add"}}])
async def test_choice_a25_a_tool_is_forced_on_the_first_turn_only(
    tmp_path: Path, choice: Any
) -> None:
    """Else a run would never come to its answer; the run goes on showing what was asked."""
    async with open_web(tmp_path, [ADD, DONE]) as web:
        run = await web.finished(await web.assistant(tools=[FUNCTION]), tool_choice=choice)
        (call,) = run["required_action"]["submit_tool_outputs"]["tool_calls"]
        output = {"tool_outputs": [{"tool_call_id": call["id"], "output": "7"}]}
        await web.post(f"{path_of(run)}/submit_tool_outputs", output)
        done = await web.settled(path_of(run))
        forced = [
            bool(r.forced_tool) or r.tool_choice == "required" for r in web.home.backend.requests
        ]

    assert ("completed", choice) == (done["status"], done["tool_choice"])
    assert [True, False] == forced
