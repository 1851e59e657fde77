"""The parser of tool calls finds what small models write, never depending on how the stream was cut."""

from dataclasses import dataclass
from typing import Any

import pytest

from local_assistants.backends.llama_cpp.calls.tool_calls import CallParser
from local_assistants.engine.chat import Delta, TextDelta, ToolCallDelta, ToolSchema

OBJECT: dict[str, Any] = {"type": "object", "properties": {}}
WEATHER = ToolSchema("get_weather", "The weather", OBJECT)
CODE: dict[str, Any] = {"type": "object", "properties": {"code": {"type": "string"}}}
PYTHON = ToolSchema("code_interpreter", "Runs Python", CODE, code_argument="code")
CALL = '{"name": "get_weather", "arguments": {"city": "Oslo"}}'
OSLO = ("get_weather", '{"city": "Oslo"}')


@dataclass(frozen=True)
class Heard:
    """What a turn came to."""

    text: str = ""
    calls: tuple[tuple[str, str], ...] = ()


def gather(deltas: list[Delta]) -> Heard:
    """Join the deltas of a turn."""
    text = "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))
    calls: dict[int, tuple[str, str]] = {}
    for delta in deltas:
        if isinstance(delta, ToolCallDelta):
            name, arguments = calls.get(delta.index, (delta.name or "", ""))
            calls[delta.index] = (name, arguments + delta.arguments)
    return Heard(text, tuple(calls.values()))


def parse(pieces: list[str], *, cut: bool = False, **options: Any) -> Heard:
    """Feed the pieces of a turn to a parser that knows both tools."""
    parser = CallParser((WEATHER, PYTHON), **options)
    deltas = [delta for piece in pieces for delta in parser.feed(piece)]
    return gather([*deltas, *parser.end(cut=cut)])


def every_split(text: str) -> list[list[str]]:
    """The text whole, in single characters, and cut in two at every place."""
    halves = [[text[:at], text[at:]] for at in range(1, len(text))]
    return [[text], list(text), *halves]


