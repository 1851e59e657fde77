"""Gathers what a run's model may see and do: the thread, its files, the tools on offer; makes the turn's request.

Reads the store once per turn. The order of everything is fixed, so that the same thread always gives the same
prompt and only its end grows.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .chat import ChatMessage, ChatRequest, ToolSchema
from .choice import Called, Choice, choice_of
from .context import ANSWER_RESERVE, Rendering, Unit, fit, last_messages, units_of
from .core import Core
from .errors import StorageFault
from .expiry import find_file
from .objects import (
    Attachment,
    CodeInterpreterTool,
    File,
    FileSearchSettings,
    FileSearchTool,
    FunctionTool,
    ImageFileContent,
    Message,
    Run,
    Thread,
    ToolSpec,
    VectorStore,
    VectorStoreFile,
)
from .ports import (
    Backend,
    MadeFile,
    PageQuery,
    Tool,
    ToolFile,
    ToolSession,
    Transaction,
    TranscriptEntry,
)
from .reading import Reading

_log = logging.getLogger("local_assistants.run")
_PAGE = 100
_BRIEF_FILES = 20
_MADE_FILES = 100


@dataclass(frozen=True, slots=True)
class ThreadView:
    """One consistent reading of everything a turn depends on."""

    thread: Thread
    entries: tuple[TranscriptEntry, ...]
    messages: dict[str, Message]
    files: dict[str, File]  # all files named by resources and messages that still exist
    stores: tuple[VectorStore, ...]  # assistant's, then thread's
    stored_files: tuple[str, ...] = ()  # ids of the files in these stores, oldest first
    made: tuple[MadeFile, ...] = ()  # by the thread's code so far, the newest of each path


@dataclass(frozen=True, slots=True)
class Prompt:
    """The request of a turn and what it costs."""

    request: ChatRequest
    tokens: int


@dataclass(slots=True)
class Budget:
    """Tokens left of the run's whole-life budgets; None means no budget."""

    prompt: int | None
    completion: int | None

    @classmethod
    def of(cls, run: Run) -> "Budget":
        return cls(run.max_prompt_tokens, run.max_completion_tokens)

    def spend(self, prompt: int, completion: int) -> None:
        """Take a turn's usage off."""
        if self.prompt is not None:
            self.prompt -= prompt
        if self.completion is not None:
            self.completion -= completion

    def exhausted(self, prompt_tokens: int) -> str | None:
        """The reason why a turn with a prompt of this size cannot be made any more; None when it can."""
        if self.prompt is not None and prompt_tokens > self.prompt:
            return "max_prompt_tokens"
        if self.completion is not None and self.completion <= 0:
            return "max_completion_tokens"
        return None


def read_thread(tx: Transaction, run: Run, now: int) -> ThreadView | None:
    """Read a thread for a run at `now`; None when the thread was deleted."""
    thread = tx.get(Thread, run.thread_id)
    if thread is None:
        return None
    messages = _all_messages(tx, thread.id)
    file_ids = [*run.tool_resources.file_ids, *thread.tool_resources.file_ids]
    for message in messages.values():
        file_ids += [attachment.file_id for attachment in message.attachments]
        file_ids += [
            p.image_file.file_id for p in message.content if isinstance(p, ImageFileContent)
        ]
    store_ids = (*run.tool_resources.vector_store_ids, *thread.tool_resources.vector_store_ids)
    stores = tuple(store for id_ in store_ids if (store := tx.get(VectorStore, id_)) is not None)
    stored: list[str] = []
    for store in stores:
        page, _ = tx.page(
            VectorStoreFile, PageQuery({"vector_store_id": store.id}, _BRIEF_FILES, "asc")
        )
        stored += [item.id for item in page]
    wanted = dict.fromkeys([*file_ids, *stored])
    files = {id_: file for id_ in wanted if (file := find_file(tx, id_, now)) is not None}
    lines = tx.transcript(thread.id)
    return ThreadView(
        thread,
        entries=tuple(entry for entry in lines if _concerns(run, entry)),
        messages=messages,
        files=files,
        stores=stores,
        stored_files=tuple(dict.fromkeys(stored)),
        made=tuple(made for made in _made_files(lines) if find_file(tx, made.file_id, now)),
    )


