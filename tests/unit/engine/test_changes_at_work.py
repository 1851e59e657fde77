"""Assistants, threads and messages that are deleted or changed while a run works with them."""

import asyncio
from pathlib import Path

import pytest

from local_assistants.engine import requests
from local_assistants.engine.chat import Delta, Finish, TextDelta
from local_assistants.engine.errors import NotFound
from local_assistants.engine.objects import Run
from local_assistants.engine.states import On
from tests.support.engine import FAST, FUNCTION, DeltaBackend, calls, house, names
from tests.support.runs import HANG, IDLE, idle, speaking


@pytest.mark.parametrize("status", ["queued", "in_progress", "requires_action", "cancelling"])
async def test_a_thread_may_be_deleted_while_a_run_holds_it(tmp_path: Path, status: str) -> None:
    """The run is cancelled first: a stream that is open hears its end, and nothing goes on behind its back."""
    turn = calls("add", {}) if status == "requires_action" else HANG
    settings = IDLE if status in ("queued", "cancelling") else FAST
    async with house(tmp_path, [turn], settings=settings) as home:
        run = await home.ask(tools=[FUNCTION])
        if status == "cancelling":
            await home.core.journal.commit(lambda unit: unit.fire(Run, run.id, On.CANCEL))
        await home.until(run, f"thread.run.{status}")
        told = [event.name for event in await home.journal(run)]
        following = asyncio.create_task(
            home.events(run, len(told) if status == "requires_action" else 0)
        )
        await asyncio.sleep(0.05)
        await home.services.threads.delete(run.thread_id)
        heard = [event.name for event in await following]
        with pytest.raises(NotFound):
            await home.get(run)
        await home.virtual.advance(1)
        await idle(home)
        assert [] == await home.journal(run)

    ends = [
        name.removeprefix("thread.run.") for name in heard if name.startswith("thread.run.cancel")
    ]
    assert ([] if status == "requires_action" else ["cancelling", "cancelled"]) == ends


async def test_a_message_deleted_while_it_is_written(tmp_path: Path) -> None:
    """The stream ends as always; the message is not there any more, and no later turn sees it."""
    gate = asyncio.Event()
    turn: list[Delta | asyncio.Event] = [
        TextDelta("Hello"),
        gate,
        TextDelta(" there."),
        Finish("stop"),
    ]
    async with house(tmp_path) as home:
        backend = home.models.current = DeltaBackend(turn, [TextDelta("Again."), Finish("stop")])
        run = await speaking(home)
        message = (await home.messages(run))[-1]
        await home.services.messages.delete(run.thread_id, message.id)
        gate.set()
        done = await home.finish(run)
        told = names(await home.journal(run))
        left = [m.text for m in await home.messages(run)]
        await home.finish(await home.run(run.thread_id, run.assistant_id))

    assert ("completed", ["Hi"]) == (done.status, left)
    assert ["message.completed", "run.step.completed", "run.completed"] == told[-3:]
    assert ["Hi"] == [m.text for m in backend.requests[1].messages]


async def test_an_assistant_edited_and_deleted_in_flight_changes_nothing_for_its_run(
    tmp_path: Path,
) -> None:
    """The run carries its own copy; afterwards the id dangles, and a new run is refused."""
    turns = [calls("add", {}), {"text": "Done."}]
    async with house(tmp_path, turns) as home:
        assistant = await home.assistant(tools=[FUNCTION], instructions="Add.")
        thread = await home.thread("Hi")
        run = await home.finish(await home.run(thread.id, assistant.id))
        body = requests.ModifyAssistant.model_validate({"tools": [], "instructions": "Sing."})
        await home.services.assistants.modify(assistant.id, body)
        await home.services.assistants.delete(assistant.id)
        _, after = await home.submit(run, {"call_1": "7"})
        done = await home.finish(run, after)
        asked = home.backend.requests[1]
        with pytest.raises(NotFound, match=f"No assistant found with id '{assistant.id}'"):
            await home.run(thread.id, assistant.id)

    assert ("completed", assistant.id, "Add.") == (
        done.status,
        done.assistant_id,
        done.instructions,
    )
    assert (["add"], "Add.") == ([tool.name for tool in asked.tools], asked.messages[0].text)


async def test_the_question_deleted_while_the_model_thinks_is_not_seen_by_its_next_turn(
    tmp_path: Path,
) -> None:
    """What its owner took back the model forgets."""
    async with house(tmp_path, [calls("add", {}), {"text": "Done."}]) as home:
        run = await home.finish(await home.ask("A secret", tools=[FUNCTION]))
        (question,) = await home.messages(run)
        await home.services.messages.delete(run.thread_id, question.id)
        _, after = await home.submit(run, {"call_1": "7"})
        done = await home.finish(run, after)

    assert "completed" == done.status
    assert "A secret" not in str(home.backend.requests[1].messages)
