"""A dump that the official SDK has made of an account (examples/dump_with_sdk.py), as rows of a data folder.

What an account does not show is made of what it shows: journals, as the runs must have gone by the state tables; the
transcripts, from the messages. Files whose bytes the dump lacks are left out of everything that names them, but for
messages. What was at work when the account was dumped has ended: nobody can go on with it here.

It does not bring back what the model was told of tools' outputs, and it takes what it does not know of an object for
nothing.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from ...engine.events import EventName
from ...engine.journal import public_form
from ...engine.objects import (
    DEFAULT_PROJECT,
    Assistant,
    File,
    LastError,
    Message,
    Reason,
    Run,
    RunStep,
    Thread,
    VectorStore,
    VectorStoreFile,
    Wire,
)
from ...engine.ports import TranscriptEntry
from ...engine.requests.base import as_array, as_object, without_nulls
from ...engine.states import MESSAGE, RUN, STEP, Machine, MessageStatus, RunStatus, StepStatus
from .. import blobs, rows
from ..transaction import SQLiteTransaction
from .kinds import BY_NAME
from .loading import Loader, Unfit, take_bytes

FORMAT = "local-assistants.account"
VERSION = 1

_OBJECTS: Mapping[str, type[Wire]] = {
    "assistants": Assistant,
    "files": File,
    "vector_stores": VectorStore,
    "vector_store_files": VectorStoreFile,
    "threads": Thread,
    "runs": Run,
    "run_steps": RunStep,
    "messages": Message,
}
_LISTS = (
    ("code_interpreter", "file_ids", "files"),
    ("file_search", "vector_store_ids", "vector_stores"),
)
_CUT = LastError(code="server_error", message="It was at work when its account was dumped.")

OwnedT = TypeVar("OwnedT", Run, RunStep, Message)


class Account:
    """Takes the records of an account into a database that is in a transaction."""

    def __init__(
        self, connection: sqlite3.Connection, folder: int, root: Path, project: str | None
    ) -> None:
        self._connection = connection
        self._tx = SQLiteTransaction(connection)
        self._loader = Loader(connection)
        self._folder = folder
        self._blobs = root
        self._project = project or DEFAULT_PROJECT
        self._makers: Counter[tuple[str | None, str]] = Counter()  # (run, message) of steps
        self._told: Counter[str] = Counter()
        self.records = 0

    def load(self, records: Iterator[dict[str, Any]]) -> None:
        """Take them all.

        Raises:
            Unfit: one is no object of its type, or is there already.
        """
        for record in records:
            kind, data = _OBJECTS.get(record["type"]), as_object(record.get("data"))
            if kind is None or data is None:
                raise Unfit(f"there are no objects of type {record['type'][:80]!r} in an account")
            self._take(kind, record, dict(without_nulls(data)))
        self._free_messages()
        self._write_transcripts()
        self._write_journals()

    def notes(self) -> list[str]:
        """What the user should know of it."""
        return [f"{count} {what}" for what, count in self._told.items()]

    def _take(self, kind: type[Wire], record: dict[str, Any], data: dict[str, Any]) -> None:
        if kind is File and record.get("sha256") is None:
            self._told["files had no bytes in the dump and were left out"] += 1
            return
        if kind is VectorStoreFile and not self._has("files", data.get("id")):
            self._told["files of vector stores were not in the dump and were left out"] += 1
            return
        if kind in (Assistant, Thread):
            data["tool_resources"] = self._without_missing(data.get("tool_resources"))
        obj = _validated(kind, data)
        if isinstance(obj, File):
            take_bytes(self._folder, {**record, "row": {"id": obj.id}}, self._blobs)
            size = blobs.place_of(self._blobs, obj.id).stat().st_size
            obj = obj.model_copy(update={"bytes": size})
        self._put(self._ended(obj))

    def _put(self, obj: Wire) -> None:
        table = rows.table_of(type(obj))
        row = table.row(obj)
        if not table.root:
            row["project"] = self._project
        self._loader.put(BY_NAME[table.name], row)
        self.records += 1

    def _has(self, table: str, key: Any) -> bool:
        found = self._connection.execute(f"SELECT 1 FROM {table} WHERE id = ?", (str(key),))
        return found.fetchone() is not None

    def _without_missing(self, resources: Any) -> dict[str, Any]:
        """Tool resources, without the ids of what is not here."""
        left = dict(as_object(resources) or {})
        for tool, name, table in _LISTS:
            part = as_object(left.get(tool))
            if part is not None and name in part:
                keys = as_array(part[name]) or ()
                left[tool] = {**part, name: [key for key in keys if self._has(table, key)]}
        return left

    def _ended(self, obj: Wire) -> Wire:
        """The object as one that is over, if it is one that can be."""
        if isinstance(obj, Run):
            if obj.status not in RUN.final:
                self._told["runs were at work and are failed now"] += 1
                obj = obj.model_copy(update={"status": RunStatus.FAILED, "last_error": _CUT})
            return _fitting(RUN, obj)
        if isinstance(obj, RunStep):
            if obj.status not in STEP.final:
                obj = obj.model_copy(update={"status": StepStatus.FAILED, "last_error": _CUT})
            made = obj.step_details
            if made.type == "message_creation":
                self._makers[obj.run_id, made.message_creation.message_id] += 1
            return _fitting(STEP, obj)
        if isinstance(obj, Message):
            if obj.status not in MESSAGE.final:
                cut = {
                    "status": MessageStatus.INCOMPLETE,
                    "incomplete_details": Reason(reason="run_failed"),
                }
                obj = obj.model_copy(update=cut)
            return _fitting(MESSAGE, obj)
        return obj

    def _free_messages(self) -> None:
        """A message whose making the dump does not tell of is nobody's, as if a client had written it."""
        sql = "SELECT body FROM messages WHERE run_id IS NOT NULL"
        for (body,) in self._connection.execute(sql).fetchall():
            message = rows.decode_model(Message, body)
            if self._makers[message.run_id, message.id] != 1:
                self._tx.put(message.model_copy(update={"run_id": None}))

    def _write_transcripts(self) -> None:
        """What a model is told of the threads: their messages."""
        sql = "SELECT thread_id, id FROM messages ORDER BY seq"
        for thread_id, key in self._connection.execute(sql).fetchall():
            self._tx.append_transcript(TranscriptEntry(thread_id, message_id=key))

    def _write_journals(self) -> None:
        for (body,) in self._connection.execute("SELECT body FROM runs ORDER BY seq").fetchall():
            run = rows.decode_model(Run, body)
            *before, end = _way(RUN, run.status)
            self._tell(run, "created", RUN.initial)
            for status in before:
                self._tell(run, status, status)
            for step in self._of_run(RunStep, run.id):
                self._tell_all(STEP, step)
            for message in self._of_run(Message, run.id):
                self._tell_all(MESSAGE, message)
            self._tell(run, end, end)

    def _of_run(self, kind: type[OwnedT], run_id: str) -> list[OwnedT]:
        sql = f"SELECT body FROM {rows.table_of(kind).name} WHERE run_id = ? ORDER BY seq"
        found = self._connection.execute(sql, (run_id,)).fetchall()
        return [rows.decode_model(kind, body) for (body,) in found]

    def _tell_all(self, machine: Machine, obj: RunStep | Message) -> None:
        self._tell(obj, "created", machine.initial)
        for status in _way(machine, obj.status):
            self._tell(obj, status, status)

    def _tell(self, obj: Run | RunStep | Message, what: str, status: str) -> None:
        run_id = obj.id if isinstance(obj, Run) else str(obj.run_id)
        data = public_form(obj) | {"status": str(status)}
        self._tx.append_event(run_id, EventName(f"{obj.object}.{what}"), data)


