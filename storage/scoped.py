"""One project's view of the store: what belongs to another project is as if it were not there.

Single objects and lists are narrowed in their statements (`rows.SCOPED`); what hangs on a thread, run or vector store
is reached only through one that the project owns, which is looked up first. So no caller can forget whose data it asks
for.

What it does not know: who may use which project. It cannot claim runs: the queue is the whole store's.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from ..engine.errors import StorageFault
from ..engine.events import Event, EventName
from ..engine.objects import (
    Assistant,
    FileBatch,
    FileCounts,
    Run,
    Thread,
    VectorStoreFile,
    Wire,
)
from ..engine.ports import CodeSession, Lease, TranscriptEntry
from ..engine.records import TurnRecord
from . import rows
from .scoped_texts import ScopedTexts
from .transaction import SQLiteTransaction, misplaced

if TYPE_CHECKING:
    from .sqlite import SQLiteStore

T = TypeVar("T")
ObjectT = TypeVar("ObjectT", bound=Wire)


class ScopedStore:
    """The `Store` port over `store`, narrowed to `project`."""

    def __init__(self, store: "SQLiteStore", project: str) -> None:
        self._store = store
        self._project = project

    async def write(self, change: Callable[["ScopedTransaction"], T]) -> T:
        """As the store's own `write`."""
        return await self._store.write(lambda tx: change(ScopedTransaction(tx, self._project)))

    async def read(self, query: Callable[["ScopedTransaction"], T]) -> T:
        """As the store's own `read`."""
        return await self._store.read(lambda tx: query(ScopedTransaction(tx, self._project)))

    async def check(self) -> None:
        """As the store's own `check`."""
        await self._store.check()

    def scoped(self, project: str) -> "ScopedStore":
        """Itself; a view does not widen.

        Raises:
            StorageFault: another project is asked for.
        """
        if project != self._project:
            raise StorageFault("A view of one project does not lead to another one.")
        return self

    async def close(self) -> None:
        """Nothing: the file is the whole store's."""


