"""Every run's journal: a walk through the tables that ends at what is stored."""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, cast

from ...engine import invariants
from ...engine.errors import StorageFault
from ...engine.events import EventName
from ...engine.journal_check import Walk
from ...engine.objects import Message, Run, RunStep
from .. import rows
from .look import Found, Look

_EVENTS = """
SELECT name, CASE
  WHEN name LIKE '%.delta' THEN json_extract(iif(json_valid(data), data, '{}'), '$.id') ELSE data END
FROM run_events WHERE run_id = ? ORDER BY seq
"""
_STEPS = "SELECT body FROM run_steps WHERE run_id = ? ORDER BY seq"
_MESSAGES = "SELECT body FROM messages WHERE run_id = ? ORDER BY seq"
_NAMES = {name.value: name for name in EventName}
_MOST = 5  # findings of one journal: one wrong event makes many others wrong


def check(look: Look) -> Iterator[Found]:
    """Run after run."""
    for run_id, body in look.each("SELECT id, body FROM runs ORDER BY seq"):
        yield from _run(look, run_id, body)


def _run(look: Look, run_id: str, body: str) -> Iterator[Found]:
    walk = Walk(run_id)
    for number, problem in enumerate(_walked(look, walk, run_id)):
        if number < _MOST:
            yield Found(invariants.JOURNAL_PATH, run_id, problem)
    try:
        run = rows.decode_model(Run, body)
        steps = [rows.decode_model(RunStep, one) for (one,) in look.each(_STEPS, (run_id,))]
        messages = [rows.decode_model(Message, one) for (one,) in look.each(_MESSAGES, (run_id,))]
    except StorageFault:
        return  # told of where objects are read
    for problem in walk.end(run, steps, messages):
        yield Found(invariants.JOURNAL_AGREES, run_id, problem)


def _walked(look: Look, walk: Walk, run_id: str) -> Iterator[str]:
    for name, data in look.each(_EVENTS, (run_id,)):
        known = _NAMES.get(name)
        if known is None:
            yield f"{name} is no event"
        elif name.endswith(".delta"):
            yield from walk.delta(known, str(data))
        else:
            yield from _told(walk, known, data)


def _told(walk: Walk, name: EventName, data: str) -> Iterator[str]:
    payload: object = None
    with suppress(ValueError):
        payload = json.loads(data)
    if isinstance(payload, dict):
        yield from walk.event(name, cast("dict[str, Any]", payload))
    else:
        yield f"{name} has no object in it"
