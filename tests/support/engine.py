"""The core on real storage: scripted turns, a virtual clock, counting ids, tools and a library that do as told.

Doubles stand only where the core meets the outside world (its ports); all else is the product's own.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_assistants.backends.scripted import ScriptedBackend
from local_assistants.engine import requests
from local_assistants.engine.chat import Capabilities, ChatRequest, Delta, ToolCall, ToolSchema
from local_assistants.engine.core import Core
from local_assistants.engine.errors import (
    AssistantsError,
    InvalidRequest,
    ModelNotFound,
    UnsupportedFile,
)
from local_assistants.engine.events import Event
from local_assistants.engine.feed import EventFeed
from local_assistants.engine.journal import Journal
from local_assistants.engine.objects import (
    Assistant,
    File,
    Message,
    Model,
    Run,
    RunStep,
    StaticChunking,
    Thread,
)
from local_assistants.engine.ports import (
    Backend,
    Chunk,
    Clock,
    Emit,
    Ids,
    Indexed,
    Library,
    Models,
    ModelStatus,
    Opened,
    PageQuery,
    Passage,
    SearchQuery,
    Tool,
    ToolFile,
    ToolResult,
    ToolSession,
    TranscriptEntry,
)
from local_assistants.engine.services import Services
from local_assistants.engine.settings import CoreSettings
from local_assistants.storage.blobs import FileBlobs
from local_assistants.storage.sqlite import SQLiteStore

from .clock import VirtualClock
from .database import open_store
from .ids import CountingIds

MODEL = "scripted"
PATIENCE = 60.0  # real seconds after which a test that waits has failed
OLDEST_FIRST = PageQuery(order="asc", limit=100)
FAST = CoreSettings(flush_interval=0.0, nudges=False)

Turns = Sequence[dict[str, Any]]


class RecordingBackend:
    """The scripted backend, and the requests that it was given."""

    def __init__(self, turns: Turns, *, clock: Clock, context_window: int = 32768) -> None:
        self._inner = ScriptedBackend.from_turns(turns, clock=clock, context_window=context_window)
        self.requests: list[ChatRequest] = []

    @property
    def capabilities(self) -> Capabilities:
        """The script's."""
        return self._inner.capabilities

    async def count_tokens(self, request: ChatRequest) -> int:
        """Words, roughly."""
        return await self._inner.count_tokens(request)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        """The turn that is due."""
        self.requests.append(request)
        async with aclosing(self._inner.stream(request)) as deltas:
            async for delta in deltas:
                yield delta

    async def forget(self, session: str) -> None:
        """Nothing is kept."""

    async def close(self) -> None:
        """Nothing to let go of."""


class DeltaBackend:
    """The `Backend` port: each request plays the next list of deltas; an event among them is waited for."""

    def __init__(self, *turns: Sequence[Delta | asyncio.Event]) -> None:
        self._turns = iter(turns)
        self.requests: list[ChatRequest] = []

    @property
    def capabilities(self) -> Capabilities:
        """Room for everything, and eyes."""
        return Capabilities(context_window=32768, vision=True)

    async def count_tokens(self, request: ChatRequest) -> int:
        """One per message."""
        return len(request.messages)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        """The next turn."""
        self.requests.append(request)
        for item in next(self._turns):
            if isinstance(item, asyncio.Event):
                await item.wait()
            else:
                yield item

    async def forget(self, session: str) -> None:
        """Nothing is kept."""

    async def close(self) -> None:
        """Nothing to let go of."""


