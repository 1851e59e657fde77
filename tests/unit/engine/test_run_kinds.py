"""What becomes of a run: each way to go, each way to end, and what is kept of it."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local_assistants.engine.chat import Finish, TextDelta, ToolCall, UsageDelta
from local_assistants.engine.errors import ToolFault
from local_assistants.engine.objects import (
    CodeInterpreterCall,
    FilePath,
    FunctionCall,
    ImageFileContent,
    ImageOutput,
    LogsOutput,
    Message,
    TextContent,
    ToolCallsDetails,
    Usage,
)
from local_assistants.engine.ports import Citation, Emit, ToolResult, ToolSession
from local_assistants.engine.states import On
from tests.support.clock import START
from tests.support.engine import (
    CODE,
    FAST,
    FUNCTION,
    SEARCH,
    DeltaBackend,
    ScriptedTool,
    answering,
    calls,
    house,
    names,
)

SPENT = {"prompt_tokens": 10, "completion_tokens": 5}
HANG: dict[str, Any] = {"text": "Hello th", "hang": True}


def text_of(message: Message) -> str:
    """The text of a message."""
    return "".join(part.text.value for part in message.content if isinstance(part, TextContent))


async def test_a_plain_answer(tmp_path: Path) -> None:
    """Queued, worked on, completed; one message, one step, the usage of both."""
    async with house(tmp_path, [{"text": "Hello there.", "usage": SPENT}]) as home:
        run = await home.ask()
        assert ("queued", None, START + 600, None) == (
            run.status,
            run.started_at,
            run.expires_at,
            run.usage,
        )
        done = await home.finish(run)
        _, answer = await home.messages(run)
        (step,) = await home.steps(run)

    assert ("completed", START, START, None) == (
        done.status,
        done.started_at,
        done.completed_at,
        done.expires_at,
    )
    assert Usage.of(10, 5) == done.usage == step.usage
    assert ("completed", "Hello there.", run.id) == (answer.status, text_of(answer), answer.run_id)
    assert ("message_creation", "completed") == (step.type, step.status)


async def test_usage_is_the_sum_of_all_turns(tmp_path: Path) -> None:
    """And null until the run is over."""
    turns = [calls("add", {}) | {"usage": SPENT}, {"text": "7", "usage": SPENT}]
    async with house(tmp_path, turns) as home:
        waiting = await home.finish(await home.ask(tools=[FUNCTION]))
        assert waiting.usage is None
        _, after = await home.submit(waiting, {"call_1": "7"})
        done = await home.finish(waiting, after)

    assert Usage.of(20, 10) == done.usage


async def test_functions_make_the_run_wait_with_its_step_open(tmp_path: Path) -> None:
    """Arguments as the model wrote them, no output yet, expiry unchanged, thread still locked."""
    turns = [calls("add", {"a": 1}, {"a": 2}), {"text": "It said {{tool}}."}]
    async with house(tmp_path, turns) as home:
        run = await home.finish(await home.ask(tools=[FUNCTION]))
        (step,) = await home.steps(run)
        assert run.required_action is not None
        wanted = run.required_action.submit_tool_outputs.tool_calls
        assert ("requires_action", START + 600) == (run.status, run.expires_at)
        assert [("call_1", '{"a": 1}'), ("call_2", '{"a": 2}')] == [
            (call.id, call.function.arguments) for call in wanted
        ]
        assert ("in_progress", None) == (step.status, step.completed_at)

        await home.virtual.advance(5)
        resumed, after = await home.submit(run, {"call_2": "second", "call_1": "first"})
        assert ("queued", None, START) == (
            resumed.status,
            resumed.required_action,
            resumed.started_at,
        )
        done = await home.finish(run, after)
        answered, spoken = await home.steps(run)

    assert ("completed", START + 5) == (done.status, done.started_at)
    assert isinstance(answered.step_details, ToolCallsDetails)
    assert ["first", "second"] == [
        call.function.output
        for call in answered.step_details.tool_calls
        if isinstance(call, FunctionCall)
    ]
    assert ("completed", "completed") == (answered.status, spoken.status)


async def test_arguments_that_are_no_json_are_passed_on(tmp_path: Path) -> None:
    """Unchecked: they are the client's business."""
    turns = [{"tool_calls": [{"name": "add", "arguments": '{"a": oops'}]}]
    async with house(tmp_path, turns) as home:
        run = await home.finish(await home.ask(tools=[FUNCTION]))

    assert run.required_action is not None
    (call,) = run.required_action.submit_tool_outputs.tool_calls
    assert '{"a": oops' == call.function.arguments