CASES: list[tuple[str, str, Heard]] = [
    ("plain text", "It is sunny.\n\nBye.", Heard("It is sunny.\n\nBye.")),
    ("white space is kept", "  a \n b\n", Heard("  a \n b\n")),
    ("bare", CALL, Heard(calls=(OSLO,))),
    ("bare after text", f"I will look.\n\n{CALL}", Heard("I will look.", (OSLO,))),
    ("tag", f"<tool_call>\n{CALL}\n</tool_call>", Heard(calls=(OSLO,))),
    ("other tag", f"<tools>{CALL}</tools>", Heard(calls=(OSLO,))),
    ("tag inside a line", f"Now <tool_call>{CALL}</tool_call>", Heard("Now", (OSLO,))),
    ("fence", f"```json\n{CALL}\n```", Heard(calls=(OSLO,))),
    ("fence without a language", f"```\n{CALL}\n```", Heard(calls=(OSLO,))),
    ("fence after text", f"Look:\n```json\n{CALL}\n```\n", Heard("Look:", (OSLO,))),
    ("fence around a tag", f"```xml\n<tool_call>\n{CALL}\n</tool_call>\n```", Heard(calls=(OSLO,))),
    (
        "tag around a fence",
        f"<tool_call>\n```json\n{CALL}\n```\n</tool_call>",
        Heard(calls=(OSLO,)),
    ),
    (
        "two tags",
        f"<tool_call>{CALL}</tool_call>\n<tool_call>{CALL}</tool_call>",
        Heard(calls=(OSLO, OSLO)),
    ),
    ("two lines", f"{CALL}\n{CALL}", Heard(calls=(OSLO, OSLO))),
    ("two fences", f"```json\n{CALL}\n```\n```json\n{CALL}\n```", Heard(calls=(OSLO, OSLO))),
    ("one fence for two", f"```json\n{CALL}\n{CALL}\n```", Heard(calls=(OSLO, OSLO))),
    ("a list", f"[{CALL}, {CALL}]", Heard(calls=(OSLO, OSLO))),
    ("a tagged list", f"[TOOL_CALLS][{CALL}]", Heard(calls=(OSLO,))),
    (
        "double braces",
        '{{"name": "get_weather", "arguments": {"city": "Oslo"}}}',
        Heard(calls=(OSLO,)),
    ),
    ("text after a call is dropped", f"{CALL}\nIt is 20 degrees.", Heard(calls=(OSLO,))),
    ("a fenced guess after a call is dropped", f"{CALL}\n```json\n{{}}\n```", Heard(calls=(OSLO,))),
    ("parameters", '{"name": "get_weather", "parameters": {"city": "Oslo"}}', Heard(calls=(OSLO,))),
    (
        "arguments first",
        '{"arguments": {"city": "Oslo"}, "name": "get_weather"}',
        Heard(calls=(OSLO,)),
    ),
    (
        "OpenAI's form",
        '{"type": "function", "function": {"name": "get_weather", "arguments": {"city": "Oslo"}}}',
        Heard(calls=(OSLO,)),
    ),
    ("the name as key", '{"get_weather": {"city": "Oslo"}}', Heard(calls=(OSLO,))),
    (
        "arguments as text",
        '{"name": "get_weather", "arguments": "{\\"city\\": \\"Oslo\\"}"}',
        Heard(calls=(OSLO,)),
    ),
    ("no arguments", '{"name": "get_weather"}', Heard(calls=(("get_weather", "{}"),))),
    (
        "code as the arguments",
        '{"name": "code_interpreter", "arguments": "print(1)"}',
        Heard(calls=(("code_interpreter", '{"code": "print(1)"}'),)),
    ),
    (
        "braces and quotes in strings",
        '{"name": "get_weather", "arguments": {"city": "}\\"{[", "n": {"a": [1, {}]}}}',
        Heard(calls=(("get_weather", '{"city": "}\\"{[", "n": {"a": [1, {}]}}'),)),
    ),
    (
        "a raw line break in a string",
        '{"name": "code_interpreter", "arguments": {"code": "a\nb"}}',
        Heard(calls=(("code_interpreter", '{"code": "a\\nb"}'),)),
    ),
    (
        "spread over lines",
        '{\n  "name": "get_weather",\n  "arguments": {\n    "city": "Oslo"\n  }\n}',
        Heard(calls=(("get_weather", '{\n    "city": "Oslo"\n  }'),)),
    ),
    (
        "non-ASCII",
        '{"name": "get_weather", "arguments": {"city": "Tromsø 🌧"}}',
        Heard(calls=(("get_weather", '{"city": "Tromsø 🌧"}'),)),
    ),
    (
        "a block of code",
        "Let me see.\n```python\nprint('hi')\nx = \"\\n\"\n```\n",
        Heard(
            "Let me see.", (("code_interpreter", '{"code": "print(\'hi\')\\nx = \\"\\\\n\\""}'),)
        ),
    ),
    (
        "a block of code, no end",
        "```py\nx = 1\n",
        Heard(calls=(("code_interpreter", '{"code": "x = 1"}'),)),
    ),
    (
        "a block of code, empty lines",
        "```python\n\n\nx\n\n\ny\n\n```",
        Heard(calls=(("code_interpreter", '{"code": "x\\n\\n\\ny"}'),)),
    ),
    ("empty block of code", "```python\n\n```\nfin", Heard("```python\n\n```\nfin")),
]
NO_CALLS = [
    ("a set", "The set {1, 2} has two elements."),
    ("a brace at the start", "{ is an opening brace."),
    ("a brace on a line", "So:\n{x | x > 0}\nis a set."),
    ("an unfinished brace", "So:\n{"),
    ("JSON", '```json\n{"city": "Oslo", "name": "Kari"}\n```\nas asked.'),
    ("bare JSON", '{"city": "Oslo"}'),
    ("a call of a tool there is not", '{"name": "rm", "arguments": {}}'),
    ("a name that goes on", '{"name": "get_weather_now", "arguments": {}}'),
    ("a person", '{"name": "Kari", "arguments": {"a": 1}}'),
    ("a call deep in JSON", f'{{\n"steps": [\n{CALL}\n]}}'),
    ("a call in a block of another language", f"```js\n{CALL}\n```"),
    ("a call inside a line", f"Write {CALL} to call."),
    ("code in another language", "```sql\nSELECT 1\n```\nDone."),
    ("code in a line", "Use ```python x``` or `{`."),
    ("an unfinished fence", "```"),
    ("an unfinished JSON fence", "```json\n"),
    ("an unfinished tag", "see <tool_ca"),
    ("a tag that holds no call", "<tool_call> is a tag."),
    ("a tag, a fence and no call", "<tool_call>\n```json\nno\n```\nso"),
    ("a link", "[a](http://b.example)\n[1, 2]\n[ ] todo"),
    ("a closing tag", "</tool_call> and <b>"),
    ("an object cut short", '{"name": "get_weather"'),
    ("not JSON", "{'name': 'get_weather'}"),
    ("a number for a name", '{"name": 5}'),
    ("back ticks", "`` ` ``` `"),
]


