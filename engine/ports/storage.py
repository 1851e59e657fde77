"""Ports of what survives: objects, journal and transcript in the store, bytes in the blob store."""

from collections.abc import (
    AsyncIterator,
    Callable,
    Collection,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from ..chat import ChatMessage
from ..events import Event, EventName
from ..objects import Assistant, FileCounts, Run, Thread, VectorStoreFile, Wire
from ..records import TurnRecord
from .texts import Texts
from .work import Citation, MadeFile

T = TypeVar("T")
ObjectT = TypeVar("ObjectT", bound=Wire)


@dataclass(frozen=True, slots=True)
class PageQuery:
    """One page of a list, by insertion order. `where` matches indexed columns exactly (thread_id, run_id, ...).

    The other filters read every object up to the page's end: those with all these pairs of metadata, those created
    at `created_from` or later, those created before `created_before` (Unix seconds).
    """

    where: Mapping[str, str] = field(default_factory=dict[str, str])
    limit: int = 20
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None
    before: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    created_from: int | None = None
    created_before: int | None = None


@dataclass(frozen=True, slots=True)
class TranscriptEntry:
    """One line of what the model saw and said in a thread.

    An entry of an API message has `message_id` and no `body`: it is rendered from the message. Entries of a run carry
    the exact chat message, and of a tool's output also the passages and files it brought and whether it tells of a
    failure. `seq` is given by the store and orders the thread.
    """

    thread_id: str
    run_id: str | None = None
    step_id: str | None = None
    message_id: str | None = None
    body: ChatMessage | None = None
    citations: tuple[Citation, ...] = ()
    files: tuple[MadeFile, ...] = ()
    failed: bool = False
    seq: int = 0


@dataclass(frozen=True, slots=True)
class CodeSession:
    """A session of the code interpreter as it is billed: whose it was, and when it began (Unix seconds).

    It stays when thread and run are deleted.
    """

    project: str
    thread_id: str
    run_id: str
    started_at: int


class Lease(NamedTuple):
    """Whose a run is, and until when (Unix seconds) unless it is extended."""

    run_id: str
    owner: str
    until: float


class Transaction(Texts, Protocol):
    """Synchronous, on the store's own thread; all or nothing.

    Objects are keyed by their id, vector store files by "<vector_store_id>/<file_id>".

    Assistants, threads, files, uploads and vector stores belong to a project, all others to one of these. In a
    transaction of a scoped store whatever belongs to another project does not exist.
    """

    def get(self, kind: type[ObjectT], key: str) -> ObjectT | None: ...

    def put(self, obj: Wire) -> None:
        """Insert or replace. Insertion order is kept on replacement, and so is the project.

        What is new belongs to the store's project; without one to the default project.

        Raises:
            StorageFault: it would replace, or become part of, an object of another project.
        """
        ...

    def delete(self, kind: type[Wire], key: str) -> bool: ...

    def delete_where(self, kind: type[Wire], where: Mapping[str, str]) -> int: ...

    def page(self, kind: type[ObjectT], query: PageQuery) -> tuple[list[ObjectT], bool]:
        """The objects of the page and whether more follow in its direction.

        Raises:
            InvalidRequest: the cursor names no object of this list (param after or before).
        """
        ...

    def count(self, kind: type[Wire], where: Mapping[str, str]) -> int:
        """How many objects match; `where` as in PageQuery."""
        ...

    def project_of(self, thread_id: str) -> str | None:
        """The project of a thread, for what is made on its behalf; None when there is no such thread."""
        ...

    # runs; the queue is the whole store's: a scoped one refuses to claim, to extend, to release, to name leases and
    # the overdue, to say whether there are other projects
    def active_run(self, thread_id: str) -> Run | None:
        """The run that is not over and so locks the thread."""
        ...

    def count_queued(self) -> int:
        """How many runs wait in the queue, claimed or not; a scoped store counts its project's."""
        ...

    def claim_run(
        self,
        owner: str,
        now: float,
        lease: float,
        run_id: str | None = None,
        *,
        share: int | None = None,
    ) -> Run | None:
        """The next run that wants work, or just `run_id` if it does, now owned by `owner` for `lease` seconds.

        That is a queued one, or one in_progress or cancelling whose lease has lapsed. Next is one of the project of
        which `owner` has the fewest runs, among those the oldest; a project of which it has `share` has to wait.
        """
        ...

    def several_projects(self) -> bool:
        """Whether more than one project has threads, or an active key to it."""
        ...

    def lease_owner(self, run_id: str) -> str | None:
        """Whose the run is, even if the lease has lapsed and nobody has taken the run over; None: nobody's."""
        ...

    def extend_leases(self, owner: str, now: float, lease: float) -> None: ...

    def release_run(self, run_id: str, owner: str) -> None:
        """Give an unfinished run back, if `owner` still owns it. A run that is over or waits has no owner anyway."""
        ...

    def leases_after(self, until: float) -> list[Lease]:
        """Leases that end after `until`; none does by more than a lease unless the clock was set back."""
        ...

    def overdue_runs(self, now: float) -> list[Run]:
        """Runs that are not over and past their expires_at."""
        ...

    # journal
    def append_event(self, run_id: str, name: EventName, data: Mapping[str, Any]) -> Event: ...

    def events(self, run_id: str, after: int = 0, limit: int = 1000) -> list[Event]: ...

    def last_seq(self, run_id: str) -> int: ...

    # what models did, turn by turn
    def append_turn(self, run_id: str, turn: TurnRecord) -> None:
        """Keep what a turn came to; one of the same number that is kept already stays."""
        ...

    def turns(self, run_id: str) -> list[TurnRecord]:
        """What is kept of a run's turns, in order."""
        ...

    def count_turns(self, run_id: str) -> int: ...

    # transcript
    def append_transcript(self, entry: TranscriptEntry) -> None: ...

    def transcript(self, thread_id: str) -> list[TranscriptEntry]: ...

    # ledger
    def add_code_session(self, thread_id: str, run_id: str, started_at: int, since: int) -> bool:
        """Note that a session began; False when the thread has one that began after `since`, or there is no thread."""
        ...

    def code_sessions(self, since: int, until: int) -> list[CodeSession]:
        """Those that began at `since` or later and before `until`, oldest first."""
        ...

    def code_sessions_of_thread(self, thread_id: str) -> list[CodeSession]:
        """Oldest first; also those of a thread that was deleted."""
        ...

    # vector stores
    def count_store_files(self, vector_store_id: str) -> tuple[FileCounts, int]:
        """Counts by status and the sum of usage_bytes."""
        ...

    def add_to_batch(
        self, batch_id: str, vector_store_id: str, file_ids: Sequence[str]
    ) -> None: ...

    def count_batch_files(self, batch_id: str) -> FileCounts: ...

    def stores_with_file(self, file_id: str) -> list[str]:
        """Ids of the vector stores that hold the file."""
        ...

    def batches_with_file(self, vector_store_id: str, file_id: str) -> list[str]:
        """Ids of the batches in progress that the store's file is a member of."""
        ...

    def owners_of_file(self, kind: type[Assistant] | type[Thread], file_id: str) -> list[str]:
        """Ids of the assistants or threads whose code interpreter lists the file."""
        ...

    def waiting_store_files(
        self, beside: Collection[str], limit: int
    ) -> list[tuple[str, VectorStoreFile]]:
        """(project, file): the oldest file in progress of each vector store in progress, oldest first.

        Those with keys in `beside` are left out. It is the whole store's queue: a scoped one refuses.
        """
        ...

    # housekeeping, of the whole store: a scoped store refuses it
    def due(self, kind: type[ObjectT], now: float, limit: int = 100) -> list[ObjectT]:
        """Files, pending uploads or vector stores not yet expired that are past their expires_at, longest first."""
        ...

    def next_due(self) -> int | None:
        """The earliest expires_at that `due` will ever find, in Unix seconds; None: nothing will expire."""
        ...

    def unowned(self, keys: Sequence[str]) -> list[str]:
        """Those of `keys` that are no file's and no upload part's."""
        ...


class Store(Protocol):
    """Where objects, journal and transcript live. A write that came back is on disk."""

    async def write(self, change: Callable[[Transaction], T]) -> T:
        """Run `change` in a transaction of its own. An exception rolls it back and is raised here."""
        ...

    async def read(self, query: Callable[[Transaction], T]) -> T:
        """Run `query` on a consistent snapshot; it must not write."""
        ...

    def scoped(self, project: str) -> "Store":
        """A view that sees and makes only objects of one project. Closing it closes nothing.

        Raises:
            StorageFault: this is a view of another project.
        """
        ...

    async def close(self) -> None: ...


class BlobStore(Protocol):
    """Bytes of files, by key (the file's id)."""

    async def write(self, key: str, chunks: AsyncIterator[bytes], limit: int) -> int:
        """Store a stream; atomic, on disk when it returns. Returns the number of bytes.

        Raises:
            TooLarge: more than `limit` bytes came; nothing is kept.
            InsufficientStorage: the disk has too little room left; nothing is kept.
        """
        ...

    def path(self, key: str) -> Path:
        """Where the bytes lie.

        Raises:
            StorageFault: they are gone.
        """
        ...

    async def intact(self, key: str, size: int) -> Path:
        """Where the bytes lie, once they are known to be the `size` bytes that were written.

        Raises:
            StorageFault: they are gone or damaged.
        """
        ...

    async def delete(self, key: str) -> None: ...

    async def delete_all(self, keys: Sequence[str]) -> None:
        """Drop the bytes of many without waiting for the disk: a crash of the machine may bring back some.

        Raises:
            StorageFault: some could not be dropped; all others are.
        """
        ...

    async def keys(self, older_than: float) -> list[str]:
        """Keys of all bytes that were written at least `older_than` seconds ago, by the file system's clock."""
        ...
