"""One transaction on the SQLite store: the `Transaction` port over a connection.

Lives on the thread that runs it and only as long as it. It neither begins nor ends a transaction; `writer` and
`sqlite` do. sqlite3's own errors pass through here and are mapped by them; errors of the tree are raised as they are.
"""

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from ..engine.errors import InvalidRequest, StorageFault, ThreadBusy
from ..engine.events import Event, EventName
from ..engine.objects import Assistant, FileCounts, Run, Thread, VectorStoreFile, Wire
from ..engine.ports import CodeSession, Lease, PageQuery, TranscriptEntry
from ..engine.records import TurnRecord
from . import records, rows
from .texts import SQLiteTexts

ObjectT = TypeVar("ObjectT", bound=Wire)

# Asking the enum costs as much as fetching the row.
_NAMES = {name.value: name for name in EventName}


class SQLiteTransaction(SQLiteTexts):
    """See the port for what each method promises. It sees everything; `scoped` narrows it to one project."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self._tables = rows.WHOLE
        self._scope: dict[str, str] = {}

    # --- objects -----------------------------------------------------------------------------------

    def get(self, kind: type[ObjectT], key: str) -> ObjectT | None:
        """The object under `key`; None when there is none."""
        row = self.connection.execute(self._table(kind).get, self._named_by(key)).fetchone()
        return None if row is None else rows.decode_model(kind, row[0])

    def put(self, obj: Wire) -> None:
        """Insert or replace. Insertion order is kept on replacement.

        Raises:
            ThreadBusy: a second run that is not over in one thread.
            StorageFault: the thread, run or vector store it belongs to is not stored.
        """
        table = self._table(type(obj))
        try:
            changed = self.connection.execute(table.put, table.row(obj) | self._scope).rowcount
        except sqlite3.IntegrityError as error:
            if isinstance(obj, Run) and error.sqlite_errorname == "SQLITE_CONSTRAINT_UNIQUE":
                raise ThreadBusy(
                    f"Thread {obj.thread_id} already has a run that is not over. Wait for it or cancel it."
                ) from error
            raise
        if not changed:
            raise misplaced()

    def delete(self, kind: type[Wire], key: str) -> bool:
        """Drop an object and all that belongs to it; False when there was none."""
        return self.connection.execute(self._table(kind).delete, self._named_by(key)).rowcount > 0

    def delete_where(self, kind: type[Wire], where: Mapping[str, str]) -> int:
        """Drop all objects that match; how many they were.

        Raises:
            StorageFault: `where` is empty, or names a column that lists do not know.
        """
        if not where:
            raise StorageFault("Deleting all objects of a kind at once is not supported.")
        statement = self._table(kind).delete_where(where)
        return self.connection.execute(statement, self._matching(where)).rowcount

    def page(self, kind: type[ObjectT], query: PageQuery) -> tuple[list[ObjectT], bool]:
        """The objects of the page and whether more follow in its direction.

        Raises:
            InvalidRequest: the cursor names no object of this list (param after or before).
        """
        table = self._table(kind)
        values: dict[str, Any] = {
            **self._matching(query.where),
            "metadata": rows.encode(dict(query.metadata)),
            "created_from": query.created_from,
            "created_before": query.created_before,
            "limit": query.limit + 1,
        }
        for param, cursor in (("after", query.after), ("before", query.before)):
            if cursor is not None:
                values[param] = self._place(table, query.where, param, cursor)
        statement = table.page(query, after="after" in values, before="before" in values)
        bodies = [row[0] for row in self.connection.execute(statement, values)]
        found = [rows.decode_model(kind, body) for body in bodies[: query.limit]]
        if rows.backwards(query):
            found.reverse()
        return found, len(bodies) > query.limit

    def count(self, kind: type[Wire], where: Mapping[str, str]) -> int:
        """How many objects match.

        Raises:
            StorageFault: `where` names a column that lists do not know.
        """
        statement = self._table(kind).count(where)
        return int(self.connection.execute(statement, self._matching(where)).fetchone()[0])

    def _place(self, table: rows.Table, where: Mapping[str, str], param: str, cursor: str) -> int:
        values = {**self._matching(where), "cursor": rows.clean(cursor)}
        row = self.connection.execute(table.find(where, cursor), values).fetchone()
        if row is None:
            raise InvalidRequest(
                f"No object with id '{rows.clean(cursor)}' in this list. Pass an id that the list itself returned.",
                code="invalid_value",
                param=param,
            )
        return int(row[0])

    def project_of(self, thread_id: str) -> str | None:
        """The project of a thread; None when there is no such thread."""
        row = self._named("project_of", thread_id=thread_id).fetchone()
        return None if row is None else str(row[0])

    def _table(self, kind: type[Wire]) -> rows.Table:
        return rows.table_of(kind, self._tables)

    def _named_by(self, key: str) -> dict[str, str]:
        return {"id": rows.clean(key), **self._scope}

    def _matching(self, where: Mapping[str, str]) -> dict[str, str]:
        return {column: rows.clean(value) for column, value in where.items()} | self._scope

    # --- runs --------------------------------------------------------------------------------------

    def active_run(self, thread_id: str) -> Run | None:
        """The run that is not over and so locks the thread."""
        row = self._named("active_run", thread_id=thread_id).fetchone()
        return None if row is None else rows.decode_model(Run, row[0])

    def claim_run(
        self,
        owner: str,
        now: float,
        lease: float,
        run_id: str | None = None,
        *,
        share: int | None = None,
    ) -> Run | None:
        """The next run that wants work and that nobody works on, or `run_id` if it is one of those.

        Next is the oldest one of the project of which `owner` has the fewest; one of which it has `share` waits.

        It is `owner`'s for `lease` seconds now. A run that waits for its client or is over loses its lease by itself
        (a trigger), so a run claimed and not yet started cannot be claimed twice, and one that comes back from its
        client can be at once.
        """
        values = {"owner": owner, "now": now, "until": now + lease}
        if run_id is None:
            row = self._named("claim_run", share=share, **values).fetchone()
        else:
            row = self._named("claim_this_run", run_id=run_id, **values).fetchone()
        return None if row is None else rows.decode_model(Run, row[0])

    def lease_owner(self, run_id: str) -> str | None:
        """Whose the run is, also when the lease has lapsed; None when it is nobody's or there is none."""
        row = self._named("lease_owner", run_id=run_id).fetchone()
        return None if row is None else row[0]

    def count_queued(self) -> int:
        """How many runs wait in the queue, claimed or not."""
        return int(self._named("count_queued").fetchone()[0])

    def several_projects(self) -> bool:
        """Whether more than one project has threads, or an active key to it."""
        return bool(self._named("several_projects").fetchone()[0])

    def extend_leases(self, owner: str, now: float, lease: float) -> None:
        """The heartbeat: all runs of `owner` are its own until `now + lease`."""
        self._named("extend_leases", owner=owner, until=now + lease)

    def release_run(self, run_id: str, owner: str) -> None:
        """`owner` gives it back; nothing happens when it is not its owner."""
        self._named("release_run", run_id=run_id, owner=owner)

    def touch(self) -> None:
        """Write a page as it is, to see whether it can be written."""
        (version,) = self.connection.execute("PRAGMA user_version").fetchone()
        self.connection.execute(f"PRAGMA user_version = {version}")

    def leases_after(self, until: float) -> list[Lease]:
        """Leases that end after `until`, of runs that want work."""
        return [Lease(*row) for row in self._named("leases_after", until=until)]

    def overdue_runs(self, now: float) -> list[Run]:
        """Runs that are not over and past their expires_at, longest overdue first."""
        return [rows.decode_model(Run, row[0]) for row in self._named("overdue_runs", now=now)]

    # --- journal and transcript --------------------------------------------------------------------

    def append_event(self, run_id: str, name: EventName, data: Mapping[str, Any]) -> Event:
        """The stored event; it holds the text that was stored, so that live and later readers see the same."""
        text = rows.encode(dict(data))
        (seq,) = self._named("append_event", run_id=run_id, name=name.value, data=text).fetchone()
        return Event(run_id, seq, name, None, text)

    def events(self, run_id: str, after: int = 0, limit: int = 1000) -> list[Event]:
        """Events with a number above `after`, in order."""
        found = self._named("events", run_id=run_id, after=after, limit=limit)
        return [Event(run_id, seq, _NAMES[name], None, text) for seq, name, text in found]

    def last_seq(self, run_id: str) -> int:
        """Number of the run's latest event, 0 before the first."""
        return int(self._named("last_seq", run_id=run_id).fetchone()[0])

    def append_turn(self, run_id: str, turn: TurnRecord) -> None:
        """Keep what a turn of the run's model came to, once."""
        body = rows.encode_model(turn)
        self._named("append_turn", run_id=run_id, number=turn.number, body=body)

    def turns(self, run_id: str) -> list[TurnRecord]:
        """What is kept of a run's turns, in order."""
        return [
            rows.decode_model(TurnRecord, row[0]) for row in self._named("turns", run_id=run_id)
        ]

    def count_turns(self, run_id: str) -> int:
        """How many turns are kept."""
        return int(self._named("count_turns", run_id=run_id).fetchone()[0])

    def append_transcript(self, entry: TranscriptEntry) -> None:
        """Add a line; its `seq` is given here."""
        self._named(
            "append_transcript",
            thread_id=entry.thread_id,
            run_id=entry.run_id,
            step_id=entry.step_id,
            message_id=entry.message_id,
            body=None if entry.body is None else rows.encode_model(entry.body),
            evidence=records.evidence(entry),
        )

    def transcript(self, thread_id: str) -> list[TranscriptEntry]:
        """The whole transcript of a thread, in order."""
        return [records.entry(*row) for row in self._named("transcript", thread_id=thread_id)]

    # --- ledger ------------------------------------------------------------------------------------

    def add_code_session(self, thread_id: str, run_id: str, started_at: int, since: int) -> bool:
        """Note that a session began; False when the thread has one that began after `since`, or there is none."""
        values = {"thread_id": thread_id, "run_id": run_id}
        noted = self._named("add_code_session", started_at=started_at, since=since, **values)
        return noted.rowcount > 0

    def code_sessions(self, since: int, until: int) -> list[CodeSession]:
        """Those that began at `since` or later and before `until`, oldest first."""
        return [CodeSession(*row) for row in self._named("code_sessions", since=since, until=until)]

    def code_sessions_of_thread(self, thread_id: str) -> list[CodeSession]:
        """Oldest first; also those of a thread that was deleted."""
        found = self._named("code_sessions_of_thread", thread_id=thread_id)
        return [CodeSession(*row) for row in found]

    # --- vector stores ------------------------------------------------------------------------------

    def count_store_files(self, vector_store_id: str) -> tuple[FileCounts, int]:
        """Counts by status and the sum of usage_bytes."""
        found = self._named("count_store_files", vector_store_id=vector_store_id).fetchall()
        return _counts((row[0], row[1]) for row in found), sum(row[2] for row in found)

    def add_to_batch(self, batch_id: str, vector_store_id: str, file_ids: Sequence[str]) -> None:
        """Make files of a store members of a batch."""
        for file_id in file_ids:
            self._named(
                "add_to_batch", batch_id=batch_id, store_file=f"{vector_store_id}/{file_id}"
            )

    def count_batch_files(self, batch_id: str) -> FileCounts:
        """Counts by status; files since taken out of the store do not count."""
        return _counts(self._named("count_batch_files", batch_id=batch_id))

    def stores_with_file(self, file_id: str) -> list[str]:
        """Ids of the vector stores that hold the file, in the order they took it."""
        return [row[0] for row in self._named("stores_with_file", file_id=file_id)]

    def batches_with_file(self, vector_store_id: str, file_id: str) -> list[str]:
        """Ids of the batches in progress that the store's file is a member of, oldest first."""
        key = f"{vector_store_id}/{file_id}"
        return [row[0] for row in self._named("batches_with_file", store_file=key)]

    def owners_of_file(self, kind: type[Assistant] | type[Thread], file_id: str) -> list[str]:
        """Ids of the assistants or threads whose code interpreter lists the file."""
        table = self._table(kind).name
        return [row[0] for row in self._named("owners_of_file", file_id=file_id, kind=table)]

    def waiting_store_files(
        self, beside: Collection[str], limit: int
    ) -> list[tuple[str, VectorStoreFile]]:
        """(project, the oldest file in progress) of each vector store, those with a key in `beside` left out."""
        found = self._named("waiting_store_files", beside=rows.encode(list(beside)), limit=limit)
        return [(project, rows.decode_model(VectorStoreFile, body)) for project, body in found]

    # --- housekeeping ------------------------------------------------------------------------------

    def due(self, kind: type[ObjectT], now: float, limit: int = 100) -> list[ObjectT]:
        """Files, pending uploads or vector stores not yet expired that are past their expires_at, longest first."""
        found = self._named(f"due_{self._table(kind).name}", now=now, limit=limit)
        return [rows.decode_model(kind, row[0]) for row in found]

    def next_due(self) -> int | None:
        """The earliest expires_at that `due` will ever find."""
        (at,) = self._named("next_due").fetchone()
        return None if at is None else int(at)

    def unowned(self, keys: Sequence[str]) -> list[str]:
        """Those of `keys` that are no file's and no upload part's."""
        return [row[0] for row in self._named("unowned", keys=rows.encode(list(keys)))]


def misplaced() -> StorageFault:
    """A change that would reach into another project, which for this one does not exist."""
    return StorageFault(
        "The object does not fit what is stored: what it belongs to (its thread, run or vector store) does not exist, "
        "or its id is taken."
    )


def _counts(found: Iterable[tuple[str, int]]) -> FileCounts:
    by_status = dict(found)
    return FileCounts(**by_status, total=sum(by_status.values()))
