"""Ports of the work itself: time and names, models, tools."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from ..chat import Capabilities, ChatRequest, Delta, ToolCall, ToolSchema
from ..objects import (
    CodeOutput,
    File,
    FileSearchDetails,
    FileSearchSettings,
    Model,
)

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
            InvalidRequest: a schema, or the forced tool, cannot be honoured.
            BackendFault: the runtime failed.
        """
        ...

    async def forget(self, session: str) -> None:
        """The conversation of this key was deleted: erase what is kept for it, in memory and on disk."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """How a model is at the moment, for people.

    `progress` (0 to 1) is how far it is loaded; `bytes` what it takes in memory, about; `detail` one line of what was
    chosen for it (context, threads, layers on a GPU) or why it failed.
    """

    name: str
    state: Literal["unloaded", "loading", "ready", "failed"]
    progress: float = 0.0
    bytes: int = 0
    detail: str = ""


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
        """The backend of a resolved name, loaded when it comes back.

        It may be unloaded once nobody has streamed from it for a while: ask again for every run.
        """
        ...

    async def validate(self, name: str, request: ChatRequest) -> None:
        """Refuse at once what the model of a resolved name could never answer; does not load it.

        Raises:
            InvalidRequest: a schema of the response format or of a strict tool is beyond what can be enforced.
        """
        ...

    async def forget(self, session: str) -> None:
        """`Backend.forget` for every model, loaded or not."""
        ...

    def status(self) -> Sequence[ModelStatus]:
        """Every model with how it is, in the order of `list`."""
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


SessionStarted = Callable[[float], Awaitable[None]]
"""(Unix seconds) Hears when a session of the code interpreter began, before its first code runs: it is billed so."""


@dataclass(frozen=True, slots=True)
class ToolSession:
    """What a tool may know of the run that calls it."""

    thread_id: str
    run_id: str
    files: tuple[
        ToolFile, ...
    ] = ()  # for the code interpreter: assistant's, thread's (its messages' among them); in mounting order
    vector_store_ids: tuple[str, ...] = ()  # assistant's, then thread's
    search: FileSearchSettings = field(default_factory=FileSearchSettings)
    output_tokens: int = 2000  # how much text the model reads back from one call in good time
    most_tokens: int = 2000  # how much there is room for, if the client wants that
    first_citation: int = 1  # number of the first passage a search of this call may give
    save_file: SaveFile | None = None
    session_started: SessionStarted | None = None


@dataclass(frozen=True, slots=True)
class Citation:
    """A passage that the model was given under `number` and may cite as [number].

    Attributes:
        quote: the sentence that it was found for.
        page: 1-based; None when the file has no pages.
        source: the vector store, or whatever a retriever names, that the passage can be opened in.
        start: where `text` begins in the file's text, in code points.
        text: what the model was shown of it.
    """

    number: int
    file_id: str
    filename: str
    quote: str
    page: int | None = None
    source: str = ""
    start: int = 0
    text: str = ""


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
    silent: bool = False  # it ran and told nothing that is sure enough to answer with


Emit = Callable[[CodeOutput], Awaitable[None]]
"""Called by a tool for each fragment of logs and each image, in order, as they come."""


@dataclass(frozen=True, slots=True)
class Kernels:
    """How many interpreters a tool keeps: those of sessions, spare ones, and how many there may be at once."""

    sessions: int
    spare: int
    limit: int


@runtime_checkable
class HasKernels(Protocol):
    """What a tool may be besides: able to say how many interpreters it keeps, for whoever watches the process."""

    def kernels(self) -> Kernels: ...


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
