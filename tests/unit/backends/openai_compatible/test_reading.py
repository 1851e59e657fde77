"""Answers become deltas, whatever the habits of the server."""

import json
from typing import Any

import pytest

from local_assistants.backends.openai_compatible.faults import TryAgain
from local_assistants.backends.openai_compatible.reading import AnswerReader, ServerUsage
from local_assistants.backends.openai_compatible.sse import Event
from local_assistants.engine.chat import Delta, Finish, TextDelta, ToolCallDelta
from local_assistants.engine.errors import BackendFault, ContextOverflow
from tests.support.chat_server import counts, delta, finish
from tests.support.turns import Turn

STOP = finish("stop")


def read(*chunks: object, parallel: bool = True) -> Turn:
    """The deltas of a whole answer."""
    reader = AnswerReader(parallel=parallel)
    deltas: list[Delta] = []
    for chunk in chunks:
        text = chunk if isinstance(chunk, str) else json.dumps(chunk)
        deltas += reader.read(Event(text))
    rest, reason = reader.end()
    return Turn((*deltas, *rest, Finish(reason)))


def call(**fields: Any) -> dict[str, Any]:
    """A chunk with one fragment of a call: `name` and `arguments` belong to its function."""
    function = {key: fields.pop(key) for key in ("name", "arguments") if key in fields}
    return delta(tool_calls=[{**fields, "function": function}])


def test_text_comes_as_it_was_cut() -> None:
    """Role, empty and null contents are nothing; lists of parts are their text."""
    parts = [{"type": "text", "text": "c"}, {"type": "thinking", "thinking": "hmm"}]
    turn = read(
        delta(role="assistant", content=None),
        delta(content=""),
        delta(content="a "),
        delta(content="b "),
        delta(content=parts),
        STOP,
    )
    assert (TextDelta("a "), TextDelta("b "), TextDelta("c"), Finish("stop")) == turn.deltas


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning", "thinking"])
def test_thoughts_are_not_part_of_the_text(key: str) -> None:
    """They only show that the model is at work."""
    reader = AnswerReader(parallel=True)
    heard = reader.read(Event(json.dumps(delta(**{key: "hmm", "content": ""}))))
    assert ([], True) == (heard, reader.begun)


def test_a_character_in_two_halves_is_put_together() -> None:
    """In the text and in the arguments of a call."""
    turn = read(
        '{"choices": [{"delta": {"content": "a\\ud83d"}}]}',
        '{"choices": [{"delta": {"content": "\\ude00b"}}]}',
        call(index=0, name="f", arguments='{"x": "\ud83d'),
        call(index=0, arguments='\ude00"}'),
    )
    assert ("a😀b", [("f", '{"x": "😀"}')]) == (turn.text, turn.calls)


def test_half_a_character_alone_is_replaced() -> None:
    """In the middle and at the end; what comes out can be encoded."""
    turn = read(delta(content="a\udc00b\ud83d"), STOP)
    assert "a\ufffdb\ufffd" == turn.text


# --- calls -----------------------------------------------------------------------------------------

CALLS = [("f", '{"x": 1}'), ("g", '{"y": 2}')]


