"""Every object by itself: that it can be read, that its columns repeat it, that its fields fit its status."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...engine import invariants
from ...engine.errors import StorageFault
from ...engine.objects import (
    FileBatch,
    Message,
    Run,
    RunStep,
    UploadRecord,
    VectorStore,
    VectorStoreFile,
    Wire,
)
from ...engine.states import (
    BATCH,
    MESSAGE,
    RUN,
    STEP,
    STORE_FILE,
    UPLOAD,
    VECTOR_STORE,
    Machine,
    RunStatus,
)
from .. import rows
from .look import Found, Look

MACHINES: Mapping[type[Wire], Machine] = {
    Run: RUN,
    RunStep: STEP,
    Message: MESSAGE,
    VectorStore: VECTOR_STORE,
    VectorStoreFile: STORE_FILE,
    FileBatch: BATCH,
    UploadRecord: UPLOAD,
}


def check(look: Look) -> Iterator[Found]:
    """Read every object once."""
    for table in rows.WHOLE.values():
        names = ["id", *table.columns]
        sql = f"SELECT {', '.join(names)}, body FROM {table.name} ORDER BY seq"
        for *values, body in look.each(sql):
            yield from _row(table, dict(zip(names, values, strict=True)), body)


def _row(table: rows.Table, row: dict[str, Any], body: str) -> Iterator[Found]:
    key = str(row["id"])
    machine = MACHINES.get(table.kind)
    if machine is not None:
        for status in {row["status"], _said(body)} - _legal(machine):
            yield Found(invariants.STATUS_LEGAL, key, f"is {status}")
    try:
        obj = rows.decode_model(table.kind, body)
    except StorageFault as fault:
        yield Found(invariants.OBJECT_READABLE, key, fault.message)
        return
    expected = table.row(obj)
    differing = [name for name, value in row.items() if value != expected[name]]
    if differing:
        yield Found(invariants.COLUMNS_AGREE, key, f"differs in {', '.join(differing)}")
    if machine is not None:
        wrong = list(_misfits(machine, obj))
        if wrong:
            yield Found(invariants.FIELDS_FIT, key, f"is {row['status']}, and {', '.join(wrong)}")


def _said(body: str) -> str:
    """The body's own status."""
    try:
        return str(json.loads(body)["status"])
    except (ValueError, KeyError, TypeError):
        return "without a status"


def _legal(machine: Machine) -> set[str]:
    return {str(status) for status in type(machine.initial)}


def _misfits(machine: Machine, obj: Any) -> Iterator[str]:
    """What every way to the object's status sets or clears, and the object has otherwise."""
    ways = [move for move in machine.table.values() if move.to == obj.status]
    if ways and obj.status != machine.initial:
        for name in _common([way.stamps for way in ways]):
            if getattr(obj, name) is None:
                yield f"{name} is not set"
        for name in _common([way.clears for way in ways]):
            if getattr(obj, name) is not None:
                yield f"{name} is set"
    if obj.status == RunStatus.REQUIRES_ACTION and obj.required_action is None:
        yield "required_action is not set"


def _common(several: Sequence[Sequence[str]]) -> list[str]:
    """What is in all of them."""
    return [name for name in several[0] if all(name in each for each in several)]
