"""Tool calls in every family's own form: demanded, made by the model itself, and in the history."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local_assistants.backends.llama_cpp.template import ChatTemplate
from local_assistants.engine.chat import ChatMessage, ChatRequest, Delta, TextDelta, ToolCall
from tests.support import chat_templates
from tests.support.stage import Stage
from tests.support.toy_gguf import write_random_model, write_saying_model
from tests.support.turns import Turn as Heard
from tests.support.turns import tool, user
from tests.unit.backends.test_llama_cpp import CLOCK, PYTHON, WEATHER

# The toys speak after a newline only.
TEMPLATES = {
    "hermes": chat_templates.HERMES,
    "llama": chat_templates.LLAMA,
    "mistral": chat_templates.MISTRAL.replace("[/INST]'", "[/INST]\\n'"),
    "mistral-named": chat_templates.MISTRAL_NAMED.replace("[/INST]'", "[/INST]\\n'"),
    "gemma": chat_templates.GEMMA,
    "generic": chat_templates.PLAIN,
}
HEADS = {
    "hermes": '<tool_call>\n{"name": "get_weather", "arguments":',
    "llama": '{"name": "get_weather", "parameters":',
    "mistral": '[TOOL_CALLS] [{"name": "get_weather", "arguments":',
    "mistral-named": "[TOOL_CALLS]get_weather[ARGS]",
    "gemma": '{"name": "get_weather", "parameters":',
    "generic": '{"name": "get_weather", "arguments":',
}
ASK = ChatRequest((user("Weather?"),), tools=(CLOCK, WEATHER), temperature=0, session="a")
FITTING = ("Oslo", "Rome")


def heard(deltas: list[list[Delta]]) -> Heard:
    """All that a turn sent."""
    return Heard(tuple(delta for step in deltas for delta in step))


def glued(pieces: list[str]) -> list[str]:
    """The pieces, single characters joined to what stands before them: those are tokens of every toy."""
    whole: list[str] = []
    for piece in pieces:
        if len(piece) == 1 and whole:
            whole[-1] += piece
        else:
            whole.append(piece)
    return whole


def say(path: Path, pieces: list[str], request: ChatRequest = ASK, **options: Any) -> Heard:
    """What comes of a model that says these pieces."""
    stage = Stage(write_saying_model(path / "says.gguf", glued(pieces), **options))
    turn, prompt = stage.turn(request)
    said = stage.go_on(turn, prompt)
    stage.close()
    return heard(said.deltas)


@pytest.fixture(params=sorted(TEMPLATES))
def family(request: pytest.FixtureRequest) -> str:
    """Each family of models."""
    return str(request.param)


@pytest.fixture
def babble(family: str, tmp_path: Path) -> Iterator[Stage]:
    """A model of the family, with random weights."""
    stage = Stage(write_random_model(tmp_path / "r.gguf", template=TEMPLATES[family]))
    yield stage
    stage.close()


# --- found and demanded --------------------------------------------------------------------------------


def test_dialect_is_found_from_the_template(family: str) -> None:
    """By what the template makes of a call."""
    assert ChatTemplate(TEMPLATES[family], bos="<s>", eos="</s>").dialect.name == family


def test_forced_call_is_put_into_the_models_mouth(babble: Stage, family: str) -> None:
    """The prompt ends with the head of a call in the dialect; the model writes arguments that fit."""
    for seed in range(3):
        request = replace(ASK, forced_tool="get_weather", temperature=1.0, seed=seed)
        turn, prompt = babble.turn(request)
        said = heard(babble.go_on(turn, prompt, most=600).deltas)
        [(name, arguments)] = said.calls
        assert babble.text(prompt).endswith(HEADS[family])
        assert (name, said.reason, said.text) == ("get_weather", "tool_calls", "")
        assert json.loads(arguments)["city"] in FITTING


def test_required_call_is_written_in_the_dialect(babble: Stage, family: str) -> None:
    """From the first token on; random models, too, make a call that fits, and nothing of it is text."""
    heads = {HEADS[family], HEADS[family].replace("get_weather", "get_time")}
    if family == "hermes":
        heads |= {head.removeprefix("<tool_call>\n") for head in heads}
    for seed in range(4):
        request = replace(
            ASK, tool_choice="required", temperature=1.0, seed=seed, parallel_tool_calls=False
        )
        turn, prompt = babble.turn(request)
        steps = babble.go_on(turn, prompt, most=600)
        said = heard(steps.deltas)
        [(name, arguments)] = said.calls
        written = "".join(babble.text(steps.tokens).split()).replace("parameters", "arguments")
        starts = {"".join(head.split()).replace("parameters", "arguments") for head in heads}
        assert any(written.startswith(start) for start in starts)
        assert (said.reason, said.text) == ("tool_calls", "")
        assert json.loads(arguments) == {} if name == "get_time" else "city" in arguments


# --- made by the model -------------------------------------------------------------------------------

OSLO = '{"city": "Oslo"}'
SAID: dict[str, list[str]] = {
    "hermes": ["<tool_call>", '\n{"name": "get_weather", ', '"arguments": ', OSLO + "}", "\n</tool_call>"],
    "llama": ["<|python_tag|>", '{"name": "get_weather", "para', 'meters": ', OSLO, "}"],
    "llama bare": ['{"name": "get_weather", "para', 'meters": ', OSLO, "}"],
    "llama function": ["<function=", "get_weather", ">", OSLO, "</function>"],
    "mistral": ["[TOOL_CALLS]", ' [{"name": "get_weather", ', '"arguments": ', OSLO, "}]"],
    "mistral-named": ["[TOOL_CALLS]", "get_weather", "[ARGS]", OSLO],
    "mistral-named with id": ["[TOOL_CALLS]", "get_weather", "[CALL_ID]", "a1b2c3d4e", "[ARGS]", OSLO],
    "gemma": ["```tool_code\n", '{"name": "get_weather", ', '"parameters": ', OSLO, "}", "\n```"],
    "generic": ["```json\n", '{"name": "get_weather", ', '"arguments": ', OSLO, "}", "\n``` "],
    "openai": ['{"type": "function", "function": {"name": "get_', 'weather", "arguments": ', OSLO, "}} "],
    "arguments first": ['{"arguments": ', OSLO, ', "name": "get_weather"', "}"],
    "name as key": ['{"get_weather": ', OSLO, "}"],
}  # fmt: skip


@pytest.mark.parametrize("form", SAID)
@pytest.mark.parametrize("controls", [False, True], ids=["plain", "control"])
def test_call_of_the_models_own_is_found(tmp_path: Path, form: str, controls: bool) -> None:
    """In every form, tags being control tokens or not; nothing of it is heard as text."""
    family = form.split()[0] if form.split()[0] in TEMPLATES else "generic"
    tags = [
        piece for piece in SAID[form] if piece[0] in "<[" and piece[-1] in ">]" and "{" not in piece
    ]
    said = say(tmp_path, SAID[form], template=TEMPLATES[family], controls=tags if controls else ())
    assert (said.calls, said.text, said.reason) == ([("get_weather", OSLO)], "", "tool_calls")


@pytest.mark.parametrize("form", SAID)
def test_arguments_that_do_not_fit_are_put_right_or_no_call(tmp_path: Path, form: str) -> None:
    """A city that the schema does not know never gets out as an argument, whatever the form."""
    family = form.split()[0] if form.split()[0] in TEMPLATES else "generic"
    pieces = [part for piece in SAID[form] for part in piece.split("Oslo")]
    at = next(index for index, piece in enumerate(pieces) if piece.endswith('"city": "'))
    wrong = [*pieces[: at + 1], "Paris", *pieces[at + 1 :]]
    said = say(tmp_path, wrong, replace(ASK, max_tokens=120), template=TEMPLATES[family])
    cities = [city for _, text in said.calls for city in re.findall(r'"city":\s*"([^"]*)"', text)]
    assert set(cities) <= set(FITTING)
    assert cities or form in ("arguments first", "name as key", "openai")


def test_unknown_name_behind_a_tag_is_put_right(tmp_path: Path) -> None:
    """Where a name must follow it is one of the tools' names."""
    pieces = ["[TOOL_CALLS]", "rm", "[ARGS]", "{}"]
    request = replace(ASK, max_tokens=60)
    said = say(tmp_path, pieces, request, template=TEMPLATES["mistral-named"])
    assert {name for name, _ in said.calls} <= {"get_weather", "get_time"}
    assert "[" not in said.text


