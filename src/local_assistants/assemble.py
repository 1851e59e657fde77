"""The composition root: makes an engine of the backends, the tools and the store.

`Engine.open` gives a running one. Heavy packages are imported by the adapters when they are first used, so opening an
engine is quick and needs none of them.

What it does not do: listen (serving), parse command lines (cli), fetch anything (model_store).
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from local_assistants import catalogue, model_store, paths
from local_assistants.engine.clock import RandomIds, SystemClock
from local_assistants.engine.core import Core
from local_assistants.engine.feed import EventFeed
from local_assistants.engine.journal import Journal
from local_assistants.engine.objects import DEFAULT_PROJECT
from local_assistants.engine.ports import Backend, Clock, Models, Store, Tool
from local_assistants.engine.services import Export, Keys, Overview, Services
from local_assistants.engine.settings import BusyPolicy, CoreSettings

if TYPE_CHECKING:
    from local_assistants.backends.models import ModelEntry, OnProgress
    from local_assistants.storage.sqlite import SQLiteStore
    from local_assistants.tools.file_search.library import FileLibrary

_log = logging.getLogger("local_assistants")
_SCRIPTED = "scripted:"


@dataclass(frozen=True, slots=True)
class Settings:
    """How an installation is put together.

    Attributes:
        model: catalogue key, file name in a models folder, path of a GGUF, or scripted:FILE (or a
            folder of scripts: a model each).
        data: folder of everything that survives: store.db, blobs/, vectors/, code_interpreter/.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        threads: compute threads of the model; None: the physical cores.
        context_tokens: size of the model's context; None: what it was trained for, within reason.
        model_aliases: further names that clients may call the model by, such as those of their Azure deployments.
        interpreter: the Python environment that model-written code runs in.
        no_auth: ask nobody for a key. Without it, a server that others can reach does not start before there is one.
        allowed_hosts: further names that clients may call the server by, without port.
        require_beta_header: insist on `OpenAI-Beta: assistants=v2` as the hosted service did.
        allow_unsandboxed: run model-written code without isolation. Never set it where others can reach the server.
        busy_thread: what becomes of a new message or run while a run holds its thread: refuse, queue, interrupt.
        busy_wait: seconds that a request may wait for a busy thread at most.
        core: the core's own settings.
    """

    model: str = catalogue.DEFAULT
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
    busy_thread: BusyPolicy = BusyPolicy.REFUSE
    busy_wait: float = 60.0
    core: CoreSettings = field(default_factory=CoreSettings)


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
            ModelNotFound: the model is not here; says how to get it.
            StorageFault: the data folder cannot be used.
        """
        core = _core(settings or Settings())
        services = Services(core)
        await services.start()
        try:
            yield cls(services.of(DEFAULT_PROJECT))
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


def _store(data: Path) -> "SQLiteStore":
    from local_assistants.storage.faults import system_fault
    from local_assistants.storage.sqlite import SQLiteStore

    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise system_fault(error, data) from error
    return SQLiteStore.open(data / "store.db")


def _core(settings: Settings) -> Core:
    from local_assistants.storage.blobs import FileBlobs

    clock = SystemClock()
    models = _models(settings, clock)
    store = _store(settings.data)
    feed = EventFeed()
    library = _library(settings, store)
    return Core(
        store=store,
        blobs=FileBlobs(settings.data / "blobs", settings.core.min_free_bytes),
        models=models,
        tools=_tools(settings, clock, library),
        library=library,
        clock=clock,
        ids=RandomIds(),
        feed=feed,
        journal=Journal(store, feed, clock),
        settings=_core_settings(settings),
    )


def _core_settings(settings: Settings) -> CoreSettings:
    """Those asked for; a script needs no nudge, and {{tool}} stands for what the tool said."""
    scripted = settings.model.startswith(_SCRIPTED)
    return replace(settings.core, nudges=False) if scripted else settings.core


def _models(settings: Settings, clock: Clock) -> Models:
    from local_assistants.backends.models import LocalModels, ModelEntry

    weights = catalogue.embedder()
    unsuited = (weights.key, *weights.aliases, weights.target)
    if settings.model.startswith(_SCRIPTED):
        scripts = _scripted(Path(settings.model.removeprefix(_SCRIPTED)), clock)
        aliases = dict.fromkeys(settings.model_aliases, next(iter(scripts)))
        return LocalModels(scripts, aliases, int(clock.now()), unsuited)
    path = model_store.resolve(settings.model)
    names, opener = _names_of(path), partial(_load_gguf, path, settings)
    aliases = dict.fromkeys((*names[1:], *settings.model_aliases), names[0])
    return LocalModels({names[0]: ModelEntry(opener)}, aliases, int(clock.now()), unsuited)


def _scripted(path: Path, clock: Clock) -> "dict[str, ModelEntry]":
    """One model for a file; for a folder one for each file, `default` or else the first name being the default."""
    from local_assistants.backends.models import ModelEntry
    from local_assistants.backends.scripted import ScriptedBackend

    found = {script.stem: script for script in sorted(path.glob("*.yaml"))}
    names = sorted(found, key=lambda name: name != "default")
    scripts = {name: found[name] for name in names} or {"scripted": path}
    return {
        name: ModelEntry(partial(_ready, ScriptedBackend.from_file(script, clock=clock)))
        for name, script in scripts.items()
    }


def _names_of(path: Path) -> list[str]:
    """What clients may call the model in this file, its proper name first."""
    entry = catalogue.find(path.name)
    known = [entry.key, *entry.aliases] if entry else []
    return list(dict.fromkeys([*known, path.stem, path.name]))


async def _ready(backend: Backend, on_progress: "OnProgress") -> Backend:
    del on_progress
    return backend


async def _load_gguf(path: Path, settings: Settings, on_progress: "OnProgress") -> Backend:
    from local_assistants.backends.llama_cpp import LlamaCppBackend, LlamaSettings

    _log.info("loading %s", path.name)
    entry = catalogue.find(path.name)
    return await LlamaCppBackend.open(
        path,
        LlamaSettings(
            threads=settings.threads,
            context_tokens=settings.context_tokens,
            temperature_at_one=entry.temperature if entry else 1.0,
        ),
        on_progress,
    )


def _library(settings: Settings, store: Store) -> "FileLibrary":
    from local_assistants.storage.vectors_chroma import ChromaIndex
    from local_assistants.tools.file_search.embedding import SentenceEmbedder
    from local_assistants.tools.file_search.library import FileLibrary

    weights = catalogue.embedder()
    folder = next(
        (here for root in paths.model_folders() if (here := root / weights.target).is_dir()),
        paths.models_root() / weights.target,  # not there yet: the embedder says how to get it
    )
    embedder = SentenceEmbedder(folder, sha256=weights.sha256)
    return FileLibrary(store, ChromaIndex(settings.data / "vectors"), embedder)


def _tools(settings: Settings, clock: Clock, library: "FileLibrary") -> dict[str, Tool]:
    from local_assistants.tools.code_interpreter import tool as code_interpreter
    from local_assistants.tools.file_search.tool import FileSearch

    code_settings = code_interpreter.Settings(
        environment=settings.interpreter,
        root=settings.data / "code_interpreter",
        allow_unsandboxed=settings.allow_unsandboxed,
    )
    tools: list[Tool] = [
        code_interpreter.CodeInterpreter(code_settings, clock),
        FileSearch(library),
    ]
    return {tool.type: tool for tool in tools}


async def _close(core: Core) -> None:
    for tool in core.tools.values():
        await tool.close()
    await core.library.close()
    await core.models.close()
    await core.store.close()
