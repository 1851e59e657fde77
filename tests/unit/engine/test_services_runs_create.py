"""Creating runs: locked threads, what a run takes from its assistant, and what it brings itself."""

from pathlib import Path

import pytest

from local_assistants.engine import requests
from local_assistants.engine.errors import ModelNotFound, NotFound, ThreadBusy
from tests.support.engine import (
    CODE,
    FUNCTION,
    MODEL,
    calls,
    house,
    names,
)
from tests.support.runs import HANG, TWO_CALLS

# --- locks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["in_progress", "requires_action"])
async def test_a_run_that_is_not_over_locks_its_thread(tmp_path: Path, status: str) -> None:
    """No second run, no message, no deletion; 400 in the original's words. Reading and metadata are free."""
    async with house(tmp_path, [HANG if status == "in_progress" else TWO_CALLS]) as home:
        run = await home.ask(tools=[FUNCTION])
        await home.until(run, f"thread.run.{status}")
        thread = run.thread_id
        texts: list[str] = []
        for attempt in (
            home.run(thread, run.assistant_id),
            home.message(thread, "More"),
        ):
            with pytest.raises(ThreadBusy) as refused:
                await attempt
            texts.append(refused.value.message)
            assert (400, None, None) == (
                refused.value.status,
                refused.value.param,
                refused.value.code,
            )
        modified = await home.services.threads.modify(
            thread, requests.ModifyThread(metadata={"k": "v"})
        )
        listed = len(await home.messages(run))

    assert [
        f"Thread {thread} already has an active run {run.id}.",
        f"Can't add messages to {thread} while a run {run.id} is active.",
    ] == texts
    assert {"k": "v"} == modified.metadata
    assert listed >= 1


async def test_a_finished_run_frees_its_thread(tmp_path: Path) -> None:
    """And other threads were never locked."""
    async with house(tmp_path) as home:
        run = await home.finish(await home.ask())
        await home.message(run.thread_id, "And?")
        again = await home.finish(await home.run(run.thread_id, run.assistant_id))
        prompt = home.backend.requests[1].messages

    assert "completed" == again.status
    assert ["Hi", "Hello.", "And?"] == [message.text for message in prompt]


async def test_a_refused_run_leaves_nothing_behind(tmp_path: Path) -> None:
    """Its additional messages are not added either."""
    async with house(tmp_path, [HANG]) as home:
        run = await home.ask()
        with pytest.raises(ThreadBusy):
            await home.run(
                run.thread_id,
                run.assistant_id,
                additional_messages=[{"role": "user", "content": "lost"}],
            )
        texts = [message.text for message in await home.messages(run)]

    assert "lost" not in texts


# --- create ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"assistant_id": "asst_9"}, "No assistant found with id 'asst_9'."),
        ({"thread_id": "thread_9"}, "No thread found with id 'thread_9'."),
        ({"model": "gpt-9"}, "The model 'gpt-9' does not exist"),
    ],
)
async def test_a_run_needs_thread_assistant_and_model(
    tmp_path: Path, fields: dict[str, str], text: str
) -> None:
    """404, with the name of what is missing."""
    async with house(tmp_path) as home:
        assistant, thread = await home.assistant(), await home.thread("Hi")
        named = {"assistant_id": assistant.id, "thread_id": thread.id} | fields
        with pytest.raises(NotFound) as refused:
            await home.run(**named)

    assert (404, text) == (refused.value.status, refused.value.message)
    if "model" in fields:
        assert isinstance(refused.value, ModelNotFound)
        assert ("model", "model_not_found") == (refused.value.param, refused.value.code)


async def test_a_run_takes_its_assistants_settings(tmp_path: Path) -> None:
    """Where it brings none of its own."""
    async with house(tmp_path) as home:
        assistant = await home.assistant(
            instructions="Be brief.",
            tools=[CODE],
            temperature=0.5,
            top_p=0.25,
            reasoning_effort="low",
            response_format={"type": "text"},
            metadata={"of": "assistant"},
        )
        thread = await home.thread("Hi")
        run = await home.run(thread.id, assistant.id)
        await home.finish(run)
        (asked,) = home.backend.requests

    assert (MODEL, "Be brief.", assistant.tools, 0.5, 0.25, "low", {"type": "text"}) == (
        run.model,
        run.instructions,
        run.tools,
        run.temperature,
        run.top_p,
        run.reasoning_effort,
        run.response_format,
    )
    assert {} == run.metadata
    assert (0.5, 0.25, "Be brief.") == (asked.temperature, asked.top_p, asked.messages[0].text)


async def test_a_runs_own_settings_come_first(tmp_path: Path) -> None:
    """Also the ones that switch something off."""
    async with house(tmp_path) as home:
        assistant = await home.assistant(instructions="Be brief.", tools=[CODE], temperature=0.5)
        thread = await home.thread("Hi")
        run = await home.run(
            thread.id,
            assistant.id,
            instructions="",
            tools=[],
            temperature=0.0,
            metadata={"of": "run"},
            tool_choice="none",
            parallel_tool_calls=False,
            max_prompt_tokens=500,
            max_completion_tokens=400,
            truncation_strategy={"type": "last_messages", "last_messages": 1},
        )
        await home.finish(run)
        (asked,) = home.backend.requests

    assert ("", (), 0.0, {"of": "run"}, "none", False) == (
        run.instructions,
        run.tools,
        run.temperature,
        run.metadata,
        run.tool_choice,
        run.parallel_tool_calls,
    )
    assert {"type": "last_messages", "last_messages": 1} == run.truncation_strategy.model_dump()
    assert ["user"] == [message.role for message in asked.messages]
    assert (0.0, False, ()) == (asked.temperature, asked.parallel_tool_calls, asked.tools)


