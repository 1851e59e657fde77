"""What clones get wrong about runs (contract, section 8), by its number: asked over HTTP, as any client would."""

from pathlib import Path
from typing import Any

import pytest

from local_assistants.engine.states import RunStatus
from tests.support.answers import events_of
from tests.support.clock import START
from tests.support.engine import CODE, FAST, FUNCTION, ScriptedTool, answering, calls
from tests.support.runs import HANG, IDLE, SPENT, TWO_CALLS

from .web import USER, Json, Web, open_web, path_of

DONE: Json = {"text": "Done.", "usage": SPENT}
ADD = calls("add", {"a": 1}) | {"usage": SPENT}
LOCKED: dict[str, tuple[Any, Any]] = {
    "queued": ((ADD,), IDLE),
    "in_progress": ((HANG,), FAST),
    "requires_action": ((ADD,), FAST),
    "cancelling": ((ADD,), IDLE),
}
"""Status of a run that is not over -> a script and settings that bring it about."""


async def streamed(web: Web, path: str, **body: Any) -> list[tuple[str, Any]]:
    """The events of a streamed POST."""
    answer = await web.client.post(path, json=body | {"stream": True})
    assert 200 == answer.status_code, answer.text
    return events_of(answer.text)


async def run_in(web: Web, status: str) -> Json:
    """A run that has come to `status` and stays there."""
    run = await web.started(await web.assistant(tools=[FUNCTION]))
    if status == "cancelling":
        await web.home.services.worker.stop()
        await web.post(f"{path_of(run)}/cancel")
    while (found := await web.get(path_of(run)))["status"] != status:
        await web.home.until(
            await web.home.services.runs.get(run["thread_id"], run["id"]), f"thread.run.{status}"
        )
    return found


async def call_ids(web: Web, run: Json) -> list[str]:
    """The calls a run waits for."""
    found = (await web.get(path_of(run)))["required_action"]["submit_tool_outputs"]["tool_calls"]
    return [call["id"] for call in found]


def outputs(*ids: str) -> Json:
    """A body that answers these calls."""
    return {"tool_outputs": [{"tool_call_id": id_, "output": "7"} for id_ in ids]}


# --- locks and statuses ------------------------------------------------------------------------------


@pytest.mark.parametrize("status", LOCKED)
async def test_point_02_a_busy_thread_is_a_400(tmp_path: Path, status: str) -> None:
    """Never 409, which SDKs silently retry; the texts name thread and run."""
    turns, core = LOCKED[status]
    async with open_web(tmp_path, turns, core=core) as web:
        run = await run_in(web, status)
        thread = run["thread_id"]
        body = {"assistant_id": run["assistant_id"]}
        refused_run = await web.refused("POST", f"/threads/{thread}/runs", json=body)
        refused_message = await web.refused("POST", f"/threads/{thread}/messages", json=USER)
        listed = await web.get(f"/threads/{thread}/messages")

    run_text = f"Thread {thread} already has an active run {run['id']}."
    message_text = f"Can't add messages to {thread} while a run {run['id']} is active."
    for text, error in ((run_text, refused_run), (message_text, refused_message)):
        expected = {"message": text, "type": "invalid_request_error", "param": None, "code": None}
        assert expected == error
    assert 1 <= len(listed["data"])


async def test_point_03_waiting_and_cancelling_runs_keep_the_lock(tmp_path: Path) -> None:
    """Only the end of a run lifts it."""
    async with open_web(tmp_path, [ADD, DONE]) as web:
        run = await run_in(web, "requires_action")
        messages = f"/threads/{run['thread_id']}/messages"
        await web.refused("POST", messages, json=USER)
        await web.home.services.worker.stop()
        assert "cancelling" == (await web.post(f"{path_of(run)}/cancel"))["status"]
        await web.refused("POST", messages, json=USER)
        await web.home.services.worker.start()
        assert "cancelled" == (await web.settled(path_of(run)))["status"]
        assert "completed" == (await web.post(messages, USER))["status"]


