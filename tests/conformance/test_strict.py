"""The strict parser itself: it must find what it is there to find, or the suite shows nothing."""

import json
from typing import Any

import pytest

from tests.conformance.clients.operations import OPERATIONS, operation_of
from tests.conformance.clients.reporting import Traffic
from tests.conformance.clients.strict import Strict, event_types

JSON = "application/json"
SSE = "text/event-stream; charset=utf-8"
PATH = "/v1/threads/thread_1/messages/msg_1"
MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "object": "thread.message",
    "created_at": 1,
    "thread_id": "thread_1",
    "assistant_id": None,
    "run_id": None,
    "status": "completed",
    "incomplete_details": None,
    "incomplete_at": None,
    "completed_at": None,
    "role": "user",
    "content": [{"type": "text", "text": {"value": "Hi", "annotations": []}}],
    "attachments": [],
    "metadata": {},
}


class Url:
    """Of a request."""

    def __init__(self, path: str) -> None:
        self.path = path


class Request:
    """As the SDK's HTTP library shows it to a hook."""

    def __init__(self, method: str, path: str, headers: dict[str, str]) -> None:
        self.method = method
        self.url = Url(path)
        self.headers = headers


class Response:
    """As the SDK's HTTP library shows it to a hook."""

    def __init__(self, request: Request, body: bytes, kind: str = JSON, status: int = 200) -> None:
        self.request = request
        self.status_code = status
        self.headers = {
            "content-type": kind,
            "x-request-id": "req_1",
            "openai-processing-ms": "1",
            "openai-version": "2020-10-01",
        }
        self._body = body

    def read(self) -> bytes:
        """The whole body."""
        return self._body

    def iter_bytes(self) -> Any:
        """The body in two pieces."""
        yield self._body[:7]
        yield self._body[7:]


def checked(
    body: Any, path: str = PATH, *, method: str = "GET", status: int = 200, polled: bool = False
) -> Traffic:
    """What is found in an answer."""
    traffic = Traffic()
    headers = {"x-stainless-poll-helper": "true"} if polled else {}
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    Strict(traffic).on_response(Response(Request(method, path, headers), raw, status=status))
    return traffic


def streamed(*frames: str) -> list[str]:
    """What is found in a stream."""
    traffic = Traffic()
    request = Request("POST", "/v1/threads/thread_1/runs", {})
    response = Response(request, "".join(frames).encode(), SSE)
    Strict(traffic).on_response(response)
    assert "".join(frames).encode() == b"".join(response.iter_bytes())
    return traffic.findings


def frame(name: str, data: Any) -> str:
    """One event."""
    return f"id: 1\nevent: {name}\ndata: {json.dumps(data)}\n\n"


DONE = "event: done\ndata: [DONE]\n\n"


def test_a_right_answer_is_found_right() -> None:
    """Nothing is found, and the operation counts as answered."""
    traffic = checked(MESSAGE)
    assert [] == traffic.findings
    assert {"GET /threads/{thread}/messages/{message}"} == traffic.operations


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"status": "done"}, "status: Input should be"),
        ({"content": None}, "content: Input should be a valid array"),
        ({"created_at": "1"}, "created_at: Input should be a valid integer"),
        ({"created_at": 1.5}, "created_at: Input should be a valid integer"),
        ({"file_ids": []}, "Message.file_ids is unknown to the SDK"),
        ({"metadata": {"n": 1}}, "metadata.n: Input should be a valid string"),
    ],
)
def test_a_wrong_field_is_found(change: dict[str, Any], found: str) -> None:
    """Unknown literals, nulls, wrong types and unknown fields."""
    [finding] = checked({**MESSAGE, **change}).findings
    assert found in finding


@pytest.mark.parametrize("field", sorted(MESSAGE))
def test_a_missing_field_is_found(field: str) -> None:
    """Also one that may be null: the contract sends it always."""
    body = {key: value for key, value in MESSAGE.items() if key != field}
    assert any(field in finding for finding in checked(body).findings)


def test_a_wrong_envelope_is_found() -> None:
    """A list without its ends, or with wrong ones."""
    page = {"object": "list", "data": [MESSAGE], "has_more": False}
    path = "/v1/threads/thread_1/messages"
    assert any("envelope" in f for f in checked(page, path).findings)
    page |= {"first_id": "msg_1", "last_id": "msg_2"}
    assert any("first_id and last_id" in f for f in checked(page, path).findings)


def test_a_foreign_error_body_is_found() -> None:
    """A framework's own body, an envelope with too few keys."""
    assert any("no error envelope" in f for f in checked({"detail": "x"}, status=422).findings)
    assert any("no error envelope" in f for f in checked(b"<html>", status=500).findings)
    assert any("has the keys" in f for f in checked({"error": {"code": 1}}, status=404).findings)


def test_an_answer_to_no_operation_is_found() -> None:
    """A path that is not the API's."""
    assert any("is no operation" in f for f in checked({}, "/v1/chains").findings)


def test_a_poll_without_interval_is_found() -> None:
    """The header that keeps clients from waiting for seconds."""
    assert any("poll" in finding for finding in checked(MESSAGE, polled=True).findings)


def test_a_right_stream_is_found_right() -> None:
    """Cut anywhere, with comments between."""
    assert [] == streamed(": ping\n", frame("thread.message.created", MESSAGE), DONE)


def test_a_wrong_stream_is_found() -> None:
    """Unknown names, wrong payloads, a flat error, no end."""
    assert any("knows no event" in f for f in streamed(frame("thread.message.failed", {}), DONE))
    delta = {"id": "m", "object": "thread.message.delta", "delta": {"content": [{"type": "text"}]}}
    assert any("index" in f for f in streamed(frame("thread.message.delta", delta), DONE))
    assert any("event error" in f for f in streamed(frame("error", {"message": "x"}), DONE))
    assert any("instead of done" in f for f in streamed(frame("thread.message.created", MESSAGE)))


def test_the_operations_are_the_sdk_s_and_named_once() -> None:
    """51 different ones; a fixed word wins over a name; each prefix leads to the same one."""
    assert 51 == len({operation.name for operation in OPERATIONS})
    for prefix in ("/v1", "/openai", "/openai/v1", "/openai/deployments/x", "/api/projects/p", ""):
        found = operation_of("POST", f"{prefix}/threads/runs")
        assert found is not None
        assert "POST /threads/runs" == found.name


def test_the_sdk_knows_24_events() -> None:
    """All but `done`, which carries no object."""
    assert 24 == len(event_types())