@pytest.mark.parametrize(
    ("own", "run_fields", "expected"),
    [
        ("Be brief.", {"additional_instructions": "Be kind."}, "Be brief.\n\nBe kind."),
        (
            "Be brief.",
            {"instructions": "Sing.", "additional_instructions": "Loud."},
            "Sing.\n\nLoud.",
        ),
        (None, {"additional_instructions": "Be kind."}, "Be kind."),
        ("Be brief.", {"additional_instructions": ""}, "Be brief."),
        (None, {}, None),
    ],
)
async def test_additional_instructions_are_joined(
    tmp_path: Path, own: str | None, run_fields: dict[str, str], expected: str | None
) -> None:
    """To whatever the effective instructions are; the run shows the joined text."""
    async with house(tmp_path) as home:
        assistant = await home.assistant(instructions=own)
        run = await home.run((await home.thread("Hi")).id, assistant.id, **run_fields)

    assert expected == run.instructions


async def test_additional_messages_come_before_the_runs_own(tmp_path: Path) -> None:
    """They are stored in the thread, and the model reads them."""
    extra = [
        {"role": "assistant", "content": "Shall I?"},
        {"role": "user", "content": "Yes."},
    ]
    async with house(tmp_path) as home:
        run = await home.ask(additional_messages=extra)
        await home.finish(run)
        texts = [message.text for message in await home.messages(run)]
        (asked,) = home.backend.requests

    assert ["Hi", "Shall I?", "Yes.", "Hello."] == texts
    assert ["user", "assistant", "user"] == [message.role for message in asked.messages]


async def test_the_latest_messages_alone_are_read_if_so_asked(tmp_path: Path) -> None:
    """truncation_strategy last_messages."""
    async with house(tmp_path) as home:
        assistant = await home.assistant()
        thread = await home.thread("one", "two", "three")
        truncation = {"type": "last_messages", "last_messages": 2}
        await home.finish(await home.run(thread.id, assistant.id, truncation_strategy=truncation))
        (asked,) = home.backend.requests

    assert ["two", "three"] == [message.text for message in asked.messages]


async def test_create_thread_and_run(tmp_path: Path) -> None:
    """Thread, messages and run at once; thread.created comes first, the messages are not told."""
    async with house(tmp_path) as home:
        assistant = await home.assistant()
        thread = {"messages": [{"role": "user", "content": "Hi"}], "metadata": {"k": "v"}}
        body = {"assistant_id": assistant.id, "thread": thread}
        run = await home.services.runs.create_with_thread(
            requests.CreateThreadAndRun.model_validate(body)
        )
        events = await home.events(run)
        texts = [message.text for message in await home.messages(run)]

    assert ["created", "run.created", "run.queued"] == names(events)[:3]
    assert (run.thread_id, {"k": "v"}) == (events[0].data["id"], events[0].data["metadata"])
    assert ["Hi", "Hello."] == texts


async def test_a_refused_create_thread_and_run_makes_no_thread(tmp_path: Path) -> None:
    """All or nothing."""
    async with house(tmp_path) as home:
        body = requests.CreateThreadAndRun(assistant_id="asst_9")
        with pytest.raises(NotFound):
            await home.services.runs.create_with_thread(body)
        with pytest.raises(NotFound):
            await home.services.threads.get("thread_1")


async def test_a_run_without_messages_is_allowed(tmp_path: Path) -> None:
    """The model is asked with nothing but the instructions."""
    async with house(tmp_path) as home:
        assistant = await home.assistant(instructions="Greet.")
        run = await home.finish(await home.run((await home.thread()).id, assistant.id))

    assert "completed" == run.status


async def test_editing_the_assistant_does_not_touch_its_runs(tmp_path: Path) -> None:
    """Nor does deleting it: runs carry their own copy, threads and messages stay."""
    async with house(tmp_path, [calls("add", {}), {"text": "ok"}]) as home:
        run = await home.finish(await home.ask(tools=[FUNCTION]))
        modify = requests.ModifyAssistant.model_validate({"tools": [], "instructions": "New"})
        await home.services.assistants.modify(run.assistant_id, modify)
        await home.services.assistants.delete(run.assistant_id)
        _, after = await home.submit(run, {"call_1": "7"})
        done = await home.finish(run, after)
        answer = (await home.messages(run))[-1]
        with pytest.raises(NotFound, match="No assistant found with id 'asst_1'"):
            await home.run(run.thread_id, run.assistant_id)

    assert ("completed", run.tools, run.assistant_id) == (
        done.status,
        done.tools,
        answer.assistant_id,
    )
