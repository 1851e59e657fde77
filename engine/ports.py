"""What the core needs from the outside world, as protocols. Adapters live in the other rooms.

Structural: a user's class needs no base class of ours. All coroutines may be cancelled at any await.
`tests/contract` runs one suite per port over every adapter.
"""

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from .chat import Capabilities, ChatMessage, ChatRequest, Delta, ToolCall, ToolSchema
from .events import Event, EventName
from .objects import (
    Assistant,
    CodeOutput,
    File,
    FileCounts,
    FileSearchDetails,
    FileSearchSettings,
    Model,
    Run,
    StaticChunking,
    Thread,
    Wire,
)

T = TypeVar("T")
ObjectT = TypeVar("ObjectT", bound=Wire)


# --- time and names --------------------------------------------------------------------------------


class Clock(Protocol):
    """Time. Tests turn it by hand."""

    def now(self) -> float:
        """Unix seconds."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of this clock."""
        ...


class Ids(Protocol):
    """Names for new objects."""

    def new(self, kind: str) -> str:
        """A new id in the API's form for this kind of object (contract, 1.4).

        `kind` is one of assistant, thread, message, run, step, call, file, vector_store, file_batch, upload, part,
        key, request.
        """
        ...


# --- models ----------------------------------------------------------------------------------------


