"""Makes the models of an installation out of what was configured: finds the weights, names them, says how to load them.

Nothing is loaded here and no weight is read; `LocalModels` does that when it is asked to. A model that is not on this
machine is an error at once.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_assistants import catalogue, model_store, paths
from local_assistants.engine.chat import ChatRequest
from local_assistants.engine.errors import InvalidRequest
from local_assistants.engine.observer import Observer
from local_assistants.engine.ports import Backend, Clock
from local_assistants.models_file import Isolation, ModelConfig, ModelsConfig

if TYPE_CHECKING:
    from local_assistants.backends.llama_cpp import LlamaSettings
    from local_assistants.backends.models import LocalModels, ModelEntry, OnProgress
    from local_assistants.backends.openai_compatible import OpenAISettings

SCRIPTED = "scripted:"
ELSEWHERE = "openai_compatible:"
_BUDGET_SHARE = (
    0.8  # of the memory that can be had; the rest is for the embedder, kernels and everybody else
)

_log = logging.getLogger("local_assistants")


@dataclass(frozen=True, slots=True)
class Runtime:
    """What models run in.

    Attributes:
        data: the folder of what survives; parked conversations lie in kv/ below it.
        clock: for scripts and idle times.
        observers: hear of models that come and go; may grow later.
        isolation: where GGUFs run.
        load_at_start: whether the first model is loaded before anybody asks, unless it says itself.
        threads, context_tokens: of models that say nothing of their own.
        aliases: further names of the first model.
    """

    data: Path
    clock: Clock
    observers: Sequence[Observer] = ()
    isolation: Isolation = "inline"
    load_at_start: bool = False
    threads: int | None = None
    context_tokens: int | None = None
    aliases: tuple[str, ...] = ()


def open_models(config: ModelsConfig, runtime: Runtime) -> "LocalModels":
    """The models, none of them loaded.

    Raises:
        ModelNotFound: weights are not on this machine; says how to get them.
        InvalidRequest: two models have one name, or a script or an address is wrong.
    """
    from local_assistants.backends.models import LocalModels

    budget = config.memory_budget or default_budget()
    found = _Found(runtime, budget)
    for model in config.models:
        found.add(model)
    found.claim(next(iter(found.entries)), runtime.aliases)
    embedder = catalogue.embedder()
    return LocalModels(
        found.entries,
        found.all_aliases(),
        int(runtime.clock.now()),
        (embedder.key, *embedder.aliases, embedder.target),
        clock=runtime.clock,
        budget=budget,
        erase=_eraser(runtime.data / "kv"),
        observers=runtime.observers,
    )


def default_budget() -> int:
    """Bytes that models may take together when nothing is said, by what can be had now."""
    from local_assistants.backends.memory import available_memory

    return int(available_memory() * _BUDGET_SHARE)


def weights_of(model: ModelConfig) -> Path | None:
    """The GGUF of a model; None when it has none.

    Raises:
        ModelNotFound: it is not on this machine.
    """
    if model.server is not None or model.source.startswith((SCRIPTED, ELSEWHERE)):
        return None
    return model_store.resolve(model.source, "chat")


def server_of(model: ModelConfig) -> "OpenAISettings | None":
    """How to reach the servers that answer for a model; None when none do.

    Raises:
        InvalidRequest: an address is wrong.
    """
    from local_assistants.backends.openai_compatible import OpenAISettings
    from local_assistants.engine.errors import BackendFault

    if not model.source.startswith(ELSEWHERE):
        return model.server
    try:
        return OpenAISettings.parse(model.source.removeprefix(ELSEWHERE))
    except BackendFault as error:
        raise InvalidRequest(error.message) from error


def ids_of(model: ModelConfig) -> list[str]:
    """What clients call a model, as it is listed; a folder of scripts is several.

    Raises:
        ModelNotFound: it is not on this machine.
        InvalidRequest: an address is wrong.
    """
    if model.source.startswith(SCRIPTED):
        found = list(_scripts(Path(model.source.removeprefix(SCRIPTED))))
        return [model.name] if model.name and len(found) == 1 else found
    server = server_of(model)
    if server is not None:
        return [model.name or server.model or "openai_compatible"]
    return [model.name or names_of(model_store.resolve(model.source, "chat"))[0]]


def llama_settings(model: ModelConfig, path: Path, runtime: Runtime) -> "LlamaSettings":
    """The settings of a GGUF: what it says itself, then what the installation says, then what the catalogue knows.

    Raises:
        InvalidRequest: values that make no sense.
    """
    from local_assistants.backends.llama_cpp import LlamaSettings
    from local_assistants.engine.errors import BackendFault

    entry = catalogue.find(path.name)
    defaults: dict[str, Any] = {
        "threads": runtime.threads,
        "context_tokens": runtime.context_tokens,
        "park_folder": runtime.data / "kv",
        "probe_folder": paths.cache_root() / "probes",
    }
    if entry is not None:
        defaults |= {"temperature_at_one": entry.temperature, "router": entry.router}
    settings = LlamaSettings(**{**defaults, **model.options})
    try:
        settings.check()
    except BackendFault as error:
        raise InvalidRequest(f"The model {model.name or model.source}: {error.message}") from error
    return settings


class _Found:
    """Collects entries and names."""

    def __init__(self, runtime: Runtime, budget: int) -> None:
        self._runtime = runtime
        self._budget = budget
        self.entries: dict[str, ModelEntry] = {}
        self._claimed: dict[str, str] = {}  # aliases that somebody wrote down
        self._known: dict[str, str] = {}  # names that a file has besides

    def add(self, model: ModelConfig) -> None:
        """Take in one configured model; a folder of scripts is several."""
        if model.source.startswith(SCRIPTED):
            scripts = _scripts(Path(model.source.removeprefix(SCRIPTED))).values()
            names = ids_of(model)
            for name, script in zip(names, scripts, strict=True):
                self._put(name, self._lived(model, _scripted(script, self._runtime.clock)))
            self.claim(names[0], model.aliases)
            return
        server = server_of(model)
        if server is not None:
            (name,) = ids_of(model)
            self._put(name, self._lived(model, _elsewhere(server, self._runtime.clock)))
            self.claim(name, model.aliases)
            return
        self._add_gguf(model, model_store.resolve(model.source, "chat"))

    def _add_gguf(self, model: ModelConfig, path: Path) -> None:
        settings = llama_settings(model, path, self._runtime)
        settings = replace(settings, memory=min(settings.memory or self._budget, self._budget))
        known = names_of(path)
        name = model.name or known[0]
        self._put(name, self._lived(model, _gguf(path, settings, self._runtime)))
        self.claim(name, model.aliases)
        for each in known:
            self._known.setdefault(each, name)

    def _lived(self, model: ModelConfig, entry: "ModelEntry") -> "ModelEntry":
        first = not self.entries and self._runtime.load_at_start
        at_start = first if model.load_at_start is None else model.load_at_start
        return replace(entry, idle_seconds=model.idle_seconds, at_start=at_start)

    def _put(self, name: str, entry: "ModelEntry") -> None:
        if name in self.entries:
            raise InvalidRequest(
                f"Two models are called {name!r}: give one another name in a models file."
            )
        self.entries[name] = entry

    def claim(self, name: str, aliases: Sequence[str]) -> None:
        """Have `aliases` mean the model `name`."""
        for alias in aliases:
            if self._claimed.setdefault(alias, name) != name:
                raise InvalidRequest(f"{alias!r} is an alias of two models.")

    def all_aliases(self) -> dict[str, str]:
        """Written ones before those that files bring along; a model's own name is nobody's alias."""
        for alias, name in self._claimed.items():
            if alias in self.entries and alias != name:
                raise InvalidRequest(f"{alias!r} is one model's name and another one's alias.")
        merged = {**self._known, **self._claimed}
        return {alias: name for alias, name in merged.items() if alias not in self.entries}


def names_of(path: Path) -> list[str]:
    """What clients may call the model in this file, its proper name first."""
    entry = catalogue.find(path.name)
    known = [entry.key, *entry.aliases] if entry else []
    return list(dict.fromkeys([*known, path.stem, path.name]))


def _scripts(path: Path) -> dict[str, Path]:
    """One model for a file; for a folder one for each file, `default` or else the first name being the default."""
    found = {script.stem: script for script in sorted(path.glob("*.yaml"))}
    names = sorted(found, key=lambda name: name != "default")
    return {name: found[name] for name in names} or {"scripted": path}


def _scripted(script: Path, clock: Clock) -> "ModelEntry":
    from local_assistants.backends.models import ModelEntry
    from local_assistants.backends.scripted import ScriptedBackend

    return ModelEntry(partial(_ready, ScriptedBackend.from_file(script, clock=clock)))


async def _ready(backend: Backend, on_progress: "OnProgress") -> Backend:
    del on_progress
    return backend


def _elsewhere(settings: "OpenAISettings", clock: Clock) -> "ModelEntry":
    from local_assistants.backends.models import ModelEntry

    async def load(on_progress: "OnProgress") -> Backend:
        del on_progress
        from local_assistants.backends.openai_compatible import OpenAICompatibleBackend

        return await OpenAICompatibleBackend.open(settings, clock=clock)

    return ModelEntry(load)


def _gguf(path: Path, settings: "LlamaSettings", runtime: Runtime) -> "ModelEntry":
    from local_assistants.backends.models import ModelEntry

    async def load(on_progress: "OnProgress") -> Backend:
        from local_assistants.backends import llama_cpp

        _log.info("loading %s", path.name)
        if runtime.isolation == "inline":
            return await llama_cpp.LlamaCppBackend.open(path, settings, on_progress)
        return await llama_cpp.ProcessBackend.open(path, settings, on_progress, clock=runtime.clock)

    def estimate(limit: int | None) -> int:
        from local_assistants.backends.llama_cpp.loading.opening import prepare

        return prepare(path, settings, limit).bytes

    def validate(request: ChatRequest) -> None:
        from local_assistants.backends.llama_cpp.validation import validate

        validate(request)

    return ModelEntry(load, estimate, validate)


def _eraser(folder: Path) -> Callable[[str], None]:
    def erase(session: str) -> None:
        if not folder.is_dir():
            return  # nothing was ever parked here
        from local_assistants.backends.llama_cpp.kv.parking import forget

        forget(folder, session)

    return erase