async def test_a_run_may_wait_many_times(tmp_path: Path) -> None:
    """Far more often than engine-side tools may be called: the client sets the pace."""
    turns = [*[calls("add", {"n": n}) for n in range(12)], {"text": "done"}]
    async with house(tmp_path, turns) as home:
        run, after = await home.ask(tools=[FUNCTION]), 0
        for number in range(12):
            run = await home.finish(run, after)
            assert "requires_action" == run.status
            _, after = await home.submit(run, {f"call_{number + 1}": "ok"})
        done = await home.finish(run, after)
        choices = {request.tool_choice for request in home.backend.requests}

    assert "completed" == done.status
    assert {"auto"} == choices


async def show_image(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
    """Code that prints in two pieces and shows a picture."""
    await emit(LogsOutput(logs="1\n"))
    await emit(LogsOutput(logs="2\n"))
    assert session.save_file is not None
    file = await session.save_file("plot.png", b"png")
    await emit(ImageOutput(image=FilePath(file_id=file.id)))
    return ToolResult("1\n2\n", images=(file.id,))


async def test_code_shows_logs_and_images(tmp_path: Path) -> None:
    """Logs in a row are one output; the image comes first in the message and can be downloaded."""
    tool = ScriptedTool("code_interpreter", show_image)
    turns = [calls("code_interpreter", {"code": "plot()"}), {"text": "See above."}]
    async with house(tmp_path, turns, tools=[tool]) as home:
        run = await home.ask(tools=[CODE])
        await home.finish(run)
        step, _ = await home.steps(run)
        _, answer = await home.messages(run)
        file, path = await home.services.files.content("file-1")
        content = path.read_bytes()

    assert isinstance(step.step_details, ToolCallsDetails)
    (call,) = step.step_details.tool_calls
    assert isinstance(call, CodeInterpreterCall)
    assert "plot()" == call.code_interpreter.input
    assert (
        LogsOutput(logs="1\n2\n"),
        ImageOutput(image=FilePath(file_id="file-1")),
    ) == call.code_interpreter.outputs
    assert ["image_file", "text"] == [part.type for part in answer.content]
    assert ("assistants_output", b"png") == (file.purpose, content)


async def test_an_image_made_before_the_client_was_asked_is_shown_afterwards(
    tmp_path: Path,
) -> None:
    """The run goes on in a new execution, and still has it."""
    tool = ScriptedTool("code_interpreter", show_image)
    both = {"tool_calls": [{"name": "code_interpreter"}, {"name": "add"}]}
    async with house(tmp_path, [both, {"text": "Here."}], tools=[tool]) as home:
        run = await home.finish(await home.ask(tools=[CODE, FUNCTION]))
        _, after = await home.submit(run, {"call_2": "7"})
        await home.finish(run, after)
        _, answer = await home.messages(run)

    assert ["image_file", "text"] == [part.type for part in answer.content]


async def test_an_image_is_shown_once(tmp_path: Path) -> None:
    """In the first message after it, not in later ones; also when that message speaks before more calls."""
    tool = ScriptedTool("code_interpreter", show_image)
    turns = [
        calls("code_interpreter", {}),
        {"text": "First.", "tool_calls": [{"name": "add"}]},
        {"text": "Second."},
    ]
    async with house(tmp_path, turns, tools=[tool]) as home:
        run = await home.finish(await home.ask(tools=[CODE, FUNCTION]))
        _, after = await home.submit(run, {"call_2": "7"})
        await home.finish(run, after)
        _, first, second = await home.messages(run)

    assert [["image_file", "text"], ["text"]] == [
        [part.type for part in message.content] for message in (first, second)
    ]


async def test_code_that_only_draws_still_gets_a_message(tmp_path: Path) -> None:
    """Although the model has nothing to add."""
    tool = ScriptedTool("code_interpreter", show_image)
    async with house(tmp_path, [calls("code_interpreter", {}), {"text": ""}], tools=[tool]) as home:
        run = await home.finish(await home.ask(tools=[CODE]))
        _, answer = await home.messages(run)

    assert "completed" == run.status
    assert [ImageFileContent] == [type(part) for part in answer.content]


async def test_tools_of_one_turn_run_at_once(tmp_path: Path) -> None:
    """Each waits until the other has begun, which no sequence of calls could survive."""
    begun = {"code_interpreter": asyncio.Event(), "file_search": asyncio.Event()}

    async def meet(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
        begun[call.name].set()
        async with asyncio.timeout(5):
            for other in begun.values():
                await other.wait()
        return ToolResult(call.name)

    tools = [ScriptedTool(name, meet) for name in begun]
    turns: list[dict[str, Any]] = [
        {"tool_calls": [{"name": name} for name in begun]},
        {"text": "{{tool}}"},
    ]
    async with house(tmp_path, turns, tools=tools) as home:
        run = await home.finish(await home.ask(tools=[CODE, SEARCH]))
        steps = await home.steps(run)

    assert "completed" == run.status
    assert ["tool_calls", "message_creation"] == [step.type for step in steps]


async def test_a_turn_that_speaks_and_calls_both_kinds(tmp_path: Path) -> None:
    """Message, then the engine's calls in a step that completes, then the client's in one that waits."""
    tool = ScriptedTool("code_interpreter", answering("42"))
    turns: list[dict[str, Any]] = [
        {
            "text": "One moment.",
            "tool_calls": [{"name": "add"}, {"name": "code_interpreter"}, {"name": "add"}],
            "usage": SPENT,
        },
        {"text": "Done.", "usage": SPENT},
    ]
    async with house(tmp_path, turns, tools=[tool]) as home:
        run = await home.finish(await home.ask(tools=[CODE, FUNCTION]))
        steps = await home.steps(run)
        assert [
            ("message_creation", "completed"),
            ("tool_calls", "in_progress"),
            ("tool_calls", "completed"),
        ] == [(step.type, step.status) for step in steps]
        assert run.required_action is not None
        wanted = [call.id for call in run.required_action.submit_tool_outputs.tool_calls]
        assert ["call_1", "call_3"] == wanted
        _, after = await home.submit(run, dict.fromkeys(wanted, "ok"))
        done = await home.finish(run, after)
        prompt = home.backend.requests[1].messages
        contents = [text_of(message) for message in await home.messages(run)]

    assert Usage.of(20, 10) == done.usage
    assert ["Hi", "One moment.", "Done."] == contents
    assert ["user", "assistant", "tool", "tool", "tool"] == [m.role for m in prompt]
    assert {"call_1", "call_2", "call_3"} == {m.tool_call_id for m in prompt if m.role == "tool"}


async def test_a_tool_that_does_not_exist_is_told_to_the_model(tmp_path: Path) -> None:
    """With the names of those that do; the run goes on, and its tokens are counted."""
    turns = [calls("fly", {}) | {"usage": SPENT}, {"text": "I see.", "usage": SPENT}]
    async with house(tmp_path, turns) as home:
        run = await home.finish(await home.ask(tools=[FUNCTION]))
        note = home.backend.requests[1].messages[-1]

    assert ("completed", Usage.of(20, 10)) == (run.status, run.usage)
    assert ("tool", "There is no tool named 'fly'. Available: add.") == (note.role, note.text)


async def test_a_tool_this_installation_lacks_counts_as_unknown(tmp_path: Path) -> None:
    """It is offered to no model, and calling it does no harm."""
    async with house(tmp_path, [calls("code_interpreter", {}), {"text": "Pity."}]) as home:
        run = await home.finish(await home.ask(tools=[CODE]))
        offered = home.backend.requests[0].tools

    assert ("completed", ()) == (run.status, offered)


async def test_a_tool_that_cannot_work_fails_the_run_with_its_words(tmp_path: Path) -> None:
    """The step fails too, and the run's other calls are stopped."""
    stopped = asyncio.Event()

    async def no_sandbox(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
        raise ToolFault("There is no sandbox; install bubblewrap.")

    async def wait(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
        try:
            await asyncio.Event().wait()
            return ToolResult("never")
        finally:
            stopped.set()

    tools = [ScriptedTool("code_interpreter", no_sandbox), ScriptedTool("file_search", wait)]
    turns = [{"tool_calls": [{"name": "file_search"}, {"name": "code_interpreter"}]}]
    async with house(tmp_path, turns, tools=tools) as home:
        run = await home.finish(await home.ask(tools=[CODE, SEARCH]))
        (step,) = await home.steps(run)

    assert ("failed", START, None) == (run.status, run.failed_at, run.expires_at)
    assert run.last_error is not None
    assert "There is no sandbox; install bubblewrap." == run.last_error.message
    assert ("failed", run.last_error) == (step.status, step.last_error)
    assert stopped.is_set()


async def test_a_tool_with_a_bug_fails_the_run_without_telling_details(tmp_path: Path) -> None:
    """Tracebacks belong into the log."""

    async def bug(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
        raise RuntimeError("secret path /home/x")

    async with house(
        tmp_path, [calls("code_interpreter", {})], tools=[ScriptedTool("code_interpreter", bug)]
    ) as home:
        run = await home.finish(await home.ask(tools=[CODE]))

    assert run.last_error is not None
    assert ("failed", "server_error", "Sorry, something went wrong.") == (
        run.status,
        run.last_error.code,
        run.last_error.message,
    )


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("server_error", "server_error"),
        ("rate_limit_exceeded", "rate_limit_exceeded"),
        ("context_length_exceeded", "invalid_prompt"),
        ("invalid_prompt", "invalid_prompt"),
        ("anything_else", "server_error"),
    ],
)
async def test_a_model_that_breaks_fails_the_run(tmp_path: Path, code: str, expected: str) -> None:
    """With one of the three codes that clients know, and what was said before is kept."""
    turn = {"text": "Half an ans", "error": {"code": code, "message": "boom"}}
    async with house(tmp_path, [turn]) as home:
        run = await home.finish(await home.ask())
        _, answer = await home.messages(run)
        (step,) = await home.steps(run)

    assert run.last_error is not None
    assert ("failed", expected, "boom") == (run.status, run.last_error.code, run.last_error.message)
    assert answer.incomplete_details is not None
    assert ("incomplete", "run_failed", "Half an ans") == (
        answer.status,
        answer.incomplete_details.reason,
        text_of(answer),
    )
    assert "failed" == step.status


async def test_a_model_that_is_gone_fails_the_run(tmp_path: Path) -> None:
    """It was still served when the run was made."""
    turns = [calls("add", {})]
    async with house(tmp_path, turns) as home:
        home.models.names.add("gone")
        assistant = await home.assistant(model="gone", tools=[FUNCTION])
        run = await home.finish(await home.run((await home.thread("Hi")).id, assistant.id))
        home.models.names.remove("gone")
        _, after = await home.submit(run, {"call_1": "7"})
        done = await home.finish(run, after)

    assert done.last_error is not None
    assert ("failed", "The model 'gone' does not exist") == (done.status, done.last_error.message)


async def test_too_many_tokens_make_the_run_incomplete(tmp_path: Path) -> None:
    """The model is told its limit, and what it said within it is kept."""
    async with house(tmp_path, [{"text": "one two three four"}]) as home:
        run = await home.finish(await home.ask(max_completion_tokens=2))
        _, answer = await home.messages(run)
        (step,) = await home.steps(run)
        asked = home.backend.requests[0].max_tokens

    assert 2 == asked
    assert run.incomplete_details is not None
    assert ("incomplete", "max_completion_tokens", None, None) == (
        run.status,
        run.incomplete_details.reason,
        run.completed_at,
        run.expires_at,
    )
    assert answer.incomplete_details is not None
    assert ("incomplete", "max_tokens", "one two ") == (
        answer.status,
        answer.incomplete_details.reason,
        text_of(answer),
    )
    assert ("completed", run.usage) == (step.status, step.usage)


async def test_completion_tokens_are_counted_over_all_turns(tmp_path: Path) -> None:
    """What one turn used is missing in the next, also after the client was asked."""
    turns = [calls("add", {}) | {"usage": SPENT}, {"text": "a b c d e f g h"}]
    async with house(tmp_path, turns) as home:
        run = await home.finish(await home.ask(tools=[FUNCTION], max_completion_tokens=8))
        _, after = await home.submit(run, {"call_1": "7"})
        done = await home.finish(run, after)
        asked = [request.max_tokens for request in home.backend.requests]

    assert [8, 3] == asked
    assert "incomplete" == done.status


@pytest.mark.parametrize("budget", [5, 3])
async def test_a_spent_budget_ends_the_run_before_another_turn(tmp_path: Path, budget: int) -> None:
    """No model is asked for zero tokens, or fewer."""
    tool = ScriptedTool("code_interpreter", answering("42"))
    turns = [calls("code_interpreter", {}) | {"usage": SPENT}, {"text": "never"}]
    async with house(tmp_path, turns, tools=[tool]) as home:
        run = await home.finish(await home.ask(tools=[CODE], max_completion_tokens=budget))

    assert run.incomplete_details is not None
    assert ("incomplete", "max_completion_tokens") == (run.status, run.incomplete_details.reason)
    assert 1 == len(home.backend.requests)


async def test_too_little_room_for_the_prompt_makes_the_run_incomplete(tmp_path: Path) -> None:
    """Also in a later turn, when the turns before have used the budget up; the model is not asked in vain."""
    tool = ScriptedTool("code_interpreter", answering("42"))
    turns = [calls("code_interpreter", {}) | {"usage": SPENT}, {"text": "never"}]
    async with house(tmp_path, turns, tools=[tool]) as home:
        at_once = await home.finish(await home.ask("a b c", max_prompt_tokens=2))
        later = await home.finish(await home.ask("a b c", tools=[CODE], max_prompt_tokens=12))

    assert at_once.incomplete_details is not None
    assert later.incomplete_details is not None
    assert ("incomplete", "max_prompt_tokens") == (
        at_once.status,
        at_once.incomplete_details.reason,
    )
    assert ("incomplete", "max_prompt_tokens", Usage.of(10, 5)) == (
        later.status,
        later.incomplete_details.reason,
        later.usage,
    )
    assert 1 == len(home.backend.requests)


async def test_a_question_longer_than_the_window_fails_as_invalid_prompt(tmp_path: Path) -> None:
    """Nothing could be dropped to make it fit."""
    async with house(tmp_path, context_window=20) as home:
        run = await home.finish(await home.ask("word " * 50))

    assert run.last_error is not None
    assert ("failed", "invalid_prompt") == (run.status, run.last_error.code)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("required", [("required", None), ("auto", None)]),
        ({"type": "function", "function": {"name": "add"}}, [("auto", "add"), ("auto", None)]),
        ({"type": "code_interpreter"}, [("auto", "code_interpreter"), ("auto", None)]),
        ("auto", [("auto", None), ("auto", None)]),
        ("none", [("none", None), ("none", None)]),
    ],
)
async def test_a_tool_is_forced_on_the_first_turn_only(
    tmp_path: Path, choice: Any, expected: list[Any]
) -> None:
    """Else a run would never come to its answer; `none` holds for all turns."""
    turns = [calls("fly", {}), {"text": "Done."}]
    tool = ScriptedTool("code_interpreter", answering("42"))
    async with house(tmp_path, turns, tools=[tool]) as home:
        await home.finish(await home.ask(tools=[FUNCTION, CODE], tool_choice=choice))
        asked = [(request.tool_choice, request.forced_tool) for request in home.backend.requests]

    assert expected == asked


async def test_a_tool_is_not_forced_again_after_the_client_answered(tmp_path: Path) -> None:
    """The first turn is the first of the run, not of its resumption."""
    async with house(tmp_path, [calls("add", {}), {"text": "Done."}]) as home:
        run = await home.finish(await home.ask(tools=[FUNCTION], tool_choice="required"))
        _, after = await home.submit(run, {"call_1": "7"})
        await home.finish(run, after)

    assert ["required", "auto"] == [request.tool_choice for request in home.backend.requests]


async def test_after_so_many_tool_turns_the_model_has_to_answer(tmp_path: Path) -> None:
    """It is told that it may call nothing any more."""
    tool = ScriptedTool("code_interpreter", answering("42"))
    turns = [*[calls("code_interpreter", {})] * 3, {"text": "At last."}]
    settings = replace(FAST, max_tool_turns=3)
    async with house(tmp_path, turns, tools=[tool], settings=settings) as home:
        run = await home.finish(await home.ask(tools=[CODE]))

    assert "completed" == run.status
    assert ["auto", "auto", "auto", "none"] == [r.tool_choice for r in home.backend.requests]


async def test_a_model_that_calls_tools_for_ever_is_stopped(tmp_path: Path) -> None:
    """One that does not obey would otherwise work until the run expires."""
    tool = ScriptedTool("code_interpreter", answering("42"))
    settings = replace(FAST, max_tool_turns=3)
    async with house(
        tmp_path, [calls("code_interpreter", {})], tools=[tool], settings=settings
    ) as home:
        run = await home.finish(await home.ask(tools=[CODE]))

    assert run.last_error is not None
    assert "failed" == run.status
    assert "called tools in 3 turns" in run.last_error.message
    assert 3 == len(tool.calls)


async def test_passages_of_all_searches_keep_their_own_numbers(tmp_path: Path) -> None:
    """Two searches in one turn and another in the next: no number is given twice."""

    async def search(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
        numbers = range(session.first_citation, session.first_citation + 30)
        found = tuple(Citation(n, f"file-{n}", f"{n}.txt", f"quote {n}") for n in numbers)
        return ToolResult("found", citations=found)

    tool = ScriptedTool("file_search", search)
    turns = [calls("file_search", {}, {}), calls("file_search", {}), {"text": "So [31] and [51]."}]
    async with house(tmp_path, turns, tools=[tool]) as home:
        run = await home.finish(await home.ask(tools=[SEARCH]))
        firsts = [session.first_citation for session in tool.sessions]
        given = [
            c.number for entry in await home.transcript(run.thread_id) for c in entry.citations
        ]
        answer = text_of((await home.messages(run))[-1])

    assert [1, 51, 81] == firsts
    assert len(given) == len(set(given))
    assert "51.txt" in answer
    assert "[31]" in answer  # was given to nobody


async def test_made_files_become_links_in_the_answer(tmp_path: Path) -> None:
    """The path the model wrote stays and points at the stored file."""

    async def make(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
        from local_assistants.engine.ports import MadeFile

        assert session.save_file is not None
        file = await session.save_file("out.csv", b"a,b")
        return ToolResult("ok", files=(MadeFile("/mnt/data/out.csv", file.id),))

    tool = ScriptedTool("code_interpreter", make)
    turns = [calls("code_interpreter", {}), {"text": "[out](sandbox:/mnt/data/out.csv)"}]
    async with house(tmp_path, turns, tools=[tool]) as home:
        run = await home.finish(await home.ask(tools=[CODE]))
        (part,) = (await home.messages(run))[-1].content

    assert isinstance(part, TextContent)
    (mark,) = part.text.annotations
    assert mark.file_path is not None
    assert ("sandbox:/mnt/data/out.csv", "file-1") == (mark.text, mark.file_path.file_id)


async def test_white_space_before_the_answer_makes_no_message(tmp_path: Path) -> None:
    """A message begins with its first visible character, and a blank turn makes none."""
    backend = DeltaBackend(
        [TextDelta("\n"), TextDelta(" \n"), TextDelta(" Hi"), UsageDelta(1, 1), Finish("stop")],
        [TextDelta("\n \n"), UsageDelta(1, 1), Finish("stop")],
    )
    async with house(tmp_path) as home:
        home.models.current = backend
        run = await home.finish(await home.ask())
        again = await home.finish(await home.run(run.thread_id, run.assistant_id))
        texts = [text_of(message) for message in await home.messages(run)]

    assert ["Hi", "Hi"] == texts
    assert ("completed", "completed") == (run.status, again.status)


async def test_the_client_may_go_away(tmp_path: Path) -> None:
    """A run does not end because nobody listens any more."""
    gate = asyncio.Event()
    backend = DeltaBackend([TextDelta("One "), gate, TextDelta("two."), Finish("stop")])
    async with house(tmp_path) as home:
        home.models.current = backend
        run = await home.ask()
        await home.until(run, "thread.message.delta")  # and stop listening
        gate.set()
        done = await home.finish(run)
        _, answer = await home.messages(run)

    assert ("completed", "One two.") == (done.status, text_of(answer))


async def test_an_interrupt_that_comes_too_late_changes_nothing(tmp_path: Path) -> None:
    """The run is already being completed: it completes, and is told once."""
    gate, blocked = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    backend = DeltaBackend([TextDelta("Said."), gate, UsageDelta(1, 1), Finish("stop")])
    async with house(tmp_path) as home:
        home.models.current = backend
        run = await home.ask()
        await home.until(run, "thread.message.delta")

        def hold(_: object) -> None:
            loop.call_soon_threadsafe(blocked.set)
            asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(5)

        go_on = asyncio.Event()
        holding = asyncio.create_task(home.store.write(hold))
        await blocked.wait()
        gate.set()
        await asyncio.sleep(0.02)  # the last commit now waits for the store
        home.services.worker.interrupt(run.id, On.EXPIRE)
        await asyncio.sleep(0.01)
        go_on.set()
        await holding
        done = await home.finish(run)
        await asyncio.sleep(0.02)
        said = [entry.body.text for entry in await home.transcript(run.thread_id) if entry.body]
        told = names(await home.journal(run))

    assert "completed" == done.status
    assert ["Said."] == said
    assert "run.completed" == told[-1]
