"""What the core tells its models besides turns: schemas to look at, conversations to forget, what goes first."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from local_assistants.engine import requests
from local_assistants.engine.chat import Finish, TextDelta, UsageDelta
from local_assistants.engine.errors import InvalidRequest
from tests.support.engine import CODE, PATIENCE, DeltaBackend, ScriptedTool, answering, house

SCHEMA: dict[str, Any] = {
    "type": "json_schema",
    "json_schema": {"name": "city", "schema": {"type": "object", "properties": {}}},
}
STRICT: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "f",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {},
            "required": [],
            "additionalProperties": False,
        },
    },
}
REFUSAL = InvalidRequest("The schema of response_format cannot be enforced: too evil.")


async def test_a_schema_that_the_model_cannot_keep_to_refuses_the_run(tmp_path: Path) -> None:
    """Before anything is stored: no run, no additional message, no thread; the thread stays free."""
    async with house(tmp_path) as home:
        assistant = await home.assistant(response_format=SCHEMA)
        thread = await home.thread("Hi")
        home.models.refusal = REFUSAL
        extra = [{"role": "user", "content": "lost"}]
        with pytest.raises(InvalidRequest, match="too evil"):
            await home.run(thread.id, assistant.id, additional_messages=extra)
        both = requests.CreateThreadAndRun.model_validate({"assistant_id": assistant.id})
        with pytest.raises(InvalidRequest, match="too evil"):
            await home.services.runs.create_with_thread(both)
        home.models.refusal = None
        run = await home.finish(await home.run(thread.id, assistant.id))
        prompt = home.backend.requests[0].messages

    assert "completed" == run.status
    assert ["Hi"] == [message.text for message in prompt if message.role == "user"]


async def test_the_run_s_own_schema_counts_and_not_the_assistant_s(tmp_path: Path) -> None:
    """What the model is asked about is what the run will use: its format, and of the tools the strict functions."""
    loose = {"type": "function", "function": {"name": "g"}}
    async with house(tmp_path) as home:
        assistant = await home.assistant(response_format=SCHEMA, tools=[loose, STRICT])
        thread = await home.thread("Hi")
        await home.run(thread.id, assistant.id, response_format={"type": "text"})
        [asked] = home.models.validated

    assert {"type": "text"} == asked.response_format
    assert ["f"] == [tool.name for tool in asked.tools]


async def test_a_run_without_schemas_asks_nothing(tmp_path: Path) -> None:
    """The common run costs no check."""
    async with house(tmp_path) as home:
        await home.finish(await home.ask())
        asked = home.models.validated

    assert [] == asked


async def test_a_deleted_thread_is_forgotten_by_the_models(tmp_path: Path) -> None:
    """What they keep under the thread's key goes with it."""
    async with house(tmp_path) as home:
        run = await home.finish(await home.ask())
        await home.services.threads.delete(run.thread_id)
        session = home.backend.requests[0].session
        forgotten = home.models.forgotten

    assert [run.thread_id] == forgotten == [session]


async def test_a_thread_deleted_while_its_run_is_at_work_stops_it_and_is_forgotten_once_more_then(
    tmp_path: Path,
) -> None:
    """The turn ends at once; one that reached the model only after the deletion would leave the conversation there."""
    never = asyncio.Event()
    backend = DeltaBackend([TextDelta("Said."), never, UsageDelta(1, 1), Finish("stop")])
    async with house(tmp_path) as home:
        home.models.current = backend
        run = await home.ask()
        await home.until(run, "thread.message.delta")
        await home.services.threads.delete(run.thread_id)
        async with asyncio.timeout(PATIENCE):
            while home.services.worker.executing:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)
        after = list(home.models.forgotten)

    assert [run.thread_id] * 2 == after


async def test_a_turn_after_a_tool_goes_before_a_new_run_s(tmp_path: Path) -> None:
    """What has begun is finished first."""
    turns: list[dict[str, Any]] = [
        {"tool_calls": [{"name": "code_interpreter", "arguments": {"code": "1"}}]},
        {"text": "It is 1."},
    ]
    tool = ScriptedTool("code_interpreter", answering("1"))
    async with house(tmp_path, turns, tools=[tool]) as home:
        await home.finish(await home.ask(tools=[CODE]))
        first, second = (request.priority for request in home.backend.requests)

    assert second > first