def test_calls_of_a_list_have_indices_of_their_own(tmp_path: Path) -> None:
    """Several calls in one turn are told apart, and their arguments come in fragments."""
    pieces = [
        "[TOOL_CALLS]",
        ' [{"name": "get_weather", "arguments": {"city": "Os',
        'lo"}}',
        ', {"name": ',
    ]
    pieces += ['"get_weather", "arguments": ', '{"city": "Ro', 'me"}', "}]"]
    said = say(tmp_path, pieces, template=TEMPLATES["mistral"])
    assert said.calls == [("get_weather", OSLO), ("get_weather", '{"city": "Rome"}')]
    assert [delta for delta in said.deltas if isinstance(delta, TextDelta)] == []
    assert sum(getattr(delta, "index", None) == 1 for delta in said.deltas) > 2


def test_python_behind_its_tag_is_a_call_of_the_interpreter(tmp_path: Path) -> None:
    """Llama writes code bare behind the tag, up to the end."""
    pieces = ["<|python_tag|>", "import math\n", "print(math.pi)", " \n "]
    request = replace(ASK, tools=(CLOCK, PYTHON))
    said = say(tmp_path, pieces, request, template=TEMPLATES["llama"], controls=pieces[:1])
    assert said.calls == [("code_interpreter", '{"code": "import math\\nprint(math.pi)"}')]


