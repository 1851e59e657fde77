"""Notes that keep a small model from running in circles."""

from dataclasses import replace
from pathlib import Path

from local_assistants.engine.chat import ToolCall
from local_assistants.engine.nudges import ENOUGH, REPEATED, Circles
from tests.support.engine import FAST, FUNCTION, calls, house


def call(arguments: str, name: str = "code_interpreter") -> ToolCall:
    """A call; its id never matters."""
    return ToolCall(id="call_1", name=name, arguments=arguments)


def test_a_turn_that_only_repeats_earlier_calls_is_a_circle() -> None:
    """Also when spacing, blank lines and quotes differ; a new call beside it breaks the circle."""
    circles = Circles()
    circles.add([call('{"code": "print(\\"a\\")\\n\\nx = 1"}')])
    assert (circles.found, circles.note) == (False, ENOUGH)
    circles.add([call('{"code":"print(\'a\')\\nx=1"}')])
    assert (circles.found, circles.note) == (True, REPEATED)
    circles.add([call('{"code": "print(\'a\')\\nx=1"}'), call('{"code": "y = 2"}')])
    assert circles.found is False


def test_other_tools_other_code_and_no_calls_are_no_circle() -> None:
    """Names and arguments both count; a turn without calls is never one; broken JSON is compared as text."""
    circles = Circles()
    circles.add([call('{"queries": ["a"]}', "file_search")])
    for turn in ([call('{"queries": ["a"]}')], [call('{"queries": ["b"]}', "file_search")], []):
        circles.add(turn)
        assert circles.found is False
    circles.add([call('{"code": "cut off')])
    circles.add([call('{"code": "cut off')])
    assert circles.found is True


async def test_outputs_of_functions_get_the_note_too(tmp_path: Path) -> None:
    """Under the last one, for the model alone: the step shows what the client sent."""
    turns = [calls("add", {"a": 1}, {"a": 2}), {"text": "done"}]
    async with house(tmp_path, turns, settings=replace(FAST, nudges=True)) as home:
        waiting = await home.finish(await home.ask(tools=[FUNCTION]))
        _, after = await home.submit(waiting, {"call_2": "second", "call_1": "first"})
        await home.finish(waiting, after)
        step, _ = await home.steps(waiting)

    heard = [message.text for message in home.backend.requests[-1].messages[-2:]]
    assert ["first", f"second\n\n{ENOUGH}"] == heard
    assert "answer the user now" not in step.model_dump_json()