async def test_point_04_only_the_nine_names_of_a_status(tmp_path: Path) -> None:
    """In every event of runs that end in every way."""
    seen: set[str] = set()
    scripts: list[Any] = [[DONE], [{"error": {}}], [ADD], [{"text": "one two three"}]]
    for number, turns in enumerate(scripts):
        async with open_web(tmp_path / str(number), turns) as web:
            assistant = await web.assistant(tools=[FUNCTION])
            limit = {"max_completion_tokens": 2} if number == 3 else {}
            body = {"assistant_id": assistant["id"], "thread": {"messages": [USER]}} | limit
            told = await streamed(web, "/threads/runs", **body)
            seen |= {
                data["status"]
                for name, data in told
                if name.startswith("thread.run.") and "step" not in name
            }

    assert seen <= {status.value for status in RunStatus}
    assert 9 == len(RunStatus)
    assert {"queued", "in_progress", "completed", "failed", "requires_action", "incomplete"} == seen


# --- functions -----------------------------------------------------------------------------------------


async def test_point_05_a_function_step_waits_with_its_run(tmp_path: Path) -> None:
    """In progress, output null and no usage until the outputs are in; then complete with them."""
    async with open_web(tmp_path, [ADD, DONE]) as web:
        run = await run_in(web, "requires_action")
        (waiting,) = (await web.get(f"{path_of(run)}/steps"))["data"]
        (call,) = waiting["step_details"]["tool_calls"]
        (call_id,) = await call_ids(web, run)
        await web.post(f"{path_of(run)}/submit_tool_outputs", outputs(call_id))
        await web.settled(path_of(run))
        done = await web.get(f"{path_of(run)}/steps/{waiting['id']}")

    assert ("in_progress", None, None, None) == (
        waiting["status"],
        waiting["completed_at"],
        waiting["usage"],
        call["function"]["output"],
    )
    assert ("completed", START) == (done["status"], done["completed_at"])
    assert "7" == done["step_details"]["tool_calls"][0]["function"]["output"]
    assert 15 == done["usage"]["total_tokens"]