class ScopedTransaction(ScopedTexts):
    """`whole`, narrowed to `project`."""

    def __init__(self, whole: SQLiteTransaction, project: str) -> None:
        super().__init__(whole, project)
        self._tables = rows.SCOPED
        self._scope = {"project": project}

    def _owns_thread(self, thread_id: str) -> bool:
        return super().project_of(thread_id) == self._project

    def _owns_run(self, run_id: str) -> bool:
        row = self._named("project_of_run", run_id=run_id).fetchone()
        return row is not None and row[0] == self._project

    def project_of(self, thread_id: str) -> str | None:
        """This project, or None."""
        return self._project if self._owns_thread(thread_id) else None

    # --- runs --------------------------------------------------------------------------------------

    def active_run(self, thread_id: str) -> Run | None:
        """The run that locks a thread of the project."""
        return super().active_run(thread_id) if self._owns_thread(thread_id) else None

    def claim_run(
        self,
        owner: str,
        now: float,
        lease: float,
        run_id: str | None = None,
        *,
        share: int | None = None,
    ) -> Run | None:
        """Refused."""
        raise _no_queue()

    def count_queued(self) -> int:
        """The project's."""
        named = self._named("count_queued_of_project", project=self._project)
        return int(named.fetchone()[0])

    def several_projects(self) -> bool:
        """Refused."""
        raise _no_queue()

    def lease_owner(self, run_id: str) -> str | None:
        """None for another project's run."""
        return super().lease_owner(run_id) if self._owns_run(run_id) else None

    def extend_leases(self, owner: str, now: float, lease: float) -> None:
        """Refused."""
        raise _no_queue()

    def release_run(self, run_id: str, owner: str) -> None:
        """Refused."""
        raise _no_queue()

    def leases_after(self, until: float) -> list[Lease]:
        """Refused."""
        raise _no_queue()

    def overdue_runs(self, now: float) -> list[Run]:
        """Refused."""
        raise _no_queue()

    # --- journal and transcript --------------------------------------------------------------------

    def append_event(self, run_id: str, name: EventName, data: Mapping[str, Any]) -> Event:
        """Only to runs of the project.

        Raises:
            StorageFault: there is no such run.
        """
        if not self._owns_run(run_id):
            raise misplaced()
        return super().append_event(run_id, name, data)

    def events(self, run_id: str, after: int = 0, limit: int = 1000) -> list[Event]:
        """None of another project's run."""
        return super().events(run_id, after, limit) if self._owns_run(run_id) else []

    def last_seq(self, run_id: str) -> int:
        """0 for another project's run."""
        return super().last_seq(run_id) if self._owns_run(run_id) else 0

    def append_turn(self, run_id: str, turn: TurnRecord) -> None:
        """Only to runs of the project.

        Raises:
            StorageFault: there is no such run.
        """
        if not self._owns_run(run_id):
            raise misplaced()
        super().append_turn(run_id, turn)

    def turns(self, run_id: str) -> list[TurnRecord]:
        """None of another project's run."""
        return super().turns(run_id) if self._owns_run(run_id) else []

    def count_turns(self, run_id: str) -> int:
        """0 for another project's run."""
        return super().count_turns(run_id) if self._owns_run(run_id) else 0

    def append_transcript(self, entry: TranscriptEntry) -> None:
        """Only to threads of the project.

        Raises:
            StorageFault: there is no such thread.
        """
        if not self._owns_thread(entry.thread_id):
            raise misplaced()
        super().append_transcript(entry)

    def transcript(self, thread_id: str) -> list[TranscriptEntry]:
        """None of another project's thread."""
        return super().transcript(thread_id) if self._owns_thread(thread_id) else []

    # --- ledger ------------------------------------------------------------------------------------

    def add_code_session(self, thread_id: str, run_id: str, started_at: int, since: int) -> bool:
        """Only for threads of the project."""
        owned = self._owns_thread(thread_id)
        return owned and super().add_code_session(thread_id, run_id, started_at, since)

    def code_sessions(self, since: int, until: int) -> list[CodeSession]:
        """The project's."""
        found = self._named(
            "code_sessions_of_project", project=self._project, since=since, until=until
        )
        return [CodeSession(*row) for row in found]

    def code_sessions_of_thread(self, thread_id: str) -> list[CodeSession]:
        """None of another project's thread."""
        found = super().code_sessions_of_thread(thread_id)
        return [session for session in found if session.project == self._project]

    # --- vector stores -----------------------------------------------------------------------------

    def count_store_files(self, vector_store_id: str) -> tuple[FileCounts, int]:
        """Nothing in another project's vector store."""
        if not self._owns_store(vector_store_id):
            return FileCounts(), 0
        return super().count_store_files(vector_store_id)

    def add_to_batch(self, batch_id: str, vector_store_id: str, file_ids: Sequence[str]) -> None:
        """Only to batches of the project.

        Raises:
            StorageFault: there is no such batch or vector store.
        """
        if not (self._owns_batch(batch_id) and self._owns_store(vector_store_id)):
            raise misplaced()
        super().add_to_batch(batch_id, vector_store_id, file_ids)

    def count_batch_files(self, batch_id: str) -> FileCounts:
        """Nothing in another project's batch."""
        return super().count_batch_files(batch_id) if self._owns_batch(batch_id) else FileCounts()

    def stores_with_file(self, file_id: str) -> list[str]:
        """The project's vector stores that hold the file."""
        found = super().stores_with_file(file_id)
        owned = self._owned_stores(found)
        return [store_id for store_id in found if store_id in owned]

    def batches_with_file(self, vector_store_id: str, file_id: str) -> list[str]:
        """None of another project's vector store."""
        owned = self._owns_store(vector_store_id)
        return super().batches_with_file(vector_store_id, file_id) if owned else []

    def owners_of_file(self, kind: type[Assistant] | type[Thread], file_id: str) -> list[str]:
        """The project's assistants or threads."""
        return [id_ for id_ in super().owners_of_file(kind, file_id) if self.get(kind, id_)]

    def waiting_store_files(
        self, beside: Collection[str], limit: int
    ) -> list[tuple[str, VectorStoreFile]]:
        """Refused."""
        raise _no_queue()

    # --- housekeeping ------------------------------------------------------------------------------

    def due(self, kind: type[ObjectT], now: float, limit: int = 100) -> list[ObjectT]:
        """Refused."""
        raise _no_housekeeping()

    def next_due(self) -> int | None:
        """Refused."""
        raise _no_housekeeping()

    def unowned(self, keys: Sequence[str]) -> list[str]:
        """Refused."""
        raise _no_housekeeping()

    def _owns_batch(self, batch_id: str) -> bool:
        return self.get(FileBatch, batch_id) is not None


def _no_queue() -> StorageFault:
    return StorageFault("Only the whole store knows its queues; a view of one project does not.")


def _no_housekeeping() -> StorageFault:
    return StorageFault("Only the whole store is kept in order; a view of one project is not.")