class OneModel:
    """The `Models` port with one backend, which a test may exchange as well as the names it answers to."""

    def __init__(self, backend: Backend) -> None:
        self.current = backend
        self.names = {MODEL}
        self.registry: Models | None = None  # asked for names in place of this, if set
        self.refusal: AssistantsError | None = None  # what any schema is answered with, if set
        self.validated: list[ChatRequest] = []
        self.forgotten: list[str] = []

    def list(self) -> Sequence[Model]:
        """The one model, by all its names."""
        return [Model(id=name, created=0, owned_by="tests") for name in sorted(self.names)]

    def resolve(self, name: str) -> str:
        """The name, if it is one of the model's."""
        if self.registry is not None:
            return self.registry.resolve(name)
        if name not in self.names:
            raise ModelNotFound(f"The model '{name}' does not exist", param="model")
        return name

    async def backend(self, name: str) -> Backend:
        """What answers now."""
        return self.current

    async def validate(self, name: str, request: ChatRequest) -> None:
        """Remember what was asked about, and refuse it if told to."""
        self.validated.append(request)
        if self.refusal is not None:
            raise self.refusal

    async def forget(self, session: str) -> None:
        """Remember that it was asked for."""
        self.forgotten.append(session)

    def status(self) -> Sequence[ModelStatus]:
        """Always ready."""
        return [ModelStatus(MODEL, "ready", 1.0)]

    async def close(self) -> None:
        """Nothing to let go of."""


Behaviour = Callable[[ToolCall, ToolSession, Emit], Awaitable[ToolResult]]


