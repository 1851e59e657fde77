"""What an HTTP answer says: an object, an error, the events of a stream."""

import json
from typing import Any

import httpx

Json = dict[str, Any]


def json_of(answer: httpx.Response) -> Json:
    """The body of an answer that has to be a 200."""
    assert 200 == answer.status_code, answer.text
    body: Json = answer.json()
    return body


def error_of(answer: httpx.Response) -> Json:
    """The envelope's content; fails when the body is anything but the four-key envelope in its order."""
    assert "application/json" == answer.headers["content-type"]
    body: Json = answer.json()
    assert ["error"] == list(body)
    assert ["message", "type", "param", "code"] == list(body["error"])
    error: Json = body["error"]
    return error


def events_of(text: str) -> list[tuple[str, Any]]:
    """(event, data) of every frame of a stream; `[DONE]` stays text."""
    events: list[tuple[str, Any]] = []
    for frame in text.split("\n\n"):
        lines = [line for line in frame.splitlines() if line and not line.startswith(":")]
        fields = dict(line.split(": ", 1) for line in lines)
        if fields:
            data = fields["data"]
            events.append((fields["event"], data if data == "[DONE]" else json.loads(data)))
    return events
