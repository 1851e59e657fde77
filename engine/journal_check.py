"""Whether a run's journal is a walk through the state tables, and whether it tells what is stored.

Pure: events and objects come in, sentences about what is wrong come out. Reads the events in order and keeps only what
the run's objects were last told to be, so a journal of any length takes the room of one run's objects.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .events import EventName
from .journal import public_form
from .objects import Message, Run, RunStep
from .states import MESSAGE, RUN, STEP, Machine

_Owned = Run | RunStep | Message

_MACHINES: Mapping[str, Machine] = {"run": RUN, "run.step": STEP, "message": MESSAGE}
_FREE = frozenset({"metadata"})  # changes without an event
_WORK = frozenset({"step_details", "usage"})  # of an open step, told when it ends


@dataclass(slots=True)
class _Told:
    """What the journal said last of a run, step or message."""

    kind: str
    status: str
    data: Mapping[str, Any]
    moved: bool = False  # whether its first status was announced


class Walk:
    """The journal of one run so far."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._told: dict[str, _Told] = {}

    def delta(self, name: EventName, part_id: str) -> Iterator[str]:
        """A fragment of a step or message came; sentences about what is wrong with that."""
        part = self._told.get(part_id)
        if self._is_over():
            yield f"{name} comes after the run's end"
        elif part is None or _MACHINES[part.kind].is_final(_status(part)):
            yield f"{name} of {part_id}, which is not open"

    def event(self, name: EventName, data: Mapping[str, Any]) -> Iterator[str]:
        """Anything but a fragment came; sentences about what is wrong with that."""
        if name is EventName.THREAD_CREATED:
            if self._told:
                yield f"{name} does not come first"
            return
        if self._is_over():
            yield f"{name} comes after the run's end"
        kind, _, change = name.removeprefix("thread.").rpartition(".")
        if kind not in _MACHINES:
            yield f"{name} has no place in a journal"
            return
        key = str(data.get("id"))
        if kind == "run" and key != self._run_id:
            yield f"{name} tells of another run, {key}"
        yield from self._move(name, kind, change, key)
        told = self._told.get(key)
        begun = change == "created"
        status = str(_MACHINES[kind].initial) if begun else change
        if data.get("status") != status:
            yield f"{name} shows {key} as {data.get('status')}"
        self._told[key] = _Told(kind, status, data, moved=told is not None and not begun)

    def end(self, run: Run, steps: Sequence[RunStep], messages: Sequence[Message]) -> Iterator[str]:
        """The journal is over: sentences about what differs from what is stored."""
        parts: list[_Owned] = [run, *steps, *messages]
        stored = {one.id: one for one in parts}
        for key, one in stored.items():
            told = self._told.get(key)
            if told is None:
                yield f"{key} is stored, and no event tells of it"
                continue
            fields = _differing(one, told.data)
            if fields:
                yield f"{key} differs from its last event in {', '.join(fields)}"
        for key, told in self._told.items():
            if key not in stored and told.kind != "message":  # messages may be deleted
                yield f"an event tells of {key}, which is not stored"

    def _move(self, name: str, kind: str, change: str, key: str) -> Iterator[str]:
        told = self._told.get(key)
        machine = _MACHINES[kind]
        if change == "created":
            if told is not None:
                yield f"{name}: {key} was created before"
            return
        if told is None:
            yield f"{name}: {key} was not created"
        elif not told.moved:
            if change != machine.initial:
                yield f"{name}: {key} begins as {change}"
        elif not _leads(machine, told.status, change):
            yield f"{name}: {key} was {told.status}, which does not become {change}"

    def _is_over(self) -> bool:
        run = self._told.get(self._run_id)
        return run is not None and RUN.is_final(_status(run))


def _status(told: _Told) -> Any:
    """Members of the status enums are equal to their text."""
    return told.status


def _leads(machine: Machine, before: str, after: str) -> bool:
    return any(at == before and move.to == after for (at, _), move in machine.table.items())


def _differing(stored: _Owned, told: Mapping[str, Any]) -> list[str]:
    """Names of the fields that are not as they were told last; those that another version did not know are left out."""
    shown = public_form(stored)
    ignored = _FREE
    if isinstance(stored, RunStep) and not STEP.is_final(stored.status):
        ignored |= _WORK
    both = shown.keys() & told.keys() - ignored
    return sorted(name for name in both if _text(shown[name]) != _text(told[name]))


def _text(value: Any) -> str:
    """To be compared: NaN, which a client may send as an attribute, is not equal to itself."""
    return json.dumps(value, sort_keys=True)
