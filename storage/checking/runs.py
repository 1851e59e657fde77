"""Runs that nobody works on, or whose time is over: stuck while a server is at work, else waiting for the next one.

A server takes a run up within a heartbeat, so what looks stuck in the snapshot is looked at again for some seconds.
"""

import sqlite3
import time
from collections.abc import Iterator

from ...engine import invariants
from ...engine.invariants import Invariant
from ...engine.states import RUN
from .look import Found, Look, as_list, connected, statements_of_checks

PATIENCE = 5.0  # seconds
_PAUSE = 0.25

_LOOKED_FOR = (
    (invariants.RUN_HAS_OWNER, "run_has_owner"),
    (invariants.RUN_IN_TIME, "run_in_time"),
)

Stuck = dict[tuple[str, str], tuple[Invariant, str]]
"""(name of the invariant, id of the run): what was seen."""


def check(look: Look) -> Iterator[Found]:
    """Both invariants."""
    stuck = _stuck(look.connection, look.now)
    until = time.monotonic() + PATIENCE
    while look.served and stuck and time.monotonic() < until:
        time.sleep(_PAUSE)
        look.on_progress(look.stage, look.rows)
        with connected(look.database) as connection:
            now = _stuck(connection, time.time())
        stuck = {key: seen for key, seen in now.items() if key in stuck}
    for (_, run_id), (invariant, seen) in stuck.items():
        yield Found(invariant, run_id, seen, note=not look.served)


def _stuck(connection: sqlite3.Connection, now: float) -> Stuck:
    values = {"now": now, "active": as_list(set(type(RUN.initial)) - RUN.final)}
    found: Stuck = {}
    for invariant, statement in _LOOKED_FOR:
        for run_id, seen in connection.execute(statements_of_checks()[statement], values):
            found[invariant.name, run_id] = (invariant, seen)
    return found
