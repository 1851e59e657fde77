"""The life cycles as the API's contract tells them (section 2), written down again and compared with engine.states.

Written from the contract's text, not from the code: an edge that is only in one of the two fails here. Where the
contract leaves a choice open, the choice stands in a comment.
"""

import pytest

from local_assistants.engine.states import MACHINES, Machine

Edge = tuple[str, str]  # from, to
Fields = tuple[frozenset[str], frozenset[str]]  # stamped with the time, set to null


def fields(stamped: str = "", nulled: str = "") -> Fields:
    """Two lists of names, separated by blanks."""
    return frozenset(stamped.split()), frozenset(nulled.split())


OVER = "expires_at required_action"  # an ended run shows neither

# 2.1; an ended run's required_action is null in every row (only the cancelled and the expired one could have had one)
RUN: dict[Edge, Fields] = {
    ("queued", "in_progress"): fields("started_at"),  # on resume it is set anew
    ("queued", "failed"): fields("failed_at", OVER),
    ("queued", "cancelling"): fields(),  # "nothing else yet"
    ("in_progress", "cancelling"): fields(),
    ("requires_action", "cancelling"): fields(),
    ("cancelling", "cancelled"): fields("cancelled_at", OVER),
    ("cancelling", "completed"): fields("completed_at", OVER),  # the work ended first
    ("cancelling", "failed"): fields("failed_at", OVER),
    ("in_progress", "requires_action"): fields(),  # started_at and expires_at unchanged
    ("requires_action", "queued"): fields("", "required_action"),  # started_at keeps its value
    ("in_progress", "completed"): fields("completed_at", OVER),
    ("in_progress", "failed"): fields("failed_at", OVER),
    ("in_progress", "incomplete"): fields("", OVER),  # completed_at stays null
    # choice A22: expires_at is kept, required_action is not
    ("queued", "expired"): fields("", "required_action"),
    ("in_progress", "expired"): fields("", "required_action"),
    ("requires_action", "expired"): fields("", "required_action"),
    ("cancelling", "expired"): fields("", "required_action"),
}

# 2.2; choice A1: expires_at and expired_at are both sent
STEP: dict[Edge, Fields] = {
    ("in_progress", "completed"): fields("completed_at", "expires_at"),
    ("in_progress", "failed"): fields("failed_at", "expires_at"),
    ("in_progress", "cancelled"): fields("cancelled_at", "expires_at"),
    ("in_progress", "expired"): fields("expired_at"),
}

# 2.3
MESSAGE: dict[Edge, Fields] = {
    ("in_progress", "completed"): fields("completed_at"),
    ("in_progress", "incomplete"): fields("incomplete_at"),
}

# 2.4
VECTOR_STORE: dict[Edge, Fields] = {
    ("completed", "in_progress"): fields(),  # in_progress while any file is
    ("in_progress", "in_progress"): fields(),  # more files, while others are still being indexed
    ("in_progress", "completed"): fields(),
    ("in_progress", "expired"): fields(),  # now > expires_at
    ("completed", "expired"): fields(),
}
STORE_FILE: dict[Edge, Fields] = {
    ("in_progress", "completed"): fields(),
    ("in_progress", "cancelled"): fields(),
    ("in_progress", "failed"): fields(),
}
BATCH: dict[Edge, Fields] = {
    ("in_progress", "completed"): fields(),
    ("in_progress", "cancelled"): fields(),
    ("in_progress", "failed"): fields(),
}

# 2.5
UPLOAD: dict[Edge, Fields] = {
    ("pending", "completed"): fields(),
    ("pending", "cancelled"): fields(),
    ("pending", "expired"): fields(),
}

CONTRACT = {
    "run": RUN,
    "run step": STEP,
    "message": MESSAGE,
    "vector store": VECTOR_STORE,
    "vector store file": STORE_FILE,
    "file batch": BATCH,
    "upload": UPLOAD,
}
STATUSES = {
    "run": "queued in_progress requires_action cancelling cancelled failed completed incomplete expired",
    "run step": "in_progress completed failed cancelled expired",
    "message": "in_progress completed incomplete",
    "vector store": "in_progress completed expired",
    "vector store file": "in_progress completed cancelled failed",
    "file batch": "in_progress completed cancelled failed",
    "upload": "pending completed cancelled expired",
}
BORN = {
    "run": "queued",
    "run step": "in_progress",  # there is no queued step
    "message": "in_progress",  # one that a run makes; a client's is born completed
    "vector store": "completed",  # "completed when no file is in progress, even if empty"
    "vector store file": "in_progress",
    "file batch": "in_progress",
    "upload": "pending",
}

each_machine = pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)


def test_every_kind_with_a_life_cycle_has_a_table() -> None:
    """No kind of the contract is left out, and none is added."""
    assert set(CONTRACT) == {machine.name for machine in MACHINES}


@each_machine
def test_transitions_are_those_of_the_contract(machine: Machine) -> None:
    """The same edges, each with the same fields stamped and set to null."""
    ours = {
        (str(status), str(t.to)): (frozenset(t.stamps), frozenset(t.clears))
        for (status, _), t in machine.table.items()
    }

    assert CONTRACT[machine.name] == ours
    assert len(ours) == len(machine.table)  # no second event between the same two statuses


@each_machine
def test_statuses_are_those_of_the_contract(machine: Machine) -> None:
    """No invented status, and the right one at birth."""
    assert set(STATUSES[machine.name].split()) == {str(s) for s in type(machine.initial)}
    assert BORN[machine.name] == machine.initial