def test_forced_code_is_a_block(tmp_path: Path) -> None:
    """Nothing of the code has to be escaped by the model; the call holds it as JSON all the same."""
    pieces = ["print(", '"a\\n', 'b")', "\n", "```", "\nThat prints"]
    request = replace(ASK, tools=(CLOCK, PYTHON), forced_tool="code_interpreter")
    said = say(tmp_path, pieces, request, template=TEMPLATES["hermes"])
    assert said.calls == [("code_interpreter", json.dumps({"code": 'print("a\\nb")'}))]
    assert (said.text, said.reason) == ("", "tool_calls")


def test_forced_code_with_more_arguments_is_json(babble: Stage) -> None:
    """A block would leave out the other arguments."""
    parameters = {**PYTHON.parameters, "properties": {"code": {"type": "string"}, "x": {}}}
    request = replace(
        ASK, tools=(replace(PYTHON, parameters=parameters),), forced_tool="code_interpreter"
    )
    _, prompt = babble.turn(request)
    assert "```python" not in babble.text(prompt)[-40:]


# --- history -----------------------------------------------------------------------------------------


def test_next_prompt_goes_on_from_the_call_token_by_token(tmp_path: Path, family: str) -> None:
    """With the tool's output behind it, whether the call was forced, demanded or made by the model itself."""
    pieces = SAID[family]
    stage = Stage(
        write_saying_model(tmp_path / "s.gguf", glued(pieces), template=TEMPLATES[family])
    )
    for options in ({}, {"tool_choice": "required"}, {"forced_tool": "get_weather"}):
        request = replace(ASK, parallel_tool_calls=False, **options)  # type: ignore[arg-type]
        turn, prompt = stage.turn(request)
        said = heard(stage.go_on(turn, prompt).deltas)
        stage.remember(request, turn)
        messages = (*request.messages, said.message, tool("Sunny"))
        _, following = stage.turn(replace(ASK, messages=messages))
        head = HEADS[family] if "forced_tool" in options else ""
        written = stage.text(prompt).removesuffix(head) + stage.text(turn.answer()[1])
        assert following[: len(prompt)] == prompt
        assert stage.text(following).startswith(written)
        assert "Sunny" in stage.text(following)[len(written) :]
    stage.close()


def test_calls_of_others_are_written_as_the_template_has_them(family: str) -> None:
    """Two calls and their results, ids of any length, in the template's own words, and nothing lost."""
    calls = tuple(
        ToolCall(
            id=f"call_{city}_and_more", name="get_weather", arguments=json.dumps({"city": city})
        )
        for city in FITTING
    )
    results = [tool(f"{city} is fine", call=f"call_{city}_and_more") for city in FITTING]
    answer = ChatMessage(role="assistant", content="", tool_calls=calls)
    request = replace(ASK, messages=(*ASK.messages, answer, *results))
    stage_text = _written(family, request)
    assert [stage_text.count(f'"city": "{city}"') for city in FITTING] == [1, 1]
    assert [f"{city} is fine" in stage_text for city in FITTING] == [True, True]


def _written(family: str, request: ChatRequest) -> str:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(write_random_model(Path(folder) / "r.gguf", template=TEMPLATES[family]))
        _, prompt = stage.turn(request)
        text = stage.text(prompt)
        stage.close()
    return text


def test_instructions_stay_in_front(family: str) -> None:
    """Also where the template would move them along with the last question."""
    rules = ChatMessage(role="system", content="Be brief.")
    words = ChatMessage(role="assistant", content="Hello.")
    text = _written(family, replace(ASK, messages=(rules, user("One"), words, user("Two"))))
    assert text.count("Be brief.") == 1
    assert text.index("Be brief.") < text.index("One")
