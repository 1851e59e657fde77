"""What is kept of a model's turns, and what it tells of runs."""

from pathlib import Path

from local_assistants.engine.chat import ChatMessage, ChatRequest, ImagePart, TextPart, ToolCall
from local_assistants.engine.histories import History, differences, timeline
from local_assistants.engine.objects import Run
from local_assistants.engine.records import TurnRecord, digest
from local_assistants.engine.services import Histories
from tests.support.clock import VirtualClock
from tests.support.engine import CODE, FUNCTION, House, ScriptedTool, answering, calls, house
from tests.support.ids import CountingIds

CALLED = (calls("code_interpreter", {"code": "1+1"}), {"text": "It is 2."})


async def turns(home: House, run: Run) -> list[TurnRecord]:
    """The records of a run's turns."""
    return await home.store.read(lambda tx: tx.turns(run.id))


async def history(home: House, run: Run) -> History:
    """Everything that is kept of a run."""
    return await Histories(home.store).history(run.id)


async def test_every_turn_of_a_finished_run_has_a_record(tmp_path: Path) -> None:
    """A turn that called code and the one that answered, each with its step or message."""
    tool = ScriptedTool("code_interpreter", answering("2"))
    async with house(tmp_path, CALLED, tools=[tool]) as home:
        run = await home.finish(await home.ask(tools=[CODE]))
        first, second = await turns(home, run)
        steps = await home.steps(run)
    assert (first.number, first.reason, first.step_ids) == (1, "tool_calls", (steps[0].id,))
    assert [(call.name, call.failed) for call in first.calls] == [("code_interpreter", False)]
    assert first.calls[0].seconds is not None
    assert (second.number, second.reason, second.step_ids) == (2, "stop", ())
    assert second.message_id is not None
    assert run.usage is not None
    assert sum(turn.prompt_tokens for turn in (first, second)) == run.usage.prompt_tokens


async def test_a_run_that_waited_for_its_client_counts_its_turns_on(tmp_path: Path) -> None:
    """The turn after the outputs is number two."""
    async with house(tmp_path, (calls("add", {}), {"text": "Done."})) as home:
        run = await home.finish(await home.ask(tools=[FUNCTION]))
        assert run.required_action is not None
        (call,) = run.required_action.submit_tool_outputs.tool_calls
        run, after = await home.submit(run, {call.id: "3"})
        run = await home.finish(run, after)
        kept = await turns(home, run)
        steps = await home.steps(run)
    assert [turn.number for turn in kept] == [1, 2]
    assert kept[0].step_ids == (steps[0].id,)
    assert [(one.id, one.seconds) for one in kept[0].calls] == [(call.id, None)]


async def test_a_turn_that_failed_says_why(tmp_path: Path) -> None:
    """The error of the backend stands in the record, with what was said before."""
    turn = {"text": "Well", "error": {"message": "The model is out of order."}}
    async with house(tmp_path, (turn,)) as home:
        run = await home.finish(await home.ask())
        (kept,) = await turns(home, run)
    assert kept.reason is None
    assert kept.error is not None
    assert "out of order" in kept.error
    assert kept.message_id is not None


async def test_a_turn_that_was_cancelled_is_kept(tmp_path: Path) -> None:
    """Cancelling in the middle of a hanging turn leaves one record without a reason."""
    async with house(tmp_path, ({"text": "Well", "hang": True},)) as home:
        run = await home.ask()
        await home.until(run, "thread.message.created")
        await home.services.runs.cancel(run.thread_id, run.id)
        run = await home.finish(run)
        kept = await turns(home, run)
    assert run.status == "cancelled"
    assert [(turn.number, turn.reason) for turn in kept] == [(1, None)]


async def test_a_turn_that_a_crash_broke_off_has_no_record_and_its_step_is_no_turns(
    tmp_path: Path,
) -> None:
    """After a restart the turn is done again: one record, and the broken step stands by itself before it."""
    ids, clock = CountingIds(), VirtualClock()
    hanging = {"text": "Well", "hang": True}
    async with house(tmp_path, (hanging,), ids=ids, clock=clock) as home:
        run = await home.ask()
        await home.until(run, "thread.message.delta")
        await home.crash()
    async with house(tmp_path, ({"text": "Hello."},), ids=ids, clock=clock) as later:
        await clock.advance(14)
        await clock.advance(2)  # the lease has lapsed
        run = await later.finish(run)
        told = await history(later, run)
    assert run.status == "completed"
    kinds = [entry["kind"] for entry in timeline(told)]
    assert kinds == ["state", "state", "step", "turn", "state"]
    assert [turn.number for turn in told.turns] == [1]


async def test_records_go_with_their_thread(tmp_path: Path) -> None:
    """Deleting the thread deletes what is kept of its runs."""
    async with house(tmp_path) as home:
        run = await home.finish(await home.ask())
        assert len(await turns(home, run)) == 1
        await home.services.threads.delete(run.thread_id)
        assert await turns(home, run) == []


async def test_another_project_sees_no_records(tmp_path: Path) -> None:
    """A scoped store has neither the records nor their number."""
    async with house(tmp_path) as home:
        run = await home.finish(await home.ask())
        other = home.store.scoped("elsewhere")
        assert await other.read(lambda tx: (tx.turns(run.id), tx.count_turns(run.id))) == ([], 0)


async def test_two_runs_of_the_same_do_not_differ(tmp_path: Path) -> None:
    """Ids and times are no difference."""
    tool = ScriptedTool("code_interpreter", answering("2"))
    async with house(tmp_path, CALLED, tools=[tool]) as home:
        one = await home.finish(await home.ask(tools=[CODE]))
        other = await home.finish(await home.ask(tools=[CODE]))
        assert differences(await history(home, one), await history(home, other)) == []


async def test_another_question_differs_first_in_the_prompt(tmp_path: Path) -> None:
    """The place of the first difference is the first turn's prompt."""
    async with house(tmp_path) as home:
        one = await home.finish(await home.ask("Hi"))
        other = await home.finish(await home.ask("Ho", temperature=0.5))
        found = differences(await history(home, one), await history(home, other))
    assert [each.place for each in found] == ["settings > temperature", "turn 1 > prompt"]


def test_a_digest_does_not_depend_on_ids_of_calls_or_places_of_pictures() -> None:
    """They differ between runs that are the same otherwise."""

    def request(call: str, place: str) -> ChatRequest:
        parts = (ImagePart(url=place), TextPart(text="What is it?"))
        return ChatRequest(
            messages=(
                ChatMessage(role="user", content=parts),
                ChatMessage(
                    role="assistant", tool_calls=(ToolCall(id=call, name="f", arguments="{}"),)
                ),
                ChatMessage(role="tool", tool_call_id=call, content="1"),
            )
        )

    assert digest(request("call_1", "/a.png")) == digest(request("call_2", "/b.png"))


def test_a_digest_depends_on_what_is_said() -> None:
    """A word, a role or a call's arguments make another prompt."""
    words = [
        ChatRequest(messages=(ChatMessage(role="user", content="a"),)),
        ChatRequest(messages=(ChatMessage(role="user", content="b"),)),
        ChatRequest(messages=(ChatMessage(role="system", content="a"),)),
        ChatRequest(messages=(ChatMessage(role="user", content="a"),), temperature=0.5),
    ]
    assert len({digest(request) for request in words}) == len(words)
