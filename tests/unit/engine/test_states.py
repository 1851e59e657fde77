"""Every status meets every event: the table is obeyed to the letter, and nothing else happens."""

from enum import StrEnum
from typing import Any

import pytest

from local_assistants.engine.errors import IllegalTransition
from local_assistants.engine.states import MACHINES, Machine, On
from tests.support.samples import sample, stamps_of

NOW = 1_234


def statuses(machine: Machine) -> list[StrEnum]:
    """All statuses of the machine's kind."""
    return list(type(machine.initial))


PAIRS = [
    pytest.param(machine, status, event, id=f"{machine.name}-{status}-{event}")
    for machine in MACHINES
    for status in statuses(machine)
    for event in On
]
LEGAL = [pair for pair in PAIRS if (pair.values[1], pair.values[2]) in pair.values[0].table]  # type: ignore[union-attr]
ILLEGAL = [pair for pair in PAIRS if pair not in LEGAL]


@pytest.mark.parametrize(("machine", "status", "event"), LEGAL)
def test_a_legal_event_does_what_the_table_says(
    machine: Machine, status: StrEnum, event: On
) -> None:
    """The copy has the new status, stamps and cleared fields, and is else the same; the object is untouched."""
    before: Any = sample(machine, status)
    kept = before.model_dump()
    transition = machine.table[status, event]

    after = machine.fire(before, event, NOW)

    expected = kept | {"status": transition.to}
    expected |= dict.fromkeys(transition.clears) | dict.fromkeys(transition.stamps, NOW)
    assert expected == after.model_dump()
    assert kept == before.model_dump()
    assert machine.allows(status, event)


@pytest.mark.parametrize(("machine", "status", "event"), ILLEGAL)
def test_an_illegal_event_is_refused_and_changes_nothing(
    machine: Machine, status: StrEnum, event: On
) -> None:
    """It raises, with status and event in the text, and the object stays as it was."""
    before: Any = sample(machine, status)
    kept = before.model_dump()

    with pytest.raises(IllegalTransition) as refused:
        machine.fire(before, event, NOW, last_error=None)

    assert kept == before.model_dump()
    assert not machine.allows(status, event)
    assert (
        f"A {machine.name} in status '{status}' does not take the event '{event}'."
        == refused.value.message
    )


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_final_statuses_are_those_without_a_way_out(machine: Machine) -> None:
    """What is declared final has no transition, and what has none is declared final."""
    left = {status for status, _ in machine.table}

    assert set(statuses(machine)) - left == set(machine.final)
    assert all(
        machine.is_final(status) == (status in machine.final) for status in statuses(machine)
    )


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_every_status_can_be_reached(machine: Machine) -> None:
    """From the initial status, by the table alone."""
    reached = {machine.initial}
    while more := {t.to for (status, _), t in machine.table.items() if status in reached} - reached:
        reached |= more
    assert set(statuses(machine)) == reached


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_transitions_name_only_fields_that_exist(machine: Machine) -> None:
    """model_copy would take any name, so a misspelt stamp would be lost in silence."""
    kind = type(sample(machine, machine.initial))
    named = {name for t in machine.table.values() for name in (*t.stamps, *t.clears)}

    assert set() == named - set(kind.model_fields)


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.name)
def test_times_are_stamped_by_transitions_alone(machine: Machine) -> None:
    """A stamp belongs to the one status that it is named after, or to the start of work."""
    stamped = {(name, t.to) for t in machine.table.values() for name in t.stamps}

    assert stamps_of(sample(machine, machine.initial)) >= {name for name, _ in stamped}
    assert all(
        name == f"{to}_at" or (name, to) == ("started_at", "in_progress") for name, to in stamped
    )


def test_values_only_the_caller_knows_win_over_the_table() -> None:
    """`fire` takes further fields, such as the usage of an ended run."""
    run_machine = MACHINES[0]
    run: Any = sample(run_machine, "in_progress")

    ended = run_machine.fire(run, On.EXPIRE, NOW, metadata={"k": "v"}, expires_at=7)

    assert ({"k": "v"}, 7) == (ended.metadata, ended.expires_at)
