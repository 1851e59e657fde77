"""The names on the wire and the shapes of deltas."""

from typing import Any

import pytest

from local_assistants.engine import events
from local_assistants.engine.events import STREAM_END, EventName
from local_assistants.engine.objects import (
    Annotation,
    FileCitation,
    FilePath,
    FileSearchDetails,
    ImageOutput,
    LogsOutput,
)
from local_assistants.engine.states import RUN, MessageStatus, RunStatus, StepStatus


def test_there_are_25_names() -> None:
    """23 of threads, error and done."""
    assert 25 == len(EventName)
    assert {"error", "done"} == {name for name in EventName if not name.startswith("thread.")}


@pytest.mark.parametrize("status", RunStatus)
def test_every_run_status_has_its_event(status: RunStatus) -> None:
    """Named after the status."""
    assert f"thread.run.{status}" == events.run_event(status)


@pytest.mark.parametrize("status", StepStatus)
def test_every_step_status_has_its_event(status: StepStatus) -> None:
    """Named after the status."""
    assert f"thread.run.step.{status}" == events.step_event(status)


@pytest.mark.parametrize("status", MessageStatus)
def test_every_message_status_has_its_event(status: MessageStatus) -> None:
    """Named after the status."""
    assert f"thread.message.{status}" == events.message_event(status)


def test_a_stream_ends_when_the_run_is_over_or_waits() -> None:
    """The final statuses and requires_action, nothing else."""
    ends = {events.run_event(status) for status in RunStatus if RUN.is_final(status)}
    assert ends | {EventName.RUN_REQUIRES_ACTION} == STREAM_END


def test_text_shows_annotations_only_where_given() -> None:
    """The first fragment has an empty list, later ones no such key."""
    first: dict[str, Any] = {
        "index": 0,
        "type": "text",
        "text": {"value": "a", "annotations": []},
    }
    later = {"index": 0, "type": "text", "text": {"value": "b"}}

    assert first == events.text_part(0, "a", [])
    assert later == events.text_part(0, "b")


def test_an_annotation_is_sent_whole() -> None:
    """With index, text, offsets and its target, and no key of the other kind."""
    citation = Annotation(
        index=2,
        type="file_citation",
        text="【0:0†a.txt】",
        start_index=3,
        end_index=12,
        file_citation=FileCitation(file_id="file-1", quote=""),
    )
    link = Annotation(
        type="file_path",
        text="sandbox:/x",
        start_index=0,
        end_index=10,
        file_path=FilePath(file_id="f"),
    )

    part = events.text_part(1, "【0:0†a.txt】", [citation, link])

    assert [
        {
            "index": 2,
            "type": "file_citation",
            "text": "【0:0†a.txt】",
            "start_index": 3,
            "end_index": 12,
            "file_citation": {"file_id": "file-1", "quote": ""},
        },
        {
            "type": "file_path",
            "text": "sandbox:/x",
            "start_index": 0,
            "end_index": 10,
            "file_path": {"file_id": "f"},
        },
    ] == part["text"]["annotations"]


DELTAS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        events.function_header(1, "call_1", "add"),
        {
            "index": 1,
            "id": "call_1",
            "type": "function",
            "function": {"name": "add", "arguments": "", "output": None},
        },
    ),
    (
        events.function_arguments(1, '{"a'),
        {"index": 1, "type": "function", "function": {"arguments": '{"a'}},
    ),
    (
        events.code_header(0, "call_1"),
        {
            "index": 0,
            "id": "call_1",
            "type": "code_interpreter",
            "code_interpreter": {"input": "", "outputs": []},
        },
    ),
    (
        events.code_input(0, "1+"),
        {"index": 0, "type": "code_interpreter", "code_interpreter": {"input": "1+"}},
    ),
    (
        events.code_output(0, LogsOutput(index=0, logs="2")),
        {
            "index": 0,
            "type": "code_interpreter",
            "code_interpreter": {"outputs": [{"index": 0, "type": "logs", "logs": "2"}]},
        },
    ),
    (
        events.code_output(0, ImageOutput(index=1, image=FilePath(file_id="file-1"))),
        {
            "index": 0,
            "type": "code_interpreter",
            "code_interpreter": {
                "outputs": [{"index": 1, "type": "image", "image": {"file_id": "file-1"}}]
            },
        },
    ),
    (
        events.search_header(0, "call_1", FileSearchDetails()),
        {
            "index": 0,
            "id": "call_1",
            "type": "file_search",
            "file_search": {
                "ranking_options": {"ranker": "default_2024_08_21", "score_threshold": 0.0},
                "results": [],
            },
        },
    ),
    (
        events.image_part(0, "file-1"),
        {"index": 0, "type": "image_file", "image_file": {"file_id": "file-1"}},
    ),
]


@pytest.mark.parametrize(("made", "expected"), DELTAS)
def test_delta_parts_have_the_contracts_shape(
    made: dict[str, Any], expected: dict[str, Any]
) -> None:
    """An integer index always, id and name only in headers, and no key besides."""
    assert expected == made


def test_deltas_are_wrapped_with_the_id_of_their_object() -> None:
    """The two objects that carry parts."""
    assert {
        "id": "msg_1",
        "object": "thread.message.delta",
        "delta": {"content": [{"index": 0}]},
    } == events.message_delta("msg_1", {"index": 0})
    assert {
        "id": "step_1",
        "object": "thread.run.step.delta",
        "delta": {"step_details": {"type": "tool_calls", "tool_calls": [{"index": 0}]}},
    } == events.step_delta("step_1", {"index": 0})
