"""A turn that was broken off goes on from its tokens as if nothing had happened."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local_assistants.engine.chat import ChatRequest
from local_assistants.engine.errors import BackendFault
from tests.support.stage import Stage
from tests.support.toy_gguf import write_random_model, write_saying_model
from tests.support.turns import user
from tests.unit.backends.test_llama_cpp import CALL, CLOCK, PYTHON, WEATHER

HELLO = user("Hello")


@pytest.fixture
def babble(tmp_path: Path) -> Iterator[Stage]:
    """A model with random weights."""
    stage = Stage(write_random_model(tmp_path / "random.gguf"))
    yield stage
    stage.close()


ANSWER = {"type": "json_schema", "json_schema": {"name": "a", "schema": WEATHER.parameters}}
BABBLED: dict[str, dict[str, Any]] = {
    "speech": {"max_tokens": 40},
    "speech by chance": {"max_tokens": 40, "temperature": 1.0, "seed": 5},
    "stop strings": {"max_tokens": 60, "temperature": 1.0, "seed": 4, "stop": ("a", "e")},
    "forced": {"tools": (CLOCK, WEATHER), "forced_tool": "get_weather"},
    "forced by chance": {"tools": (WEATHER,), "forced_tool": "get_weather", "temperature": 1.0},
    "required": {"tools": (CLOCK, WEATHER), "tool_choice": "required", "max_tokens": 120},
    "schema": {"response_format": ANSWER, "temperature": 1.0, "seed": 3},
    "tools and schema": {"tools": (WEATHER,), "response_format": ANSWER, "max_tokens": 80},
}


@pytest.mark.parametrize("name", BABBLED)
def test_random_turns_go_on_from_every_token(babble: Stage, name: str) -> None:
    """Whatever is asked for, and with a seed too: the rest of the turn is what it would have been."""
    options: dict[str, Any] = {"temperature": 0, "seed": 1, **BABBLED[name]}
    request = ChatRequest((HELLO,), **options)
    _check_every_cut(babble, request)


TWO = ["<tool_", "call>\n{", *(piece.replace("{", "", 1) for piece in CALL[:1]), *CALL[1:]]
SAID: dict[str, list[str]] = {
    "a call": CALL,
    "after text": ["Let me see.\n\n", *CALL],
    "in a fence": ["```json\n{", CALL[0][1:], *CALL[1:], "\n``", "`\n"],
    "in a tag": [*TWO, "\n</tool", "_call>"],
    "a call going wrong": ['{"name', '": "get_weather", "arguments": {"city": "', "Paris", '"}}'],
    "no call": ["So:\n{", '"city"', ": 1}", " was ", "it"],
    "code": ["So:\n``", "`python\npri", "nt(1)\n\n", 'x = "\\n"\n', "```"],
    "a stop string": ["Hello ", "th", "er", "e ST", "OP ", "gone"],
}


@pytest.mark.parametrize("name", SAID)
def test_spoken_turns_go_on_from_every_token(tmp_path: Path, name: str) -> None:
    """Calls, code and stop strings are cut in two nowhere."""
    stage = Stage(write_saying_model(tmp_path / "s.gguf", SAID[name]))
    request = ChatRequest(
        (HELLO,), tools=(CLOCK, WEATHER, PYTHON), temperature=0, max_tokens=80, stop=("STOP",)
    )
    _check_every_cut(stage, request)
    stage.close()


def _check_every_cut(stage: Stage, request: ChatRequest) -> None:
    turn, prompt = stage.turn(request)
    whole = stage.go_on(turn, prompt)
    assert len(whole.tokens) > 2
    for cut in range(len(whole.tokens)):
        again, _ = stage.turn(request)
        again.replay(whole.tokens[:cut])
        rest = stage.go_on(again, prompt + whole.tokens[:cut])
        assert (rest.tokens, rest.deltas) == (whole.tokens[cut:], whole.deltas[cut:])
        assert (again.finished, again.answer()) == (turn.finished, turn.answer())


def test_finished_turn_can_be_replayed(tmp_path: Path) -> None:
    """All tokens of a turn put it at its end, with nothing left to send."""
    stage = Stage(write_saying_model(tmp_path / "s.gguf", CALL))
    request = ChatRequest((HELLO,), tools=(WEATHER,), temperature=0)
    turn, prompt = stage.turn(request)
    said = stage.go_on(turn, prompt)
    again, _ = stage.turn(request)
    again.replay(said.tokens)
    stage.close()
    assert (again.finished, again.answer()) == (turn.finished, turn.answer())
    assert again.finished is not None


def test_foreign_tokens_are_refused(babble: Stage) -> None:
    """Tokens that the grammar never allowed are an error, not a native abort."""
    request = ChatRequest((HELLO,), tools=(WEATHER,), forced_tool="get_weather", temperature=0)
    for tokens in ([65], [10**6], [-1]):
        turn, _ = babble.turn(request)
        with pytest.raises(BackendFault, match="replayed"):
            turn.replay(tokens)