@pytest.mark.parametrize(
    ("text", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_every_split_gives_the_same_calls(text: str, expected: Heard) -> None:
    """Wherever the stream is cut, the same text and calls come out."""
    for pieces in every_split(text):
        assert parse(pieces) == expected, pieces


@pytest.mark.parametrize("text", [case[1] for case in NO_CALLS], ids=[case[0] for case in NO_CALLS])
def test_text_that_is_no_call_is_passed_on_whole(text: str) -> None:
    """Not a character is lost of what only looks like a call, wherever the stream is cut."""
    for pieces in every_split(text):
        assert parse(pieces) == Heard(text), pieces


def test_name_comes_first_and_arguments_stream() -> None:
    """The name is out as soon as the arguments begin, and each piece of them at once."""
    parser = CallParser((WEATHER,))
    heard = [
        parser.feed(piece)
        for piece in ('{"name": "get_w', 'eather", "arguments": {"ci', 'ty": "O', 'slo"}', "}")
    ]
    assert heard == [
        [],
        [ToolCallDelta(0, "get_weather"), ToolCallDelta(0, None, '{"ci')],
        [ToolCallDelta(0, None, 'ty": "O')],
        [ToolCallDelta(0, None, 'slo"}')],
        [],
    ]


def test_text_is_not_held_back_without_need() -> None:
    """Words are passed on as they come."""
    parser = CallParser((WEATHER,))
    assert [gather(parser.feed(piece)).text for piece in ("Hello", " there", ",")] == [
        "Hello",
        " there",
        ",",
    ]


def test_one_call_only_when_calls_may_not_be_parallel() -> None:
    """The parser is done with the first call."""
    parser = CallParser((WEATHER,), parallel=False)
    heard = gather(parser.feed(f"{CALL}\n{CALL}"))
    assert (heard.calls, parser.done) == ((OSLO,), True)


def test_code_that_ran_before_is_quoted_not_called() -> None:
    """A block equal to code of this conversation is text; a longer one is a new call."""
    again, longer = "```python\nx = 1\n```\nThat was it.", "```python\nx = 1\nprint(x)\n```"
    for pieces in every_split(again):
        assert parse(pieces, executed=["x = 1\n"]) == Heard(again)
    for pieces in every_split(longer):
        calls = (("code_interpreter", '{"code": "x = 1\\nprint(x)"}'),)
        assert parse(pieces, executed=["x = 1"]) == Heard(calls=calls)


@pytest.mark.parametrize(
    "text", ['{"name": "get_weather", "arguments": {"city": "Os', "```python\nprint(1"]
)
def test_call_cut_off_stays_open(text: str) -> None:
    """When tokens run out inside a call, its arguments are left as they are."""
    parser = CallParser((WEATHER, PYTHON))
    heard = gather([*parser.feed(text), *parser.end(cut=True)])
    assert heard.calls[0][1] in ('{"city": "Os', '{"code": "print(1')
    assert parser.calls == 0


def test_whole_arguments_make_a_whole_call() -> None:
    """A turn that ends before the outer brace still made its call."""
    parser = CallParser((WEATHER,))
    heard = gather([*parser.feed(CALL[:-1]), *parser.end(cut=True)])
    assert (heard.calls, parser.calls) == ((OSLO,), 1)


@pytest.mark.parametrize(
    ("text", "committed"),
    [
        ("<tool_call>{", True),
        ('{"name"', True),
        ('```json\n{"name"', True),
        ('{"nam', False),
        ('So:\n{"name"', False),
        ('So:\n{"name": "get_weather"', True),
        ('{"city"', False),
    ],
)
def test_grammar_takes_over_when_the_call_is_sure(text: str, committed: bool) -> None:
    """In a tag at once, at the start of a turn with the key, after text with the name of a tool."""
    parser = CallParser((WEATHER,))
    parser.feed(text)
    assert parser.committed == committed


@pytest.mark.parametrize(
    ("before", "piece", "at"),
    [
        ("", '{"', 0),
        ("", 'on\n{"', 3),
        ("```json\n", "\n{", 1),
        ("Set ", "{", None),
        ("", "x{", None),
        ("", "[{", 1),
    ],
)
def test_brace_of_a_possible_call_is_foreseen(before: str, piece: str, at: int | None) -> None:
    """The place of the brace inside the next piece is known before the piece is taken."""
    parser = CallParser((WEATHER,))
    parser.feed(before)
    braces = [brace.at for brace in parser.foresee(piece)]
    assert braces == ([] if at is None else [at])
