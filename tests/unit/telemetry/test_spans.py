"""The spans of real runs: run > model turn > tool, what they say, and what they never say unless asked to."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from local_assistants.engine.chat import ChatMessage, ChatRequest, ImagePart, TextPart
from local_assistants.engine.clock import SystemClock
from local_assistants.engine.objects import Run
from local_assistants.engine.observer import TurnSeen
from local_assistants.telemetry.attributes import MOST_TEXT, request_content
from local_assistants.telemetry.spans import LEFT, RunSpans, TraceIds, trace_id
from tests.support.engine import CODE, FUNCTION, House, ScriptedTool, answering, calls, house
from tests.support.tools import broken, work_for_ever

SECRETS = ("the question", "print(7 * 6)", "the output 42", "the answer")
CODE_RUN = (calls("code_interpreter", {"code": "print(7 * 6)"}), {"text": "the answer"})
STATUS = "local_assistants.run.status"


class Traces:
    """What an engine's runs leave: spans by name, as they ended."""

    def __init__(self, made: House, *, content: bool = False) -> None:
        self._exporter, ids = InMemorySpanExporter(), TraceIds()
        provider = TracerProvider(id_generator=ids, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        made.core.feed.observers.append(RunSpans(provider, ids, content=content))

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        """Those that have ended."""
        return self._exporter.get_finished_spans()

    @property
    def names(self) -> list[str]:
        """Of the spans, in the order of their ends."""
        return [span.name for span in self.spans]

    def named(self, name: str) -> list[ReadableSpan]:
        """Those of a name."""
        return [span for span in self.spans if span.name == name]

    async def ended(self, name: str, count: int = 1) -> ReadableSpan:
        """The latest of a name when there are so many: a run's last event comes before its span's end."""
        async with asyncio.timeout(10):
            while len(self.named(name)) < count:  # noqa: ASYNC110 - the exporter tells nobody
                await asyncio.sleep(0.005)
        return self.named(name)[-1]


def told(span: ReadableSpan) -> dict[str, Any]:
    """A span's attributes."""
    return dict(span.attributes or {})


def parent_of(span: ReadableSpan) -> int:
    """The id of the span above."""
    assert span.parent is not None
    above: int = span.parent.span_id
    return above


def id_of(span: ReadableSpan) -> int:
    """Its own."""
    assert span.context is not None
    own: int = span.context.span_id
    return own


async def coded(folder: Path, *, content: bool) -> tuple[Run, Traces]:
    """A run that has called code and answered, and its spans."""
    tool = ScriptedTool("code_interpreter", answering("the output 42"))
    async with house(folder, CODE_RUN, tools=[tool]) as made:
        traces = Traces(made, content=content)
        run = await made.finish(await made.ask("the question", tools=[CODE], temperature=0.5))
        await traces.ended("invoke_agent")
    return run, traces


async def test_a_run_is_above_its_turns_and_a_turn_above_its_calls(tmp_path: Path) -> None:
    """One trace, named after the run; the call is below the turn that made it."""
    run, traces = await coded(tmp_path, content=False)
    call, turn, agent = (
        traces.named(name)[0]
        for name in ("execute_tool code_interpreter", "chat scripted", "invoke_agent")
    )
    assert 2 == len(traces.named("chat scripted"))
    assert None is agent.parent
    assert (id_of(agent), id_of(turn)) == (parent_of(turn), parent_of(call))
    assert {trace_id(run.id)} == {span.context.trace_id for span in traces.spans if span.context}


async def test_a_runs_span_says_whose_it_is_and_what_it_came_to(tmp_path: Path) -> None:
    """Agent, thread, model, tokens, status."""
    run, traces = await coded(tmp_path, content=False)
    assert run.usage is not None
    assert {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "local_assistants",
        "gen_ai.agent.id": run.assistant_id,
        "gen_ai.conversation.id": run.thread_id,
        "gen_ai.request.model": "scripted",
        "gen_ai.usage.input_tokens": run.usage.prompt_tokens,
        "gen_ai.usage.output_tokens": run.usage.completion_tokens,
        "local_assistants.run.id": run.id,
        "local_assistants.run.taken_up_again": False,
        STATUS: "completed",
    } == told(traces.named("invoke_agent")[0])


async def test_a_turns_span_says_what_was_asked_for_and_spent(tmp_path: Path) -> None:
    """The conventions' names: model, sampling, tokens, why it stopped, when its first word came."""
    _, traces = await coded(tmp_path, content=False)
    first, second = (told(span) for span in traces.named("chat scripted"))
    assert {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.stream": True,
        "gen_ai.output.type": "text",
        "gen_ai.response.model": "scripted",
        "gen_ai.response.finish_reasons": ("tool_call",),
    }.items() <= first.items()
    assert ("stop",) == second["gen_ai.response.finish_reasons"]
    assert second["gen_ai.usage.output_tokens"] > 0
    assert 0 <= second["gen_ai.response.time_to_first_chunk"] < 10


async def test_content_stays_here(tmp_path: Path) -> None:
    """Nothing that a user, a model or a tool wrote is in any span, unless it is asked for."""
    _, traces = await coded(tmp_path, content=False)
    written = "".join(span.to_json() for span in traces.spans)
    assert [] == [secret for secret in SECRETS if secret in written]


async def test_content_goes_along_when_it_is_asked_for(tmp_path: Path) -> None:
    """The prompt and the answer in the conventions' parts, the call with its arguments and its output."""
    _, traces = await coded(tmp_path, content=True)
    second = told(traces.named("chat scripted")[1])
    prompt = json.loads(second["gen_ai.input.messages"])
    question = {"role": "user", "parts": [{"type": "text", "content": "the question"}]}
    answer = {"type": "text", "content": "the answer"}
    assert question == prompt[0]
    assert ["tool_call", "tool_call_response"] == [each["parts"][0]["type"] for each in prompt[1:]]
    assert [{"role": "assistant", "parts": [answer], "finish_reason": "stop"}] == json.loads(
        second["gen_ai.output.messages"]
    )
    call = told(traces.named("execute_tool code_interpreter")[0])
    assert '{"code": "print(7 * 6)"}' == call["gen_ai.tool.call.arguments"]
    assert "the output 42" == call["gen_ai.tool.call.result"]


async def test_a_wait_for_the_client_splits_the_run_in_two_spans_of_one_trace(
    tmp_path: Path,
) -> None:
    """No span is open while nobody works; the second says that it goes on."""
    async with house(tmp_path, (calls("add", {}), {"text": "3"})) as made:
        traces = Traces(made)
        run = await made.finish(await made.ask(tools=[FUNCTION]))
        waiting = await traces.ended("invoke_agent")
        assert run.required_action is not None
        call = run.required_action.submit_tool_outputs.tool_calls[0]
        run, after = await made.submit(run, {call.id: "3"})
        await made.finish(run, after)
        last = await traces.ended("invoke_agent", 2)
    assert ["requires_action", "completed"] == [told(span)[STATUS] for span in (waiting, last)]
    assert told(last)["local_assistants.run.taken_up_again"]
    assert 1 == len({span.context.trace_id for span in traces.spans if span.context})


async def test_a_turn_that_breaks_off_is_an_error_by_its_kind(tmp_path: Path) -> None:
    """The span of the turn and of the run; the error's words are not told, they may quote a prompt."""
    async with house(
        tmp_path, ({"text": "wel", "error": {"message": "the model broke: secret"}},)
    ) as made:
        traces = Traces(made)
        await made.finish(await made.ask())
        agent = await traces.ended("invoke_agent")
    turn = traces.named("chat scripted")[0]
    assert ("BackendFault", StatusCode.ERROR) == (
        told(turn)["error.type"],
        turn.status.status_code,
    )
    assert ("failed", "server_error") == (told(agent)[STATUS], told(agent)["error.type"])
    assert "secret" not in agent.to_json() + turn.to_json()


@pytest.mark.parametrize(
    ("failed", "status"), [(True, StatusCode.ERROR), (False, StatusCode.UNSET)]
)
async def test_a_call_whose_code_fails_is_an_error(
    tmp_path: Path, failed: bool, status: StatusCode
) -> None:
    """Of the call alone: the model was told, and the run went on."""
    tool = ScriptedTool("code_interpreter", answering("no", failed=failed))
    async with house(tmp_path, CODE_RUN, tools=[tool]) as made:
        traces = Traces(made)
        await made.finish(await made.ask(tools=[CODE]))
        agent = await traces.ended("invoke_agent")
    call = traces.named("execute_tool code_interpreter")[0]
    assert (status, StatusCode.UNSET) == (call.status.status_code, agent.status.status_code)


async def test_a_tool_that_cannot_work_ends_all_its_spans(tmp_path: Path) -> None:
    """Call, turn and run, in this order."""
    tool = ScriptedTool("code_interpreter", broken)
    async with house(tmp_path, CODE_RUN, tools=[tool]) as made:
        traces = Traces(made)
        await made.finish(await made.ask(tools=[CODE]))
        await traces.ended("invoke_agent")
    assert ["chat scripted", "execute_tool code_interpreter", "invoke_agent"] == traces.names
    assert "ToolFault" == told(traces.spans[1])["error.type"]


async def test_a_cancelled_run_leaves_no_span_open(tmp_path: Path) -> None:
    """The call that was at work is cancelled, and so is the run."""
    tool = ScriptedTool("code_interpreter", work_for_ever)
    async with house(tmp_path, CODE_RUN, tools=[tool]) as made:
        traces = Traces(made)
        run = await made.ask(tools=[CODE])
        await made.until(run, "thread.run.step.delta")
        await made.services.runs.cancel(run.thread_id, run.id)
        agent = await traces.ended("invoke_agent")
    call = traces.named("execute_tool code_interpreter")[0]
    assert ("cancelled", "cancelled") == (told(call)["error.type"], told(agent)[STATUS])


async def test_a_run_that_is_left_goes_on_in_the_same_trace(tmp_path: Path) -> None:
    """A server is stopped in the middle of a turn, the next one finishes the run."""
    async with house(tmp_path, ({"text": "never", "hang": True},)) as made:
        before = Traces(made)
        run = await made.ask()
        await made.until(run, "thread.message.delta")
    left = before.named("invoke_agent")[0]
    async with house(tmp_path, ({"text": "at last"},)) as made:
        after = Traces(made)
        await made.finish(run)
        done = await after.ended("invoke_agent")
    assert [LEFT, "completed"] == [told(span)[STATUS] for span in (left, done)]
    assert told(done)["local_assistants.run.taken_up_again"]
    assert left.context is not None
    assert done.context is not None
    assert left.context.trace_id == done.context.trace_id


async def test_runs_side_by_side_do_not_mix(tmp_path: Path) -> None:
    """Ten at once: each has a trace of its own, with one turn below its own span."""
    turns = ({"text": "one two three", "delay": 0.01},)
    async with house(tmp_path, turns, clock=SystemClock()) as made:
        traces = Traces(made)
        runs = [await made.ask() for _ in range(10)]
        for run in runs:
            await made.finish(run)
        await traces.ended("invoke_agent", 10)
    agents = {
        told(span)["local_assistants.run.id"]: id_of(span) for span in traces.named("invoke_agent")
    }
    above = {
        told(span)["local_assistants.run.id"]: parent_of(span)
        for span in traces.named("chat scripted")
    }
    assert {run.id for run in runs} == set(agents)
    assert agents == above


async def test_long_texts_are_cut_and_pictures_left_out(tmp_path: Path) -> None:
    """What goes along stays JSON, says what is missing, and names no place on this machine."""
    async with house(tmp_path) as made:
        run = await made.ask()
    long = TextPart(text="x" * (MOST_TEXT + 5))
    picture = ImagePart(url="file:///home/someone/picture.png")
    request = ChatRequest((ChatMessage(role="user", content=(long, picture)),))
    made_of = str(request_content(TurnSeen(run, "m", request, 0.0))["gen_ai.input.messages"])
    text, image = json.loads(made_of)[0]["parts"]
    assert text["content"].endswith("x [5 characters left out]")
    assert {"type": "image"} == image