class Backend(Protocol):
    """One model, ready to talk. Knows chat messages and tool schemas; never sees a thread or a run."""

    @property
    def capabilities(self) -> Capabilities: ...

    async def count_tokens(self, request: ChatRequest) -> int:
        """Prompt tokens this request would take."""
        ...

    def stream(self, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        """One turn. Closing the generator stops the work at once.

        Raises:
            ContextOverflow: the prompt does not fit.
            BackendFault: the runtime failed.
        """
        ...

    async def close(self) -> None: ...


class Models(Protocol):
    """The models served here, by name."""

    def list(self) -> Sequence[Model]: ...

    def resolve(self, name: str) -> str:
        """The name of the model that answers for `name` (aliases followed).

        Raises:
            ModelNotFound: none does.
            UnsuitedModel: the model of this name cannot hold a conversation.
        """
        ...

    async def backend(self, name: str) -> Backend:
        """The backend of a resolved name, loaded when it comes back."""
        ...

    async def close(self) -> None: ...


# --- tools -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ToolFile:
    """A file a tool may read: its record and where its bytes lie on this host (read-only)."""

    file: File
    path: Path


SaveFile = Callable[[str, bytes | Path], Awaitable[File]]
"""(file name, bytes or a host path to copy from) -> the stored File, purpose assistants_output."""


@dataclass(frozen=True, slots=True)
class ToolSession:
    """What a tool may know of the run that calls it."""

    thread_id: str
    run_id: str
    files: tuple[
        ToolFile, ...
    ] = ()  # for the code interpreter: assistant's, thread's; in mounting order
    vector_store_ids: tuple[str, ...] = ()  # assistant's, then thread's
    search: FileSearchSettings = field(default_factory=FileSearchSettings)
    output_tokens: int = 2000  # how much text the model can afford to read back from one call
    first_citation: int = 1  # number of the first passage a search of this call may give
    save_file: SaveFile | None = None


@dataclass(frozen=True, slots=True)
class Citation:
    """A passage that the model was given under `number` and may cite as [number]."""

    number: int
    file_id: str
    filename: str
    quote: str
    page: int | None = None


@dataclass(frozen=True, slots=True)
class MadeFile:
    """A file that code made: `path` as the code sees it (/mnt/data/report.xlsx), `file_id` in our store."""

    path: str
    file_id: str


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a call came to. `output` is what the model reads; the rest is for the API's objects.

    Logs and images of a code call are not repeated here: they were emitted while it ran.
    """

    output: str
    search: FileSearchDetails | None = None
    citations: tuple[Citation, ...] = ()
    files: tuple[MadeFile, ...] = ()
    images: tuple[str, ...] = ()  # file ids, in order of appearance
    failed: bool = False  # the call ran and failed (traceback, nothing found): still output, never a failed step


Emit = Callable[[CodeOutput], Awaitable[None]]
"""Called by a tool for each fragment of logs and each image, in order, as they come."""


class Tool(Protocol):
    """Something the runtime does for the model. Client-side functions are not tools in this sense."""

    @property
    def type(self) -> str:
        """The API's tool type, which is also the name the model calls."""
        ...

    def schema(self, session: ToolSession) -> ToolSchema: ...

    async def brief(self, files: Sequence[ToolFile], session: ToolSession) -> str:
        """What the prompt should say of these files (where they lie, what is in them); "" if nothing.

        Must give the same text for the same files, so that prompts stay append-only.
        """
        ...

    async def run(self, call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
        """Do the call. Bad arguments and failing code come back as output for the model.

        Raises:
            ToolFault: the tool cannot work at all (no sandbox, no index).
        """
        ...

    async def forget(self, thread_id: str) -> None:
        """The thread was deleted: drop what is kept for it."""
        ...

    async def close(self) -> None: ...


# --- the searchable library ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of a file's text. `start` and `end` count code points in the file's parsed text."""

    id: str
    vector_store_id: str
    file_id: str
    index: int
    text: str
    start: int
    end: int
    page: int | None = None  # 1-based
    heading: str = ""  # file name and heading path, indexed with the text
    vector: bytes | None = None  # float32, little endian, L2-normalised


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk found by a search, with the name and attributes of its file. `score` is 0..1, best first."""

    chunk: Chunk
    filename: str
    score: float
    attributes: Mapping[str, str | int | float | bool] = field(
        default_factory=dict[str, str | int | float | bool]
    )


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What to look for, in which stores; several queries are answered by one merged list."""

    vector_store_ids: tuple[str, ...]
    queries: tuple[str, ...]
    max_results: int = 20
    score_threshold: float = 0.0
    filters: Mapping[str, Any] | None = None  # the contract's filter objects (1.12)


@dataclass(frozen=True, slots=True)
class Indexed:
    """What indexing a file came to: number of chunks and the API's usage_bytes."""

    chunks: int
    usage_bytes: int


class Library(Protocol):
    """Files made searchable. Holds no status: the core moves those."""

    async def add(
        self, vector_store_id: str, source: ToolFile, chunking: StaticChunking | None
    ) -> Indexed:
        """Parse, chunk, embed and store a file; repeatable (a second add replaces the first). `chunking` None: auto.

        Raises:
            UnsupportedFile: no parser for its type.
            InvalidRequest: the file cannot be parsed; the message says why.
        """
        ...

    async def remove(self, vector_store_id: str, file_id: str) -> None: ...

    async def drop(self, vector_store_id: str) -> None: ...

    async def search(self, query: SearchQuery) -> list[Passage]: ...

    async def text(self, vector_store_id: str, file_id: str) -> str:
        """The parsed text of an indexed file ("" when it has none)."""
        ...

    async def close(self) -> None: ...


class VectorIndex(Protocol):
    """Nearest neighbours. Keeps ids and vectors only; the text's truth is the Store."""

    async def upsert(
        self, collection: str, ids: Sequence[str], vectors: Sequence[Sequence[float]], file_id: str
    ) -> None: ...

    async def query(
        self, collection: str, vector: Sequence[float], limit: int
    ) -> list[tuple[str, float]]:
        """(id, cosine similarity -1..1), best first; an unknown collection is empty."""
        ...

    async def delete(self, collection: str, ids: Sequence[str]) -> None: ...

    async def drop(self, collection: str) -> None: ...

    async def count(self, collection: str) -> int: ...

    async def close(self) -> None: ...


# --- what survives ---------------------------------------------------------------------------------


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
    the exact chat message, and of a tool's output also the passages and files it brought. `seq` is given by the store
    and orders the thread.
    """

    thread_id: str
    run_id: str | None = None
    step_id: str | None = None
    message_id: str | None = None
    body: ChatMessage | None = None
    citations: tuple[Citation, ...] = ()
    files: tuple[MadeFile, ...] = ()
    seq: int = 0


class Transaction(Protocol):
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

    # runs; the queue is the whole store's: a scoped one refuses to claim, to extend, to release, to name the overdue
    def active_run(self, thread_id: str) -> Run | None:
        """The run that is not over and so locks the thread."""
        ...

    def count_queued(self) -> int:
        """How many runs wait in the queue, claimed or not, of all projects."""
        ...

    def claim_run(
        self, owner: str, now: float, lease: float, run_id: str | None = None
    ) -> Run | None:
        """The oldest run that wants work, or just `run_id` if it does, now owned by `owner` for `lease` seconds.

        That is a queued one, or one in_progress or cancelling whose lease has lapsed.
        """
        ...

    def lease_owner(self, run_id: str) -> str | None:
        """Whose the run is, even if the lease has lapsed and nobody has taken the run over; None: nobody's."""
        ...

    def extend_leases(self, owner: str, now: float, lease: float) -> None: ...

    def release_run(self, run_id: str, owner: str) -> None:
        """Give an unfinished run back, if `owner` still owns it. A run that is over or waits has no owner anyway."""
        ...

    def overdue_runs(self, now: float) -> list[Run]:
        """Runs that are not over and past their expires_at."""
        ...

    # journal
    def append_event(self, run_id: str, name: EventName, data: Mapping[str, Any]) -> Event: ...

    def events(self, run_id: str, after: int = 0, limit: int = 1000) -> list[Event]: ...

    def last_seq(self, run_id: str) -> int: ...

    # transcript
    def append_transcript(self, entry: TranscriptEntry) -> None: ...

    def transcript(self, thread_id: str) -> list[TranscriptEntry]: ...

    # library
    def put_chunks(self, chunks: Iterable[Chunk]) -> None: ...

    def chunks(self, ids: Sequence[str]) -> list[Chunk]: ...

    def file_chunks(self, vector_store_id: str, file_id: str | None = None) -> list[Chunk]:
        """In order of file and index; of the whole store when file_id is None."""
        ...

    def delete_chunks(self, vector_store_id: str, file_id: str | None = None) -> list[str]:
        """Ids of the chunks deleted; of the whole store when file_id is None."""
        ...

    def match_chunks(
        self, vector_store_ids: Sequence[str], text: str, limit: int
    ) -> list[tuple[str, float]]:
        """Keyword search: (chunk id, relevance > 0), best first. `text` is any user text, never query syntax."""
        ...

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
        """
        ...

    def path(self, key: str) -> Path:
        """Where the bytes lie.

        Raises:
            StorageFault: they are gone.
        """
        ...

    async def delete(self, key: str) -> None: ...

    async def keys(self, older_than: float) -> list[str]:
        """Keys of all bytes that were written at least `older_than` seconds ago, by the file system's clock."""
        ...
