"""Which models an installation serves: what the command line or an embedder names, or a file in TOML says.

docs/models-file.md explains every key. Everything in the file is checked here, and what is wrong is named with file,
table and key; whether a model is there and fits is not (chat_models).
"""

import dataclasses
import typing
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from local_assistants.engine.errors import BackendFault, InvalidRequest
from local_assistants.toml_table import Table, is_list, read_toml

if TYPE_CHECKING:
    from local_assistants.backends.openai_compatible import OpenAISettings

Isolation = Literal["process", "inline"]
"""Where a GGUF runs: in a process of its own, or in this one."""

_SIZES = ("memory_budget", "memory", "park_memory", "park_disk")
_SIGNED = ("frequency_penalty", "presence_penalty")


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """One model.

    Attributes:
        source: catalogue key, file name in a models folder, path of a GGUF, scripted:FILE (or a folder of scripts: a
            model each), or openai_compatible:URL[,URL...][#MODEL].
        name: what clients call it; None: by its source.
        aliases: further names.
        idle_seconds: it is unloaded when nobody has used it for so long; None: it stays.
        load_at_start: whether it is loaded before anybody asks; None: the first model, where that is wanted.
        options: fields of `LlamaSettings` that differ from their defaults.
        server: how to reach the servers that answer for it; then `source` says nothing.
    """

    source: str = ""
    name: str | None = None
    aliases: tuple[str, ...] = ()
    idle_seconds: float | None = None
    load_at_start: bool | None = None
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    server: "OpenAISettings | None" = None

    @property
    def called(self) -> str:
        """What to call it when speaking of the configuration."""
        elsewhere = self.server.model if self.server else None
        return self.name or self.source or elsewhere or "openai_compatible"


@dataclass(frozen=True, slots=True)
class ModelsConfig:
    """All models, the default first.

    Attributes:
        models: at least one.
        memory_budget: bytes that all loaded ones may take together; None: four fifths of what can be had at the start.
    """

    models: tuple[ModelConfig, ...]
    memory_budget: int | None = None


def read_models_file(path: Path) -> ModelsConfig:
    """What a file says. Relative paths in it begin at its folder.

    Raises:
        InvalidRequest: it cannot be read or understood; names the place and what is allowed there.
    """
    return _File(path).models(read_toml(path, "models file"))


class _File:
    """Reads the tables of one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def models(self, table: dict[str, Any]) -> ModelsConfig:
        top = _Table(self._path, "at the top", table)
        top.allow(("memory_budget", "idle_seconds", "model"))
        idle = top.seconds("idle_seconds", None)
        tables = table.get("model")
        if not is_list(tables) or not tables:
            raise top.wrong("model", "at least one table [[model]]")
        models = tuple(self._model(number, each, idle) for number, each in enumerate(tables, 1))
        self._check_names(models)
        return ModelsConfig(models, top.get("memory_budget", int | None))

    def _model(self, number: int, table: Any, idle: float | None) -> ModelConfig:
        if not isinstance(table, dict):
            raise InvalidRequest(f"{self._path}: model must be written as tables, [[model]] each.")
        found = typing.cast("dict[str, Any]", table)
        where = _Table(self._path, f"in [[model]] number {number}", found)
        elsewhere = "endpoints" in found
        common: dict[str, Any] = {
            "name": where.get("name", str | None),
            "aliases": where.get("aliases", tuple[str, ...], ()),
            "idle_seconds": where.seconds("idle_seconds", idle),
            "load_at_start": where.get("load_at_start", bool | None),
        }
        if elsewhere:
            return ModelConfig(**common, server=self._server(where))
        options = where.settings(_llama_fields(), "source")
        return ModelConfig(**common, source=self._source(where), options=options)

    def _server(self, table: "_Table") -> "OpenAISettings":
        from local_assistants.backends.openai_compatible import OpenAISettings

        fields = typing.get_type_hints(OpenAISettings)
        try:
            return OpenAISettings(**table.settings(fields, "endpoints"))
        except BackendFault as error:
            raise table.error(error.message) from error

    def _source(self, table: "_Table") -> str:
        source = table.get("source", str | None)
        if not source:
            raise table.error(
                "a model needs a source (catalogue key, file, path or scripted:FILE) or endpoints"
            )
        kind, colon, rest = source.partition(":")
        if colon and kind == "scripted":
            return f"scripted:{table.folder / rest}"
        beside = table.folder / source
        return str(beside) if beside.is_file() else source

    def _check_names(self, models: Collection[ModelConfig]) -> None:
        seen: set[str] = set()
        for model in models:
            for name in (model.called, *model.aliases):
                if not name.isprintable() or not 0 < len(name) <= _LONGEST_NAME:
                    raise InvalidRequest(
                        f"{self._path}: {name[:40]!r} is no name: 1 to {_LONGEST_NAME} characters that can be printed."
                    )
                if name in seen:
                    raise InvalidRequest(
                        f"{self._path}: two models are called {name!r}; a name or an alias means one model."
                    )
                seen.add(name)


_LONGEST_NAME = 256  # characters, as long as the API's own
_COMMON = ("name", "aliases", "idle_seconds", "load_at_start")


class _Table(Table):
    """A table of a models file."""

    def __init__(self, path: Path, where: str, table: Mapping[str, Any]) -> None:
        super().__init__(path, where, table, sizes=_SIZES, signed=_SIGNED)

    def settings(self, fields: Mapping[str, Any], kind: str) -> dict[str, Any]:
        """The values of all keys that are fields of some settings."""
        self.allow({*fields, *_COMMON, kind})
        return {key: self.get(key, fields[key]) for key in self if key in fields}

    def seconds(self, key: str, default: float | None) -> float | None:
        """A time of at least a second: a model must not leave between two steps of a run."""
        value: float | None = self.get(key, float | None, default)
        if value is not None and value < 1:
            raise self.wrong(key, "at least 1 second")
        return value


def _llama_fields() -> Mapping[str, Any]:
    from local_assistants.backends.llama_cpp import LlamaSettings

    hints = typing.get_type_hints(LlamaSettings)
    return {each.name: hints[each.name] for each in dataclasses.fields(LlamaSettings)}
