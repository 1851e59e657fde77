"""The composition root: makes an engine of the backends, the tools and the store.

`Engine.open` gives a running one. Heavy packages are imported by the adapters when they are first used, so opening an
engine is quick and needs none of them.

What it does not do: listen (serving), parse command lines (cli), fetch anything (pulling).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from local_assistants import catalogue, paths
from local_assistants.chat_models import SCRIPTED, Runtime, open_models
from local_assistants.embedders import open_embedding
from local_assistants.engine.clock import RandomIds, SystemClock
from local_assistants.engine.core import Core
from local_assistants.engine.errors import AssistantsError
from local_assistants.engine.feed import EventFeed
from local_assistants.engine.journal import Journal
from local_assistants.engine.objects import DEFAULT_PROJECT
from local_assistants.engine.ports import Clock, Models, Retriever, Store, Tool
from local_assistants.engine.services import Export, Histories, Keys, Overview, Services
from local_assistants.engine.services.health import Checkable
from local_assistants.engine.settings import BusyPolicy, CoreSettings
from local_assistants.models_file import Isolation, ModelConfig, ModelsConfig
from local_assistants.telemetry.settings import TelemetrySettings
from local_assistants.telemetry.tracing import traced

if TYPE_CHECKING:
    from local_assistants.backends.models import LocalModels
    from local_assistants.storage.presence import Keeper
    from local_assistants.storage.sqlite import SQLiteStore
    from local_assistants.tools.file_search.library import FileLibrary

_CLOSING = 10.0  # seconds for each part
_log = logging.getLogger("local_assistants")


@dataclass(frozen=True, slots=True)
class Settings:
    """How an installation is put together.

    Attributes:
        model: catalogue key, file name in a models folder, path of a GGUF, scripted:FILE (or a folder of scripts: a
            model each), or openai_compatible:URL[,URL...][#MODEL].
        models: several models, and more that can be said of each; then `model` is not looked at.
        isolation: where GGUFs run: "process", in one of their own, which is started again when it dies; or "inline",
            in this one.
        load_at_start: load the first model and try the sandbox before anybody asks for them, in the background.
        embedder: the embedding model of file search: a GGUF or a model folder, by path or name; None: the catalogue's.
        data: folder of everything that survives: store.db, blobs/, vectors/, code_interpreter/.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        threads: compute threads of a model; None: the physical cores, from three on one less.
        context_tokens: size of a model's context; None: what it was trained for, at most 16,384, less in little memory.
        model_aliases: further names that clients may call the first model by, such as those of their Azure deployments.
        interpreter: the Python environment that model-written code runs in.
        no_auth: ask nobody for a key. Without it, a server that others can reach does not start before there is one.
        allowed_hosts: further names that clients may call the server by, without port.
        require_beta_header: insist on `OpenAI-Beta: assistants=v2` as the hosted service did.
        allow_unsandboxed: run model-written code without isolation. Never set it where others can reach the server.
        code_interpreter: fields of the code interpreter's own `Settings` that differ from their defaults, such as
            {"limits": Limits(wall_seconds=60)}; `read_settings_file` gives them too.
        file_search: fields of file search's own `LibrarySettings` that differ from their defaults, the same way.
        retrievers: sources that serve passages to file search beside the vector stores; whoever made them closes them.
        busy_thread: what becomes of a new message or run while a run holds its thread: refuse, queue, interrupt.
        busy_wait: seconds that a request may wait for a busy thread at most.
        durability: "full": an acknowledged request survives a power cut; "normal": the end of the process only.
        drain_seconds: how long runs at work may take to end when the server is told to stop.
        telemetry: where traces of runs go, if anywhere.
        core: the core's own settings.
    """

    model: str = catalogue.DEFAULT
    models: ModelsConfig | None = None
    isolation: Isolation = "inline"
    load_at_start: bool = False
    embedder: str | None = None
    data: Path = field(default_factory=paths.data_root)
    host: str = "127.0.0.1"
    port: int = 8000
    threads: int | None = None
    context_tokens: int | None = None
    model_aliases: tuple[str, ...] = ()
    interpreter: Path = field(default_factory=paths.interpreter_root)
    no_auth: bool = False
    allowed_hosts: frozenset[str] = frozenset()
    require_beta_header: bool = False
    allow_unsandboxed: bool = False
    code_interpreter: Mapping[str, Any] = field(default_factory=dict[str, Any])
    file_search: Mapping[str, Any] = field(default_factory=dict[str, Any])
    retrievers: tuple[Retriever, ...] = ()
    busy_thread: BusyPolicy = BusyPolicy.REFUSE
    busy_wait: float = 60.0
    durability: Literal["full", "normal"] = "full"
    drain_seconds: float = 5.0
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
    core: CoreSettings = field(default_factory=CoreSettings)

    @property
    def served(self) -> ModelsConfig:
        """The models, however they were named."""
        return self.models or ModelsConfig((ModelConfig(self.model),))


class Engine:
    """A running engine. Made by `open`; `services` are its use cases in the project "default".

    Those of another project are `services.of(name)`.
    """

    def __init__(self, services: Services) -> None:
        self.services = services

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings | None = None) -> AsyncIterator["Engine"]:
        """An engine for the length of the block; runs left from before are taken up again.

        Raises:
            ModelNotFound: a model is not here; says how to get it.
            InvalidRequest: names or settings of models do not go together, or the data folder was indexed with
                another embedding model.
            StorageFault: the data folder cannot be used.
            MissingDependency: traces are wanted, and what makes them is not installed.
        """
        settings, feed = settings or Settings(), EventFeed()
        async with traced(settings.telemetry, settings.data) as observers:
            feed.observers.extend(observers)
            async with _running(settings, feed) as services:
                yield cls(services.of(DEFAULT_PROJECT))


@asynccontextmanager
async def _running(settings: Settings, feed: EventFeed) -> AsyncIterator[Services]:
    clock = SystemClock()
    models = _models(settings, feed, clock)
    keeper = _keeper(settings.data)
    core = _core(settings, keeper.keeps_house, models=models, feed=feed, clock=clock)
    services = Services(core)
    with closing(keeper), _at_work(settings.data):
        await services.start()
        models.start()
        if settings.load_at_start:
            await _prepare(core)
        try:
            yield services
        finally:
            await services.stop()
            await _close(core)


@asynccontextmanager
async def open_keys(data: Path) -> AsyncIterator[Keys]:
    """The keys of a data folder, whether a server runs on it or not.

    Raises:
        StorageFault: the data folder cannot be used.
    """
    store = _store(data)
    try:
        yield Keys(store, SystemClock(), RandomIds())
    finally:
        await store.close()


@asynccontextmanager
async def open_threads(
    data: Path, project: str | None = None
) -> AsyncIterator[tuple[Overview, Export]]:
    """The list of a data folder's threads and their export, whether a server runs on it or not.

    Args:
        data: the folder.
        project: whose threads; None: everybody's.

    Raises:
        StorageFault: the data folder cannot be used.
    """
    store = _store(data)
    seen: Store = store if project is None else store.scoped(project)
    try:
        yield Overview(seen), Export(seen, SystemClock())
    finally:
        await store.close()


@asynccontextmanager
async def open_histories(data: Path, project: str | None = None) -> AsyncIterator[Histories]:
    """The histories of a data folder's runs, whether a server runs on it or not; `project` as in `open_threads`.

    Raises:
        StorageFault: the data folder cannot be used.
    """
    store = _store(data)
    try:
        yield Histories(store if project is None else store.scoped(project))
    finally:
        await store.close()


def _at_work(data: Path) -> AbstractContextManager[None]:
    from local_assistants.storage.presence import at_work

    return at_work(data)


def _store(data: Path, durability: Literal["full", "normal"] = "full") -> "SQLiteStore":
    from local_assistants.storage.faults import system_fault
    from local_assistants.storage.sqlite import SQLiteSettings, SQLiteStore

    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise system_fault(error, data) from error
    return SQLiteStore.open(data / "store.db", SQLiteSettings(durability))


def _keeper(data: Path) -> "Keeper":
    from local_assistants.storage.presence import Keeper

    return Keeper(data)


def _core(
    settings: Settings,
    keeps_house: Callable[[], bool],
    *,
    models: Models,
    feed: EventFeed,
    clock: Clock,
) -> Core:
    from local_assistants.storage.blobs import FileBlobs

    store = _store(settings.data, settings.durability)
    store.on_answer = feed.stored
    library = _library(settings, store, keeps_house)
    return Core(
        store=store,
        blobs=FileBlobs(settings.data / "blobs", settings.core.min_free_bytes),
        models=models,
        tools=_tools(settings, clock, library),
        library=library,
        retrievers=settings.retrievers,
        clock=clock,
        ids=RandomIds(),
        feed=feed,
        journal=Journal(store, feed, clock),
        settings=_core_settings(settings),
        keeps_house=keeps_house,
    )


def _core_settings(settings: Settings) -> CoreSettings:
    """Those asked for; a script needs no nudge, and {{tool}} stands for what the tool said."""
    core, limits = settings.core, settings.code_interpreter.get("limits")
    if limits is not None:
        core = replace(core, max_failed_calls=limits.failed_calls)
    scripted = settings.served.models[0].source.startswith(SCRIPTED)
    return replace(core, nudges=False) if scripted else core


def _models(settings: Settings, feed: EventFeed, clock: Clock) -> "LocalModels":
    runtime = Runtime(
        data=settings.data,
        clock=clock,
        observers=feed.observers,
        isolation=settings.isolation,
        load_at_start=settings.load_at_start,
        threads=settings.threads,
        context_tokens=settings.context_tokens,
        aliases=settings.model_aliases,
    )
    return open_models(settings.served, runtime)


def _library(settings: Settings, store: Store, keeps_house: Callable[[], bool]) -> "FileLibrary":
    from local_assistants.storage.vectors.index import open_index
    from local_assistants.tools.file_search.library import FileLibrary
    from local_assistants.tools.file_search.settings import LibrarySettings

    search = LibrarySettings(**settings.file_search)
    embedding = open_embedding(settings.embedder or search.model, settings.data, search)
    index = open_index(settings.data / "vectors", search.index.server, keeps_house)
    return FileLibrary(store, index, embedding.worker, embedding.encoder, search)


def _tools(settings: Settings, clock: Clock, library: "FileLibrary") -> dict[str, Tool]:
    from local_assistants.tools.code_interpreter import tool as code_interpreter
    from local_assistants.tools.file_search.tool import FileSearch

    changes: dict[str, Any] = {
        "allow_unsandboxed": settings.allow_unsandboxed,
        **settings.code_interpreter,
    }
    code_settings = code_interpreter.Settings(
        environment=settings.interpreter, root=settings.data / "code_interpreter", **changes
    )
    tools: list[Tool] = [
        code_interpreter.CodeInterpreter(code_settings, clock),
        FileSearch(library, *settings.retrievers),
    ]
    return {tool.type: tool for tool in tools}


async def _prepare(core: Core) -> None:
    """Have the sandbox tried and an interpreter kept ready, in the background; say what file search lacks."""
    from local_assistants.tools.code_interpreter.tool import CodeInterpreter

    for tool in core.tools.values():
        if isinstance(tool, CodeInterpreter):
            tool.prepare()
    if isinstance(core.library, Checkable):
        try:
            await core.library.check()
        except AssistantsError as error:
            _log.warning("file_search cannot be used: %s", error)


async def _close(core: Core) -> None:
    """Close all parts, the store last; one that cannot be closed, or hangs, does not keep the others from it."""
    closing = [tool.close for tool in core.tools.values()]
    for close in (*closing, core.library.close, core.models.close, core.store.close):
        try:
            async with asyncio.timeout(_CLOSING):
                await close()
        except Exception:
            _log.exception("%s failed", close.__qualname__)