@pytest.mark.parametrize(
    "chunks",
    [
        [
            call(index=0, id="a", name="f", arguments=""),
            call(index=0, arguments='{"x": '),
            call(index=0, arguments="1}"),
            call(index=1, id="b", name="g", arguments=""),
            call(index=1, arguments='{"y": 2}'),
        ],
        [
            call(id="a", name="f", arguments='{"x"'),
            call(arguments=": 1}"),
            call(id="b", name="g", arguments='{"y"'),
            call(arguments=": 2}"),
        ],
        [
            call(id="a", name="f", arguments='{"x"'),
            call(id="a", arguments=": 1}"),
            call(id="b", name="g", arguments='{"y": 2}'),
        ],
        [call(name="f", arguments='{"x": 1}'), call(name="g", arguments='{"y": 2}')],
        [
            call(index=0, id="a", name="f", arguments='{"x": 1}'),
            call(index=0, id="b", name="g", arguments='{"y": 2}'),
        ],
        [call(index=0, name="f", arguments={"x": 1}), call(index=1, name="g", arguments={"y": 2})],
        [
            call(index=0, id="a", arguments='{"x": '),
            call(index=0, id="a", name="f", arguments="1}"),
            call(index=3, name="g", arguments=None),
            call(index=3, name="g", arguments='{"y": 2}'),
        ],
        [
            delta(
                tool_calls=[
                    {"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x": 1}'}},
                    {"index": 1, "id": "b", "function": {"name": "g", "arguments": '{"y": 2}'}},
                ]
            )
        ],
        [
            {
                "choices": [
                    {
                        "message": {
                            "tool_calls": [
                                {"id": "a", "function": {"name": "f", "arguments": '{"x": 1}'}},
                                {"id": "b", "function": {"name": "g", "arguments": '{"y": 2}'}},
                            ]
                        }
                    }
                ]
            }
        ],
    ],
    ids=[
        "as they should be",
        "no index",
        "no index, id repeated",
        "neither index nor id",
        "all with index 0",
        "arguments as object",
        "name late and repeated",
        "whole in one chunk",
        "as a message",
    ],
)
def test_two_calls(chunks: list[dict[str, Any]]) -> None:
    """In every form that servers give them: the name first, the fragments joining to the arguments."""
    turn = read(*chunks, finish("tool_calls"))
    firsts = {d.index: d for d in reversed(turn.deltas) if isinstance(d, ToolCallDelta)}
    assert (CALLS, "tool_calls") == (turn.calls, turn.reason)
    assert ["f", "g"] == [firsts[0].name, firsts[1].name]
    assert 2 == sum(isinstance(d, ToolCallDelta) and d.name is not None for d in turn.deltas)


def test_the_form_before_there_were_tools() -> None:
    """A function_call is call 0."""
    turn = read(
        delta(function_call={"name": "f", "arguments": ""}),
        delta(function_call={"arguments": '{"x": 1}'}),
        finish("function_call"),
    )
    assert (CALLS[:1], "tool_calls") == (turn.calls, turn.reason)


def test_no_arguments_are_an_empty_object() -> None:
    """Which is what a function without parameters takes."""
    turn = read(call(index=0, name="f"), call(index=1, name="g", arguments=" "), STOP)
    assert [("f", "{}"), ("g", " {}")] == turn.calls


def test_only_the_first_call_where_one_is_allowed() -> None:
    """llama-server makes more all the same."""
    chunks = [call(index=0, name="f", arguments='{"x": 1}'), call(index=1, name="g")]
    turn = read(*chunks, finish("tool_calls"), parallel=False)
    assert (CALLS[:1], "tool_calls") == (turn.calls, turn.reason)


def test_a_call_that_is_never_named_is_a_fault() -> None:
    """Nobody could run it."""
    with pytest.raises(BackendFault, match="without a name"):
        read(call(index=0, arguments="{}"), STOP)


def test_calls_without_end_are_a_fault() -> None:
    """Each one would be kept."""
    with pytest.raises(BackendFault, match="more than 128 calls"):
        read(*(call(index=i, name="f") for i in range(129)))


# --- ends ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("stop", "stop"),
        ("eos", "stop"),
        ("end_turn", "stop"),
        ("tool_calls", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("model_length", "length"),
    ],
)
def test_reasons_of_an_answer_in_words(given: str, reason: str) -> None:
    """Unknown ones are a normal end, and an answer without calls did not end by one."""
    assert reason == read(delta(content="a"), finish(given)).reason


@pytest.mark.parametrize(("given", "reason"), [("stop", "tool_calls"), ("length", "length")])
def test_reasons_of_an_answer_that_calls(given: str, reason: str) -> None:
    """Some servers say stop; a call that was cut off is told apart."""
    assert reason == read(call(index=0, name="f", arguments="{}"), finish(given)).reason


def test_done_is_an_end_without_a_reason() -> None:
    """Some servers give none."""
    assert "stop" == read(delta(content="a"), "[DONE]").reason


def test_nothing_after_done_belongs_to_the_answer() -> None:
    """A server that goes on talking is not heard."""
    assert "a" == read(delta(content="a"), "[DONE]", delta(content="EXTRA")).text


@pytest.mark.parametrize("reason", ["content_filter", "abort", "error"])
def test_an_answer_that_the_server_broke_off_is_a_fault(reason: str) -> None:
    """It is not passed for a whole one."""
    with pytest.raises(BackendFault, match=reason):
        read(delta(content="a"), finish(reason))