async def test_point_13_usage_is_null_until_the_end_and_then_the_sum(tmp_path: Path) -> None:
    """Over every turn and step; with the wire's extras."""
    async with open_web(tmp_path, [ADD, DONE]) as web:
        run = await run_in(web, "requires_action")
        assert run["usage"] is None
        (call_id,) = await call_ids(web, run)
        submitted = await web.post(f"{path_of(run)}/submit_tool_outputs", outputs(call_id))
        done = await web.settled(path_of(run))
        steps = (await web.get(f"{path_of(run)}/steps"))["data"]

    assert ("queued", None) == (submitted["status"], submitted["usage"])
    assert {
        "prompt_tokens": 20,
        "completion_tokens": 10,
        "total_tokens": 30,
        "prompt_token_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    } == done["usage"]
    assert 30 == sum(step["usage"]["total_tokens"] for step in steps)


@pytest.mark.parametrize("status", ["queued", "requires_action", "in_progress"])
async def test_point_14_a_run_that_nobody_helps_expires(tmp_path: Path, status: str) -> None:
    """Ten minutes after its creation, whatever it was doing; a finished one has no expires_at any more."""
    turns, core = LOCKED[status]
    async with open_web(tmp_path, turns, core=core) as web:
        run = await run_in(web, status)
        assert START + 600 == run["expires_at"]
        await web.home.virtual.advance(599)
        assert status == (await web.get(path_of(run)))["status"]
        await web.home.virtual.advance(1)
        while (done := await web.get(path_of(run)))["status"] == status:
            await web.home.virtual.advance(1)
        other = await web.get(path_of(run))

    assert ("expired", None) == (done["status"], done["required_action"])
    assert 0 <= done["usage"]["total_tokens"]
    assert done == other


async def test_point_14_the_deadline_goes_with_the_end(web: Web) -> None:
    """expires_at stands from the first and is null when the run is over."""
    assistant = await web.assistant()
    run = await web.started(assistant)
    done = await web.settled(path_of(run))
    assert (START + 600, None) == (run["expires_at"], done["expires_at"])


async def test_point_15_resuming_starts_the_clock_of_started_at_anew(tmp_path: Path) -> None:
    """While waiting it stands; with the outputs in it is the time of the resumption, the deadline unmoved."""
    async with open_web(tmp_path, [ADD, HANG]) as web:
        run = await run_in(web, "requires_action")
        await web.home.virtual.advance(30)
        assert START == (await web.get(path_of(run)))["started_at"]
        (call_id,) = await call_ids(web, run)
        submitted = await web.post(f"{path_of(run)}/submit_tool_outputs", outputs(call_id))
        while (resumed := await web.get(path_of(run)))["status"] != "in_progress":
            pass

    assert (START, START + 30) == (submitted["started_at"], resumed["started_at"])
    assert START + 600 == resumed["expires_at"]


async def test_point_23_all_outputs_and_no_others(tmp_path: Path) -> None:
    """Too few, unknown and doubled ones are refused in the same words; the run waits on for the right ones."""
    async with open_web(tmp_path, [TWO_CALLS, DONE]) as web:
        run = await run_in(web, "requires_action")
        one, two = await call_ids(web, run)
        path = f"{path_of(run)}/submit_tool_outputs"
        for wrong in (
            [one],
            [],
            [one, "call_x"],
            [one, two, "call_x"],
            [one, one],
            [one, two, two],
        ):
            error = await web.refused("POST", path, json=outputs(*wrong))
            text = f"Expected tool outputs for call_ids {[one, two]}, got {wrong}"
            assert (text, None, None) == (error["message"], error["param"], error["code"])
        assert "requires_action" == (await web.get(path_of(run)))["status"]
        await web.post(path, outputs(two, one))
        done = await web.settled(path_of(run))

    assert "completed" == done["status"]


async def test_point_24_outputs_are_taken_once_and_only_from_a_run_that_waits(
    tmp_path: Path,
) -> None:
    """Any other status is named in the refusal."""
    async with open_web(tmp_path, [ADD, DONE]) as web:
        run = await run_in(web, "requires_action")
        (call_id,) = await call_ids(web, run)
        path = f"{path_of(run)}/submit_tool_outputs"
        await web.post(path, outputs(call_id))
        await web.settled(path_of(run))
        again = await web.refused("POST", path, json=outputs(call_id))

    text = 'Runs in status "completed" do not accept tool outputs.'
    assert {"message": text, "type": "invalid_request_error", "param": None, "code": None} == again


@pytest.mark.parametrize("status", ["queued", "in_progress", "cancelling"])
async def test_point_24_a_run_at_work_takes_no_outputs(tmp_path: Path, status: str) -> None:
    """It has not asked for any."""
    turns, core = LOCKED[status]
    async with open_web(tmp_path, turns, core=core) as web:
        run = await run_in(web, status)
        path = f"{path_of(run)}/submit_tool_outputs"
        error = await web.refused("POST", path, json=outputs("call_x"))
    assert f'Runs in status "{status}" do not accept tool outputs.' == error["message"]


async def test_point_25_a_run_that_is_over_cannot_be_cancelled(tmp_path: Path) -> None:
    """The refusal names its status; so it does while a first cancel is under way."""
    scripts: dict[str, Any] = {"completed": DONE, "failed": {"error": {}}, "incomplete": DONE}
    for status, turn in scripts.items():
        async with open_web(tmp_path / status, [turn]) as web:
            limit = (
                {"max_prompt_tokens": 1, "instructions": "a b c"} if status == "incomplete" else {}
            )
            run = await web.finished(await web.assistant(), **limit)
            error = await web.refused("POST", f"{path_of(run)}/cancel")
        text = f"Cannot cancel run with status '{status}'."
        assert {
            "message": text,
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        } == error


async def test_point_25_a_second_cancel_is_refused(tmp_path: Path) -> None:
    """Both while the first is under way and when it is done."""
    async with open_web(tmp_path, [ADD], core=IDLE) as web:
        run = await run_in(web, "cancelling")
        first = await web.refused("POST", f"{path_of(run)}/cancel")
        await web.home.services.worker.start()
        await web.home.virtual.advance(601, sleepers=0)
        second = await web.settled(path_of(run))
        third = await web.refused("POST", f"{path_of(run)}/cancel")

    assert "Cannot cancel run with status 'cancelling'." == first["message"]
    assert f"Cannot cancel run with status '{second['status']}'." == third["message"]


async def test_point_53_cancelled_at_comes_with_cancelled(tmp_path: Path) -> None:
    """Not while it is cancelling; in the answer, the stream and the object."""
    async with open_web(tmp_path, [HANG]) as web:
        run = await run_in(web, "in_progress")
        await web.home.virtual.advance(5)
        asked = await web.post(f"{path_of(run)}/cancel")
        done = await web.settled(path_of(run))
        stored = await web.home.services.runs.get(run["thread_id"], run["id"])
        told = {str(event.name): event.data for event in await web.home.journal(stored)}

    assert ("cancelling", None) == (asked["status"], asked["cancelled_at"])
    assert told["thread.run.cancelling"]["cancelled_at"] is None
    assert ("cancelled", START + 5, None) == (
        done["status"],
        done["cancelled_at"],
        done["expires_at"],
    )


# --- what a run works with --------------------------------------------------------------------------


async def test_point_28_deleting_an_assistant_touches_nothing_else(tmp_path: Path) -> None:
    """Thread, messages and runs stay, with the id dangling; a waiting run goes on; a new one is a 404."""
    async with open_web(tmp_path, [ADD, DONE]) as web:
        run = await run_in(web, "requires_action")
        assistant = run["assistant_id"]
        assert (await web.delete(f"/assistants/{assistant}"))["deleted"]
        (call_id,) = await call_ids(web, run)
        await web.post(f"{path_of(run)}/submit_tool_outputs", outputs(call_id))
        done = await web.settled(path_of(run))
        runs = f"/threads/{run['thread_id']}/runs"
        error = await web.refused("POST", runs, 404, json={"assistant_id": assistant})
        messages = (await web.get(f"/threads/{run['thread_id']}/messages"))["data"]

    assert ("completed", assistant) == (done["status"], done["assistant_id"])
    assert [assistant, None] == [message["assistant_id"] for message in messages]
    assert f"No assistant found with id '{assistant}'." == error["message"]


async def test_point_47_additional_messages_come_before_the_run_s_own(tmp_path: Path) -> None:
    """Listed in the thread, in order, with their attachments; refused as a whole when the thread is busy."""
    async with open_web(tmp_path, [DONE]) as web:
        assistant = await web.assistant(tools=[CODE])
        file = await web.upload()
        thread = await web.thread("first")
        attached = {"file_id": file["id"], "tools": [CODE]}
        added: list[Json] = [
            {"role": "user", "content": "second", "attachments": [attached]},
            {"role": "assistant", "content": "third", "metadata": {"k": "v"}},
        ]
        body = {"assistant_id": assistant["id"], "additional_messages": added}
        run = await web.post(f"/threads/{thread['id']}/runs", body)
        await web.settled(path_of(run))
        messages = (await web.get(f"/threads/{thread['id']}/messages", order="asc"))["data"]
        resources = (await web.get(f"/threads/{thread['id']}"))["tool_resources"]
        prompt = web.home.backend.requests[0].messages

    texts = [message["content"][0]["text"]["value"] for message in messages]
    assert ["first", "second", "third", "Done."] == texts
    assert [None, None, None, run["id"]] == [message["run_id"] for message in messages]
    assert ([attached], {"k": "v"}) == (messages[1]["attachments"], messages[2]["metadata"])
    assert {"code_interpreter": {"file_ids": [file["id"]]}} == resources
    assert ["user", "user", "assistant"] == [message.role for message in prompt][-3:]


async def test_point_48_budgets_hold_for_the_whole_life_of_a_run(tmp_path: Path) -> None:
    """500 and 1000 tokens: a first turn of 200 and 300 leaves 300 and 700; more than that ends it incomplete."""
    first = calls("code_interpreter", {}) | {
        "usage": {"prompt_tokens": 200, "completion_tokens": 300}
    }
    second = calls("code_interpreter", {}) | {
        "usage": {"prompt_tokens": 300, "completion_tokens": 100}
    }
    tool = ScriptedTool("code_interpreter", answering("42"))
    async with open_web(tmp_path, [first, second, DONE], tools=[tool]) as web:
        budgets = {"max_prompt_tokens": 500, "max_completion_tokens": 1000}
        run = await web.finished(await web.assistant(tools=[CODE]), **budgets)
        asked = [request.max_tokens for request in web.home.backend.requests]

    assert [1000, 700] == asked  # no third turn: its prompt has no token left
    assert ("incomplete", {"reason": "max_prompt_tokens"}) == (
        run["status"],
        run["incomplete_details"],
    )
    assert (500, 400) == (run["usage"]["prompt_tokens"], run["usage"]["completion_tokens"])
    assert (None, None) == (run["completed_at"], run["expires_at"])


async def test_point_48_an_answer_that_is_too_long_is_cut(tmp_path: Path) -> None:
    """The message is kept as far as it went: max_tokens there, max_completion_tokens on the run."""
    async with open_web(tmp_path, [{"text": "one two three four"}]) as web:
        run = await web.finished(await web.assistant(), max_completion_tokens=2)
        message = (await web.get(f"/threads/{run['thread_id']}/messages"))["data"][0]

    assert ("incomplete", {"reason": "max_completion_tokens"}) == (
        run["status"],
        run["incomplete_details"],
    )
    assert ("incomplete", {"reason": "max_tokens"}) == (
        message["status"],
        message["incomplete_details"],
    )
    assert "one two " == message["content"][0]["text"]["value"]
    assert START == message["incomplete_at"]


async def test_point_48_truncation_is_obeyed(tmp_path: Path) -> None:
    """last_messages gives the model the newest alone; auto drops what does not fit the budget; the thread keeps all."""
    async with open_web(tmp_path, [DONE]) as web:
        assistant = await web.assistant()
        texts = [f"number {number} " + "word " * 50 for number in range(12)]
        thread = await web.thread(*texts)
        runs = f"/threads/{thread['id']}/runs"
        for settings in (
            {"truncation_strategy": {"type": "last_messages", "last_messages": 2}},
            {"truncation_strategy": {"type": "auto"}, "max_prompt_tokens": 300},
            {},
        ):
            run = await web.post(runs, {"assistant_id": assistant["id"], **settings})
            assert "completed" == (await web.settled(path_of(run)))["status"]
            await web.delete(f"/threads/{thread['id']}/messages/{await newest(web, thread)}")
        lengths = [len(request.messages) for request in web.home.backend.requests]
        listed = (await web.get(f"/threads/{thread['id']}/messages", limit=100))["data"]

    assert [2, 12] == [lengths[0], lengths[2]]
    assert 1 <= lengths[1] < 7
    assert 12 == len(listed)


async def newest(web: Web, thread: Json) -> str:
    """Id of the latest message."""
    page = await web.get(f"/threads/{thread['id']}/messages", limit=1)
    return str(page["data"][0]["id"])