def _made_files(lines: Sequence[TranscriptEntry]) -> list[MadeFile]:
    """The newest file of each path that the thread's code wrote, of the latest such paths."""
    newest: dict[str, MadeFile] = {}
    for made in (made for line in lines for made in line.files):
        newest.pop(made.path, None)  # so that the order is that of the latest writing
        newest[made.path] = made
    return list(newest.values())[-_MADE_FILES:]


def _concerns(run: Run, entry: TranscriptEntry) -> bool:
    """Whether a line is for this run: what the core reminded the model of in another one is not."""
    reminder = entry.body is not None and entry.body.role == "user"
    return entry.run_id == run.id or not reminder


def _all_messages(tx: Transaction, thread_id: str) -> dict[str, Message]:
    messages: dict[str, Message] = {}
    query = PageQuery({"thread_id": thread_id}, _PAGE, "asc")
    while True:
        page, more = tx.page(Message, query)
        messages |= {message.id: message for message in page}
        if not more:
            return messages
        query = replace(query, after=page[-1].id)


def function_names(run: Run) -> frozenset[str]:
    """Names of the client-side functions that the run may call."""
    return frozenset(t.function.name for t in run.tools if isinstance(t, FunctionTool))


def function_schemas(tools: Sequence[ToolSpec]) -> tuple[ToolSchema, ...]:
    """The client-side functions among `tools`, as the model sees them."""
    return tuple(
        ToolSchema(
            name=tool.function.name,
            description=tool.function.description or "",
            parameters=tool.function.parameters,
            strict=tool.function.strict,
        )
        for tool in tools
        if isinstance(tool, FunctionTool)
    )