# --- usage -----------------------------------------------------------------------------------------


def usage_of(*chunks: object) -> ServerUsage | None:
    """The counts of an answer."""
    reader = AnswerReader(parallel=True)
    for chunk in chunks:
        reader.read(Event(json.dumps(chunk)))
    return reader.usage


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 7, "completion_tokens": 3}, ServerUsage(7, 3, 0)),
        (
            {
                "prompt_tokens": 7,
                "completion_tokens": 3,
                "prompt_tokens_details": {"cached_tokens": 5},
            },
            ServerUsage(7, 3, 5),
        ),
        (
            {
                "prompt_tokens": 7,
                "completion_tokens": 3,
                "prompt_tokens_details": {"cached_tokens": 9},
            },
            ServerUsage(7, 3, 7),
        ),
        (
            {"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": None},
            ServerUsage(7, 3, 0),
        ),
        ({"prompt_tokens": -7, "completion_tokens": 3}, None),
        ({"prompt_tokens": "7", "completion_tokens": 3}, None),
        ({"prompt_tokens": True, "completion_tokens": 3}, None),
        ({"prompt_tokens": 10**30, "completion_tokens": 3}, None),
        ({"prompt_tokens": 7}, None),
        ({}, None),
    ],
)
def test_counts_are_taken_when_they_are_counts(
    usage: dict[str, Any], expected: ServerUsage | None
) -> None:
    """From the chunk without choices, cached tokens never more than the prompt."""
    assert expected == usage_of(delta(content="a"), STOP, counts(usage))


def test_the_last_counts_hold() -> None:
    """Some servers send them with every chunk, and null in between."""
    first = delta(content="a") | {"usage": {"prompt_tokens": 7, "completion_tokens": 1}}
    last = STOP | {"usage": {"prompt_tokens": 7, "completion_tokens": 2}}
    assert ServerUsage(7, 2, 0) == usage_of(first, last, delta() | {"usage": None})


# --- what is no answer -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    ["no json", "", "[1]", '"text"', "17", "[" * 100_000, "1" * 5000, '{"a": ' * 50_000],
)
def test_what_is_no_json_object_is_a_fault(data: str) -> None:
    """Also when it is nested so deeply that it cannot be read, or too long a number."""
    with pytest.raises(BackendFault, match="no JSON object"):
        read(data)


@pytest.mark.parametrize(
    "chunk",
    [
        {"choices": "x"},
        {"choices": [7]},
        {"choices": [{"delta": "x"}]},
        {"choices": [{"delta": {"content": 7, "tool_calls": {"a": 1}}}]},
        {"choices": [{"delta": {"tool_calls": [None, 5]}}]},
        {"choices": None, "usage": [1]},
    ],
)
def test_wrong_shapes_say_nothing(chunk: dict[str, Any]) -> None:
    """None of them is taken for text, and a fragment of nothing is no call that could be run."""
    reader = AnswerReader(parallel=True)
    assert [] == reader.read(Event(json.dumps(chunk)))


@pytest.mark.parametrize(
    "error",
    [
        {"error": {"code": 400, "message": "it burns", "type": "x"}},
        {"error": "it burns"},
        {"error": {"message": "it\nburns"}},
        {"object": "error", "error": {"message": "it burns"}},
    ],
)
def test_an_error_in_the_stream_is_a_fault(error: dict[str, Any]) -> None:
    """In each of its forms, with the server's words."""
    with pytest.raises(BackendFault, match="it burns"):
        read(delta(content="a"), error)


def test_an_error_that_passes_may_be_tried_again() -> None:
    """By its code; one that means that the server is down leaves it out."""
    with pytest.raises(TryAgain, match="loading") as caught:
        read({"error": {"code": 503, "message": "loading"}})
    assert caught.value.down


def test_overflow_in_the_stream_is_overflow() -> None:
    """LM Studio finds out after it has begun to answer."""
    message = "Trying to keep the first 5000 tokens when context the overflows. However, ..."
    with pytest.raises(ContextOverflow, match="does not fit"):
        read({"error": {"message": message}})


def test_an_event_that_is_called_an_error_is_one() -> None:
    """Also when its data has another form."""
    reader = AnswerReader(parallel=True)
    with pytest.raises(BackendFault, match="it burns"):
        reader.read(Event('{"message": "it burns"}', is_error=True))
