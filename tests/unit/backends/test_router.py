"""Answers in words as one more function, for models that would always call something."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from local_assistants.backends.llama_cpp.dialects.forms import reply_tool
from local_assistants.engine.chat import ChatRequest, ToolCallDelta, ToolSchema
from tests.support.stage import Stage
from tests.support.toy_gguf import write_random_model, write_saying_model
from tests.support.turns import Turn as Heard
from tests.support.turns import texts, tool, user
from tests.unit.backends.test_llama_cpp import CALL, CLOCK, PYTHON, ROME, WEATHER

ASK = ChatRequest((user("Hi"),), tools=(CLOCK, WEATHER), temperature=0, session="a")
WORDS = [
    '{"name": "respond", ',
    '"arguments": {"mess',
    'age": "',
    "Hello",
    ' \\"you',
    '\\" ',
    "é\\n!",
    '"}}',
]
SAID = 'Hello "you" é\n!'


def say(path: Path, pieces: list[str], request: ChatRequest = ASK) -> Heard:
    """What comes of a model that says these pieces, the router on."""
    stage = Stage(write_saying_model(path / "says.gguf", pieces), router=True)
    turn, prompt = stage.turn(request)
    said = stage.go_on(turn, prompt)
    stage.close()
    return Heard(tuple(delta for step in said.deltas for delta in step))


def test_answer_in_words_is_text_piece_by_piece(tmp_path: Path) -> None:
    """The message of the pseudo tool streams as text; no call and none of its wrapping is heard."""
    said = say(tmp_path, WORDS)
    assert (said.text, said.calls, said.reason) == (SAID, [], "stop")
    assert len(texts(said.deltas)) >= 4


def test_call_of_a_tool_is_a_call(tmp_path: Path) -> None:
    """The other functions work as ever."""
    said = say(tmp_path, [*CALL, ", "])
    assert (said.calls, said.text, said.reason) == (ROME, "", "tool_calls")


def test_words_behind_a_call_are_dropped(tmp_path: Path) -> None:
    """An answer in words after a call would be a guess at the result."""
    said = say(tmp_path, [*CALL, " \n", *WORDS])
    assert (said.calls, said.text, said.reason) == (ROME, "", "tool_calls")


def test_every_random_turn_answers_or_calls(tmp_path: Path) -> None:
    """With random weights a turn is text or calls that fit, never a call of the pseudo tool."""
    stage = Stage(write_random_model(tmp_path / "r.gguf"), router=True)
    kinds: set[str] = set()
    for seed in range(12):
        turn, prompt = stage.turn(replace(ASK, temperature=1.0, seed=seed, max_tokens=300))
        steps = stage.go_on(turn, prompt, most=300).deltas
        deltas = tuple(delta for step in steps for delta in step)
        said = Heard(deltas)
        names = {delta.name for delta in deltas if isinstance(delta, ToolCallDelta) and delta.name}
        kinds |= names or {"words"}
        assert names <= {"get_weather", "get_time"}
        assert not (said.text and names)
        complete = said.calls if said.reason == "tool_calls" else []
        assert all(isinstance(json.loads(arguments), dict) for _, arguments in complete)
    stage.close()
    assert "words" in kinds
    assert len(kinds) > 1


def test_cut_off_words_end_as_length(tmp_path: Path) -> None:
    """What was said before the limit is text."""
    said = say(tmp_path, WORDS, replace(ASK, max_tokens=5))
    assert (said.text, said.reason) == ('Hello "you', "length")


def test_stop_strings_work_inside_the_message(tmp_path: Path) -> None:
    """They are looked for in the text, not in its wrapping."""
    said = say(tmp_path, WORDS, replace(ASK, stop=("you", "name")))
    assert (said.text, said.reason) == ('Hello "', "stop")


def test_demanded_calls_cannot_be_words(tmp_path: Path) -> None:
    """tool_choice required means one of the tools."""
    said = say(tmp_path, WORDS, replace(ASK, tool_choice="required", max_tokens=60))
    assert said.text == ""
    assert {name for name, _ in said.calls} <= {"get_weather", "get_time"}


def test_after_a_tools_output_the_model_may_speak_freely(tmp_path: Path) -> None:
    """Plain text, a block of code and the pseudo tool all work then."""
    call = Heard((ToolCallDelta(0, "get_time", "{}"),)).message
    later = replace(ASK, messages=(*ASK.messages, call, tool("12:00")), tools=(CLOCK, PYTHON))
    assert say(tmp_path, ["It is ", "noon."], later).text == "It is noon."
    assert say(tmp_path, WORDS, later).text == SAID
    block = say(tmp_path, ["```python\n", "print(1)\n", "```"], later)
    assert block.calls == [("code_interpreter", '{"code": "print(1)"}')]


def test_prompts_only_grow(tmp_path: Path) -> None:
    """The next turn's prompt begins with this one's and its answer, and the list of tools stays what it was."""
    stage = Stage(write_saying_model(tmp_path / "s.gguf", WORDS), router=True)
    turn, prompt = stage.turn(ASK)
    steps = stage.go_on(turn, prompt)
    said = Heard(tuple(delta for step in steps.deltas for delta in step))
    stage.remember(ASK, turn)
    messages = (*ASK.messages, said.message, user("And now?"))
    for choice in ("auto", "required"):
        options: dict[str, Any] = {"messages": messages, "tool_choice": choice}
        _, following = stage.turn(replace(ASK, **options))
        assert following[: len(prompt) + len(steps.tokens)] == [*prompt, *steps.tokens]
    stage.close()


def test_without_tools_there_is_no_router(tmp_path: Path) -> None:
    """Where nothing can be called there is nothing to choose."""
    assert say(tmp_path, ["Good ", "day"], replace(ASK, tools=())).text == "Good day"


def test_code_alone_needs_no_router(tmp_path: Path) -> None:
    """A model with nothing but the interpreter speaks or opens a block, which suits its code better than JSON."""
    block = ["So:\n", "```python\n", "print(1)\n", "```"]
    said = say(tmp_path, block, replace(ASK, tools=(PYTHON,)))
    assert (said.text, said.calls) == ("So:", [("code_interpreter", '{"code": "print(1)"}')])


def test_pseudo_tool_gives_way_to_a_tool_of_its_name() -> None:
    """Whatever the tools are called, its name is another one."""
    taken = tuple(
        ToolSchema(name, "", {}) for name in ("respond", "respond_to_user", "answer_in_words")
    )
    names = [reply_tool(taken[:count]).name for count in range(4)]
    assert len(set(names)) == 4
    assert all(
        name not in {tool.name for tool in taken[:count]} for count, name in enumerate(names)
    )
