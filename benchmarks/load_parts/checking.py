"""Is a streamed run whole: every event there once, in order, and the text that was asked for.

Knows the wire only, nothing of how the server keeps events.
"""

import json
from dataclasses import dataclass
from typing import Any

END = b"event: done\ndata: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Sent:
    """One server-sent event with a number."""

    number: int
    name: str
    data: dict[str, Any]


def frames(body: bytes) -> list[bytes]:
    """The frames of a stream, without comments and without its end.

    Raises:
        ValueError: it does not end as a stream does.
    """
    if not body.endswith(END):
        raise ValueError(f"the stream breaks off: {body[-300:]!r}")
    pieces = body.removesuffix(END).replace(b": ping\n", b"").split(b"\n\n")
    return [piece for piece in pieces if piece.strip()]


def read(frame: bytes) -> Sent:
    """A frame taken apart.

    Raises:
        ValueError: it has no number (an error told in the stream has none).
    """
    lines = dict(line.split(": ", 1) for line in frame.decode().split("\n") if ": " in line)
    if "id" not in lines:
        raise ValueError(f"a frame without a number: {frame[:300]!r}")
    return Sent(int(lines["id"]), lines["event"], json.loads(lines["data"]))


def whole(body: bytes, text: str) -> list[bytes]:
    """The frames of a run that said `text` and was completed.

    Raises:
        ValueError: an event is missing, doubled or out of order, or the run went another way; says which.
    """
    found = frames(body)
    events = [read(frame) for frame in found]
    numbers = [event.number for event in events]
    if numbers != list(range(1, len(events) + 1)):
        raise ValueError(f"the numbers are {numbers}")
    if said(events) != text:
        raise ValueError(f"the deltas say {said(events)[:200]!r} in place of {text[:200]!r}")
    _check_order([event.name for event in events])
    return found


def said(events: list[Sent]) -> str:
    """What the deltas of its messages say."""
    return "".join(
        part["text"]["value"]
        for event in events
        if event.name == "thread.message.delta"
        for part in event.data["delta"]["content"]
    )


def _check_order(names: list[str]) -> None:
    """The states of the run, its message and its step come in the order of their life.

    Raises:
        ValueError: they do not.
    """
    wanted = [
        "thread.run.created",
        "thread.run.queued",
        "thread.run.in_progress",
        "thread.run.step.created",
        "thread.message.created",
        "thread.message.delta",
        "thread.message.completed",
        "thread.run.step.completed",
        "thread.run.completed",
    ]
    places = [names.index(name) if name in names else -1 for name in wanted]
    if -1 in places or places != sorted(places) or names[-1] != wanted[-1]:
        raise ValueError(f"the order is {names}")