class ScriptedTool:
    """The `Tool` port: does what `behave` says and remembers its calls."""

    def __init__(self, type_: str, behave: Behaviour) -> None:
        self._type = type_
        self._behave = behave
        self.calls: list[ToolCall] = []
        self.sessions: list[ToolSession] = []
        self.forgotten: list[str] = []

    @property
    def type(self) -> str:
        """The API's tool type."""
        return self._type

    def schema(self, session: ToolSession) -> ToolSchema:
        """A schema without arguments."""
        return ToolSchema(self._type, "A tool of the tests.", {"type": "object", "properties": {}})

    async def brief(self, files: Sequence[ToolFile], session: ToolSession) -> str:
        """The files' names."""
        return f"{self._type} has: {', '.join(file.file.filename for file in files)}"

    async def run(self, call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
        """What the test said."""
        self.calls.append(call)
        self.sessions.append(session)
        return await self._behave(call, session, emit)

    async def forget(self, thread_id: str) -> None:
        """Remember that it was asked for."""
        self.forgotten.append(thread_id)

    async def close(self) -> None:
        """Nothing to let go of."""


def answering(output: str, **fields: Any) -> Behaviour:
    """A tool that gives the same output every time."""

    async def behave(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
        return ToolResult(output, **fields)

    return behave


class Shelf:
    """The `Library` port: a file's bytes are its text; what a file says can make indexing it fail.

    A text that begins with "unsupported" or "broken" is refused; `gate`, when set, holds indexing up, a text that
    begins with `held` is never done, and `fault`, when set, is met by all. How many are indexed now, and were at most,
    is counted.
    """

    def __init__(self) -> None:
        self.gate: asyncio.Event | None = None
        self.held: str | None = None
        self.fault: AssistantsError | None = None
        self.at_work = 0
        self.most_at_work = 0
        self.texts: dict[tuple[str, str], str] = {}
        self.removed: list[tuple[str, str]] = []
        self.queries: list[SearchQuery] = []

    async def add(
        self, vector_store_id: str, source: ToolFile, chunking: StaticChunking | None
    ) -> Indexed:
        """Keep the text."""
        self.at_work += 1
        self.most_at_work = max(self.at_work, self.most_at_work)
        try:
            return await self._add(vector_store_id, source)
        finally:
            self.at_work -= 1

    async def _add(self, vector_store_id: str, source: ToolFile) -> Indexed:
        if self.gate is not None:
            await self.gate.wait()
        text = source.path.read_text()
        if self.held is not None and text.startswith(self.held):
            await asyncio.Event().wait()
        if self.fault is not None:
            raise self.fault
        if text.startswith("unsupported"):
            raise UnsupportedFile("The file type is not supported.")
        if text.startswith("broken"):
            raise InvalidRequest("The file could not be parsed.")
        self.texts[vector_store_id, source.file.id] = text
        return Indexed(chunks=1, usage_bytes=len(text))

    async def remove(self, vector_store_id: str, file_id: str) -> None:
        """Forget a text."""
        self.removed.append((vector_store_id, file_id))
        self.texts.pop((vector_store_id, file_id), None)

    async def drop(self, vector_store_id: str) -> None:
        """Forget a store."""
        self.texts = {key: text for key, text in self.texts.items() if key[0] != vector_store_id}

    async def search(self, query: SearchQuery) -> list[Passage]:
        """The texts that hold a word of the queries; filters and thresholds are only remembered."""
        self.queries.append(query)
        words = {word.lower() for text in query.queries for word in text.split()}
        found = [
            Passage(Chunk(f"{store}/{file}/0", store, file, 0, text, 0, len(text)), "a.txt", 0.5)
            for (store, file), text in self.texts.items()
            if store in query.vector_store_ids and words & set(text.lower().split())
        ]
        return found[: query.max_results]

    def rewritten(self, queries: Sequence[str]) -> tuple[str, ...]:
        """In small letters."""
        return tuple(query.lower() for query in queries)

    async def text(self, vector_store_id: str, file_id: str) -> str:
        """A file's text."""
        return self.texts.get((vector_store_id, file_id), "")

    @property
    def name(self) -> str:
        """Of this double."""
        return "shelf"

    async def open(self, source: str, file_id: str, start: int, end: int) -> Opened | None:
        """The stretch in a file's whole text."""
        text = self.texts.get((source, file_id), "")
        return Opened(text, 0, start, end) if end <= len(text) else None

    async def close(self) -> None:
        """Nothing to let go of."""


@dataclass
class House:
    """A running core and short ways to use it as a client would."""

    core: Core
    services: Services
    store: SQLiteStore
    models: OneModel
    backend: RecordingBackend
    library: Shelf
    clock: Clock
    crashed: bool = field(default=False)

    @property
    def virtual(self) -> VirtualClock:
        """The clock, to be turned by hand."""
        assert isinstance(self.clock, VirtualClock)
        return self.clock

    async def crash(self) -> None:
        """End as a killed process does: from now on nothing reaches the disk, no lease is given back."""
        self.crashed = True
        await self.store.close()

    async def assistant(self, **fields: Any) -> Assistant:
        """A new assistant with these fields."""
        body = requests.CreateAssistant.model_validate({"model": MODEL} | fields)
        return await self.services.assistants.create(body)

    async def thread(self, *questions: str, **fields: Any) -> Thread:
        """A new thread with these messages of the user's."""
        messages = [{"role": "user", "content": question} for question in questions]
        body = requests.CreateThread.model_validate({"messages": messages} | fields)
        return await self.services.threads.create(body)

    async def message(self, thread_id: str, content: str, **fields: Any) -> Message:
        """A new message of the user's."""
        body = {"role": "user", "content": content} | fields
        return await self.services.messages.create(
            thread_id, requests.CreateMessage.model_validate(body)
        )

    async def run(self, thread_id: str, assistant_id: str, **fields: Any) -> Run:
        """A new run on a thread."""
        body = requests.CreateRun.model_validate({"assistant_id": assistant_id} | fields)
        return await self.services.runs.create(thread_id, body)

    async def ask(self, question: str = "Hi", *, tools: Sequence[Any] = (), **fields: Any) -> Run:
        """A new assistant with these tools, a thread with a question, and a run with these fields."""
        assistant = await self.assistant(tools=list(tools))
        thread = await self.thread(question)
        return await self.run(thread.id, assistant.id, **fields)

    async def events(self, run: Run, after: int = 0) -> list[Event]:
        """The run's events up to its end or its next wait for the client."""
        async with asyncio.timeout(PATIENCE):
            return [event async for event in self.services.runs.stream(run.id, after)]

    async def finish(self, run: Run, after: int = 0) -> Run:
        """The run when it has ended or waits for the client."""
        await self.events(run, after)
        return await self.get(run)

    async def get(self, run: Run) -> Run:
        """The run as it is now."""
        return await self.services.runs.get(run.thread_id, run.id)

    async def until(self, run: Run, name: str, after: int = 0) -> Event:
        """Wait for an event of the run."""
        async with (
            asyncio.timeout(PATIENCE),
            aclosing(self.services.runs.stream(run.id, after)) as events,
        ):
            async for event in events:
                if event.name == name:
                    return event
        raise AssertionError(f"the stream ended without {name}")

    async def submit(self, run: Run, outputs: dict[str, str]) -> tuple[Run, int]:
        """Outputs by call id; the run and the number of the last event before."""
        body = {"tool_outputs": [{"tool_call_id": k, "output": v} for k, v in outputs.items()]}
        return await self.services.runs.submit(
            run.thread_id, run.id, requests.SubmitOutputs.model_validate(body)
        )

    async def messages(self, run: Run) -> list[Message]:
        """The thread's messages, oldest first."""
        page = await self.services.messages.list(run.thread_id, OLDEST_FIRST)
        return list(page.data)

    async def steps(self, run: Run) -> list[RunStep]:
        """The run's steps as stored, oldest first."""
        query = PageQuery({"run_id": run.id}, 100, "asc")
        return await self.store.read(lambda tx: tx.page(RunStep, query)[0])

    async def journal(self, run: Run) -> list[Event]:
        """The run's events as stored so far."""
        return await self.store.read(lambda tx: tx.events(run.id))

    async def transcript(self, thread_id: str) -> list[TranscriptEntry]:
        """What the model saw and said."""
        return await self.store.read(lambda tx: tx.transcript(thread_id))

    async def file(self, name: str, text: str) -> File:
        """An uploaded file for assistants."""
        return await self.services.files.create(name, "assistants", _one(text.encode()))


async def _one(chunk: bytes) -> AsyncIterator[bytes]:
    yield chunk


@asynccontextmanager
async def house(
    folder: Path,
    turns: Turns = ({"text": "Hello."},),
    *,
    tools: Iterable[Tool] = (),
    settings: CoreSettings = FAST,
    clock: Clock | None = None,
    ids: Ids | None = None,
    context_window: int = 32768,
    library: Callable[[SQLiteStore], Library] | None = None,
    keeps_house: Callable[[], bool] = lambda: True,
) -> AsyncGenerator[House]:
    """A running core over `folder`. Two may be open over one folder, or one after the other.

    `library` makes another one than the shelf.
    """
    clock = clock or VirtualClock()
    store = open_store(folder)
    backend = RecordingBackend(turns, clock=clock, context_window=context_window)
    models, feed, shelf = OneModel(backend), EventFeed(), Shelf()
    core = Core(
        store=store,
        blobs=FileBlobs(folder / "blobs"),
        models=models,
        tools={tool.type: tool for tool in tools},
        library=shelf if library is None else library(store),
        clock=clock,
        ids=ids or CountingIds(),
        feed=feed,
        journal=Journal(store, feed, clock),
        settings=settings,
        keeps_house=keeps_house,
    )
    made = House(core, Services(core), store, models, backend, shelf, clock)
    await made.services.start()
    try:
        yield made
    finally:
        await _close(made)


async def _close(made: House) -> None:
    try:
        await made.services.stop()
        await made.core.library.close()
    except Exception:
        if not made.crashed:  # a crashed one cannot give its leases back
            raise
    await made.store.close()


FUNCTION: dict[str, Any] = {
    "type": "function",
    "function": {"name": "add", "parameters": {"type": "object", "properties": {}}},
}
CODE = {"type": "code_interpreter"}
SEARCH = {"type": "file_search"}


def names(events: Sequence[Event]) -> list[str]:
    """The events' names without "thread.", runs of the same delta as one."""
    short: list[str] = []
    for event in events:
        name = event.name.removeprefix("thread.")
        if not (name.endswith("delta") and short[-1:] == [name]):
            short.append(name)
    return short


def calls(name: str, *arguments: dict[str, Any], text: str = "") -> dict[str, Any]:
    """A scripted turn that calls one tool, once for each of `arguments`."""
    turn: dict[str, Any] = {"tool_calls": [{"name": name, "arguments": a} for a in arguments]}
    return turn | ({"text": text} if text else {})