class PromptBuilder:
    """Makes the requests of one run."""

    def __init__(self, core: Core, run: Run) -> None:
        self._core = core
        self._run = run

    @property
    def functions(self) -> frozenset[str]:
        """Names of the client-side functions the run may call."""
        return function_names(self._run)

    def tools(self) -> dict[str, Tool]:
        """The engine-side tools the run may use, by name.

        A tool that the API knows and this installation lacks is simply absent.
        """
        wanted = [t.type for t in self._run.tools if not isinstance(t, FunctionTool)]
        return {
            name: self._core.tools[name]
            for name in dict.fromkeys(wanted)
            if name in self._core.tools
        }

    def session(
        self, view: ThreadView, first_citation: int = 1, reading: Reading | None = None
    ) -> ToolSession:
        """What tools may know of this run; `reading`: what a call that is about to run may give back."""
        usual = self._core.settings.tool_output_tokens
        reading = reading or Reading(usual, usual)
        code_files = [*self._run.tool_resources.file_ids, *view.thread.tool_resources.file_ids]
        return ToolSession(
            thread_id=self._run.thread_id,
            run_id=self._run.id,
            files=self._tool_files(view, code_files),
            vector_store_ids=tuple(store.id for store in view.stores),
            search=_search_settings(self._run.tools),
            output_tokens=reading.usual,
            most_tokens=reading.most,
            first_citation=first_citation,
        )

    async def build(
        self, view: ThreadView, budget: Budget, called: Called, backend: Backend
    ) -> Prompt:
        """The request of the next turn, cut to what fits. `called`: what the turns before have called.

        The prompt may be over budget still; the caller compares `tokens`.

        Raises:
            StorageFault: a file that the model or its code would be given is damaged.
        """
        await self._examine(view)
        session = self.session(view)
        units = await self._units(view, session, vision=backend.capabilities.vision)
        request = await self._bare_request(view, session, self.choice(called))
        # What has begun is finished first: its prompt is warm, and its client has waited the longest.
        request = replace(request, priority=int(called.turns > 0))
        window = backend.capabilities.context_window
        limit = window - min(ANSWER_RESERVE, budget.completion or ANSWER_RESERVE, window // 4)
        if budget.prompt is not None:
            limit = min(limit, budget.prompt)
        fitted, tokens = await fit(request, units, backend, limit)
        room = max(1, window - tokens)
        answer = room if budget.completion is None else min(room, budget.completion)
        return Prompt(replace(fitted, max_tokens=answer), tokens)

    async def whole(self, view: ThreadView) -> ChatRequest:
        """What the model is told, for people: nothing is left out for want of room, pictures are named by file id."""
        session = self.session(view)
        units = await self._units(view, session, vision=True, named=True)
        request = await self._bare_request(view, session, self.choice(Called()))
        said = tuple(message for unit in units for message in unit.messages)
        return replace(request, messages=(*request.messages, *said))

    async def _units(
        self, view: ThreadView, session: ToolSession, *, vision: bool, named: bool = False
    ) -> list[Unit]:
        """The conversation; pictures as host paths, or `named` by file id."""
        rendering = Rendering(
            brief=lambda attachments: self._attachment_brief(view, session, attachments),
            image=lambda file_id: file_id if named else self._image(view, file_id),
            vision=vision,
            messages=view.messages,
        )
        units = await units_of(view.entries, rendering)
        if self._run.truncation_strategy.type == "last_messages":
            units = last_messages(units, self._run.truncation_strategy.last_messages or 1)
        return units

    async def _bare_request(
        self, view: ThreadView, session: ToolSession, choice: Choice
    ) -> ChatRequest:
        """System message, tools and settings, without the conversation."""
        run = self._run
        system = await self._system_text(view, session)
        response_format = run.response_format if isinstance(run.response_format, dict) else None
        return ChatRequest(
            messages=(ChatMessage(role="system", content=system),) if system else (),
            tools=self._schemas(session),
            tool_choice=choice.mode,
            forced_tool=choice.forced or choice.urged,
            parallel_tool_calls=choice.parallel,
            temperature=1.0 if run.temperature is None else run.temperature,
            top_p=1.0 if run.top_p is None else run.top_p,
            response_format=response_format,
            session=run.thread_id,
        )

    def choice(self, called: Called) -> Choice:
        """What the next turn may and must call."""
        return choice_of(self._run, called, self._core.settings)

    def _schemas(self, session: ToolSession) -> tuple[ToolSchema, ...]:
        own = (tool.schema(session) for tool in self.tools().values())
        return (*own, *function_schemas(self._run.tools))

    async def _system_text(self, view: ThreadView, session: ToolSession) -> str:
        """Instructions, then what the tools say of the files that came with assistant and thread."""
        attached = {a.file_id for m in view.messages.values() for a in m.attachments}
        paragraphs = [self._run.instructions or ""]
        for name, tool in self.tools().items():
            if name == CodeInterpreterTool().type:
                files = tuple(f for f in session.files if f.file.id not in attached)
            else:
                files = self._tool_files(view, [i for i in view.stored_files if i not in attached])
            paragraphs.append(await tool.brief(files, session) if files else "")
        return "\n\n".join(text for text in paragraphs if text)

    async def _attachment_brief(
        self, view: ThreadView, session: ToolSession, attachments: Sequence[Attachment]
    ) -> str:
        lines: list[str] = []
        for name, tool in self.tools().items():
            ids = [a.file_id for a in attachments if any(t.type == name for t in a.tools)]
            files = self._tool_files(view, ids)
            lines.append(await tool.brief(files, session) if files else "")
        return "\n\n".join(line for line in lines if line)

    def _tool_files(self, view: ThreadView, file_ids: Sequence[str]) -> tuple[ToolFile, ...]:
        found = [view.files[id_] for id_ in dict.fromkeys(file_ids) if id_ in view.files]
        placed = [(file, self._path(file)) for file in found]
        return tuple(ToolFile(file, path) for file, path in placed if path is not None)

    def _image(self, view: ThreadView, file_id: str) -> str | None:
        file = view.files.get(file_id)
        path = None if file is None else self._path(file)
        return None if path is None else str(path)

    async def _examine(self, view: ThreadView) -> None:
        """Look at the bytes of what is given away as it is; of what is searched the text is in the store.

        Raises:
            StorageFault: some are damaged.
        """
        blobs = self._core.blobs
        for file in view.files.values():
            if file.id in view.stored_files or self._path(file) is None:
                continue
            try:
                await blobs.intact(file.id, file.bytes)
            except StorageFault:
                if self._path(file) is not None:  # not deleted at this moment
                    raise

    def _path(self, file: File) -> Path | None:
        """Where a file's bytes lie; None when it was deleted since the thread was read."""
        try:
            return self._core.blobs.path(file.id)
        except StorageFault:
            _log.warning(
                "run %s goes on without file %s: its bytes are gone", self._run.id, file.id
            )
            return None


def _search_settings(tools: Sequence[ToolSpec]) -> FileSearchSettings:
    for tool in tools:
        if isinstance(tool, FileSearchTool):
            return tool.file_search
    return FileSearchSettings()
