"""A model that goes in circles is told so, and then has to answer."""

from dataclasses import replace
from pathlib import Path

import pytest

from local_assistants.engine.chat import Delta, Finish, TextDelta, ToolCall, ToolCallDelta
from local_assistants.engine.nudges import ENOUGH, REPEATED, Circles
from tests.support.engine import CODE, FAST, DeltaBackend, ScriptedTool, answering, house


def call(arguments: str, name: str = "f") -> ToolCall:
    """A call."""
    return ToolCall(id="call_1", name=name, arguments=arguments)


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        (['{"a": 1}'], ['{"a":1}'], True),
        (['{"code": "print(\'x\')"}'], ['{"code": "print(\\"x\\")\\n"}'], True),
        (['{"a": 1}'], ['{"a": 2}'], False),
        (['{"a": 1}', '{"a": 2}'], ['{"a": 2}'], True),
        (['{"a": 1}'], ['{"a": 1}', '{"a": 2}'], False),
        (["not json"], ["not json"], True),
        (['{"a": 1}'], [], False),
    ],
)
def test_a_turn_that_only_repeats_is_found(
    first: list[str], second: list[str], found: bool
) -> None:
    """Spacing and quoting do not make a call another one; one new call does."""
    circles = Circles()
    heard: list[bool] = []
    for turn in (first, second):
        circles.add([call(arguments) for arguments in turn])
        heard.append(circles.found)

    assert [False, found] == heard
    assert (REPEATED if found else ENOUGH) == circles.note


def test_another_tool_with_the_same_arguments_is_another_call() -> None:
    """Of course."""
    circles = Circles()
    circles.add([call("{}")])
    circles.add([call("{}", name="g")])

    assert not circles.found


async def test_notes_are_for_the_model_alone(tmp_path: Path) -> None:
    """Under the outputs in the prompt, in no step; after a repetition no tool is allowed any more."""
    again: list[Delta] = [
        ToolCallDelta(0, "code_interpreter", '{"code": "1"}'),
        Finish("tool_calls"),
    ]
    backend = DeltaBackend(again, again, [TextDelta("It is 1."), Finish("stop")])
    tool = ScriptedTool("code_interpreter", answering("1"))
    settings = replace(FAST, nudges=True)
    async with house(tmp_path, tools=[tool], settings=settings) as home:
        home.models.current = backend
        run = await home.finish(await home.ask(tools=[CODE]))
        steps = [str(step.to_wire()) for step in await home.steps(run)]
        outputs = [m.text for m in backend.requests[-1].messages if m.role == "tool"]

    assert "completed" == run.status
    assert [f"1\n\n{ENOUGH}", f"1\n\n{REPEATED}"] == outputs
    assert ["auto", "auto", "none"] == [request.tool_choice for request in backend.requests]
    assert not any("answer the user" in step for step in steps)
