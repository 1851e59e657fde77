"""A run's history as values: the order in which things happened, and where two runs part.

Pure: it reads no store and moves no status. A step is its turn's when the turn's record names it; a step that a crash
broke off is no turn's, since a turn has its record only when it is over.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .events import Event, EventName
from .journal import public_step
from .objects import Message, MessageCreationDetails, Run, RunStep, TextContent
from .records import TurnRecord
from .requests.base import as_array, as_object

Record = dict[str, Any]

_STATES = "thread.run."
_STEPS = "thread.run.step."
_SETTINGS = (
    "model",
    "instructions",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "temperature",
    "top_p",
    "reasoning_effort",
    "response_format",
    "max_prompt_tokens",
    "max_completion_tokens",
    "truncation_strategy",
)


@dataclass(frozen=True, slots=True)
class History:
    """Everything that is kept of a run, each kind in the order of its making."""

    run: Run
    steps: tuple[RunStep, ...]
    messages: tuple[Message, ...]
    turns: tuple[TurnRecord, ...]
    events: tuple[Event, ...]

    def text(self, step: RunStep) -> str:
        """What the message of a step says; "" when it has none, or the message was deleted."""
        details = step.step_details
        if not isinstance(details, MessageCreationDetails):
            return ""
        wanted = details.message_creation.message_id
        found = (message for message in self.messages if message.id == wanted)
        return "\n".join(
            part.text.value
            for message in found
            for part in message.content
            if isinstance(part, TextContent)
        )


def timeline(history: History) -> list[Record]:
    """What happened, in order: records of kind state, turn (with its steps) and step (of no turn)."""
    began = _first_events(history.events)
    placed: list[tuple[int, Record]] = [
        (event.seq, {"kind": "state", "seq": event.seq, "status": status})
        for event in history.events
        if (status := _state(event))
    ]
    owners = {step: turn.number for turn in history.turns for step in _steps_of(turn, history)}
    last = 0
    for turn in history.turns:
        steps = [step for step in history.steps if owners.get(step.id) == turn.number]
        views = [_step(history, step, began, turn) for step in steps]
        last = min((view["seq"] for view in views), default=last)
        placed.append((last, {"kind": "turn", **turn.model_dump(mode="json"), "steps": views}))
    for step in history.steps:
        if step.id not in owners:
            view = _step(history, step, began, None)
            placed.append((view["seq"], {"kind": "step", **view}))
    return [record for _, record in sorted(placed, key=lambda pair: pair[0])]


def to_records(history: History) -> Iterator[Record]:
    """The whole history, a record for each thing: run, turns, steps, messages, events, and last their numbers."""
    yield {"type": "run", "data": history.run.to_wire()}
    sections: dict[str, list[Record]] = {
        "turn": [turn.model_dump(mode="json") for turn in history.turns],
        "step": [public_step(step, True) for step in history.steps],
        "message": [message.to_wire() for message in history.messages],
        "event": [
            {"seq": event.seq, "event": event.name.value, "data": event.data}
            for event in history.events
        ],
    }
    for kind, records in sections.items():
        yield from ({"type": kind, "data": record} for record in records)
    yield {"type": "end", "data": {f"{kind}s": len(records) for kind, records in sections.items()}}


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two runs part: the place, and what stands there in either; None where there is nothing."""

    place: str
    left: Any
    right: Any


def differences(left: History, right: History) -> list[Difference]:
    """What two runs do differently, first things first. Ids and times are no difference."""
    return list(_compare("", _comparable(left), _comparable(right)))


def _comparable(history: History) -> Record:
    wire = history.run.to_wire()
    return {
        "settings": {name: wire[name] for name in _SETTINGS},
        "turn": [_plain_turn(entry) for entry in timeline(history) if entry["kind"] == "turn"],
        "broken step": [
            _plain_step(entry) for entry in timeline(history) if entry["kind"] == "step"
        ],
        "end": {
            "status": wire["status"],
            "last_error": wire["last_error"],
            "incomplete_details": wire["incomplete_details"],
        },
    }


def _plain_turn(turn: Record) -> Record:
    plain = {name: turn[name] for name in ("prompt_digest", "reason", "error")}
    return {
        "prompt": plain["prompt_digest"],
        "step": [_plain_step(step) for step in turn["steps"]],
        "unknown calls": _unshown(turn),
        "reason": plain["reason"],
        "error": plain["error"],
    }


def _unshown(turn: Record) -> list[str]:
    """Names that the model called and that exist nowhere: such calls have no step."""
    shown = {call["id"] for step in turn["steps"] for call in step["calls"]}
    return [call["name"] for call in turn["calls"] if call["id"] not in shown]


def _plain_step(step: Record) -> Record:
    calls = [
        {name: value for name, value in call.items() if name not in ("id", "seconds")}
        for call in step["calls"]
    ]
    return {
        "type": step["type"],
        "status": step["status"],
        "text": step["text"],
        "call": [_without_ids(call) for call in calls],
    }


def _without_ids(value: Any) -> Any:
    """Ids of files are new in every run, and so are places in a list of fragments."""
    if (entries := as_object(value)) is not None:
        return {
            name: _without_ids(item)
            for name, item in entries.items()
            if name not in ("file_id", "index")
        }
    if (items := as_array(value)) is not None:
        return [_without_ids(item) for item in items]
    return value


def _compare(place: str, left: Any, right: Any) -> Iterator[Difference]:
    entries, others = as_object(left), as_object(right)
    items, more = as_array(left), as_array(right)
    if entries is not None and others is not None:
        for name in dict.fromkeys((*entries, *others)):
            here = f"{place} > {name}" if place else name
            yield from _compare(here, entries.get(name), others.get(name))
    elif items is not None and more is not None:
        for number in range(max(len(items), len(more))):
            yield from _compare(f"{place} {number + 1}", _at(items, number), _at(more, number))
    elif left != right:
        yield Difference(place, left, right)


def _at(items: Sequence[Any], number: int) -> Any:
    return items[number] if number < len(items) else None


def _state(event: Event) -> str:
    """The status of the run that an event announces; "" when it is about something else."""
    name = event.name.value
    if (
        not name.startswith(_STATES)
        or name.startswith(_STEPS)
        or event.name is EventName.RUN_CREATED
    ):
        return ""
    return name.removeprefix(_STATES)


def _first_events(events: Sequence[Event]) -> Mapping[str, int]:
    """Step id -> number of the event that created it."""
    return {
        str(event.data["id"]): event.seq for event in events if event.name is EventName.STEP_CREATED
    }


def _steps_of(turn: TurnRecord, history: History) -> Iterator[str]:
    yield from turn.step_ids
    for step in history.steps:
        details = step.step_details
        if (
            turn.message_id is not None
            and isinstance(details, MessageCreationDetails)
            and details.message_creation.message_id == turn.message_id
        ):
            yield step.id


def _step(
    history: History, step: RunStep, began: Mapping[str, int], turn: TurnRecord | None
) -> Record:
    times = {call.id: call.seconds for call in turn.calls} if turn else {}
    wire = public_step(step, True)
    calls = wire["step_details"].get("tool_calls", ())
    return {
        "seq": began.get(step.id, 0),
        "id": step.id,
        "type": step.type,
        "status": step.status.value,
        "last_error": wire["last_error"],
        "text": history.text(step),
        "calls": [{**call, "seconds": times.get(call["id"])} for call in calls],
    }