def _validated(kind: type[Wire], data: dict[str, Any]) -> Wire:
    if kind is Message:
        data.setdefault("status", "completed")  # servers of before it had one
    try:
        return kind.model_validate(data, extra="ignore")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise Unfit(f"it is no {kind.__name__}: {where}: {first['msg']}") from error


def _fitting(machine: Machine, obj: OwnedT) -> OwnedT:
    """With the fields that every way to its status stamps, and without those that every way clears."""
    ways = [move for move in machine.table.values() if str(move.to) == str(obj.status)]
    first = ways[0]
    stamps = [name for name in first.stamps if all(name in way.stamps for way in ways)]
    clears = [name for name in first.clears if all(name in way.clears for way in ways)]
    update: dict[str, Any] = dict.fromkeys(clears)
    update |= {name: obj.created_at for name in stamps if getattr(obj, name) is None}
    return obj.model_copy(update=update)


def _way(machine: Machine, status: str) -> list[str]:
    """A shortest way of statuses from the first one to `status`, both among them."""
    ways = [[str(machine.initial)]]
    for way in ways:
        if way[-1] == status:
            return way
        after = (str(move.to) for (at, _), move in machine.table.items() if at == way[-1])
        ways += [[*way, one] for one in after if one not in way]
    raise Unfit(f"a {machine.name} is never {status}")
