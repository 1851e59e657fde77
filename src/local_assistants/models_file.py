"""Which models an installation serves: what the command line or an embedder names, or a file in TOML says.

docs/models-file.md explains every key. Everything in the file is checked here, and what is wrong is named with file,
table and key; whether a model is there and fits is not (chat_models).
"""

import dataclasses
import re
import tomllib
import typing
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal

from local_assistants.engine.errors import BackendFault, InvalidRequest

if TYPE_CHECKING:
    from local_assistants.backends.openai_compatible import OpenAISettings

Isolation = Literal["process", "inline"]
"""Where a GGUF runs: in a process of its own, or in this one."""

_UNITS = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)")
_BYTES = ("memory_budget", "memory", "park_memory", "park_disk")


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
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidRequest(f"Cannot read the models file {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{path} is not TOML: {error}.") from error
    return _File(path).models(table)


class _File:
    """Reads the tables of one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder = path.absolute().parent

    def models(self, table: dict[str, Any]) -> ModelsConfig:
        top = _Table(self._path, "at the top", table, self._folder)
        top.allow(("memory_budget", "idle_seconds", "model"))
        idle = top.seconds("idle_seconds", None)
        tables = table.get("model")
        if not _is_list(tables) or not tables:
            raise top.wrong("model", "at least one table [[model]]")
        models = tuple(self._model(number, each, idle) for number, each in enumerate(tables, 1))
        self._check_names(models)
        return ModelsConfig(models, top.get("memory_budget", int | None))

    def _model(self, number: int, table: Any, idle: float | None) -> ModelConfig:
        if not isinstance(table, dict):
            raise InvalidRequest(f"{self._path}: model must be written as tables, [[model]] each.")
        found = typing.cast("dict[str, Any]", table)
        where = _Table(self._path, f"in [[model]] number {number}", found, self._folder)
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
            return f"scripted:{self._folder / rest}"
        beside = self._folder / source
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


class _Table:
    """One table of the file, and what is said when something in it is wrong."""

    def __init__(self, path: Path, where: str, table: Mapping[str, Any], folder: Path) -> None:
        self._path, self._where, self._table, self._folder = path, where, table, folder

    def allow(self, names: Collection[str]) -> None:
        """Refuse other keys."""
        for key in self._table:
            if key not in names:
                raise self.error(
                    f"the key {key!r} is not known; there are: {', '.join(sorted(names))}"
                )

    def settings(self, fields: Mapping[str, Any], kind: str) -> dict[str, Any]:
        """The values of all keys that are fields of some settings."""
        self.allow({*fields, *_COMMON, kind})
        return {key: self.get(key, fields[key]) for key in self._table if key in fields}

    def get(self, key: str, type_: Any, default: Any = None) -> Any:
        """The checked value of a key; the default where it is not there."""
        if key not in self._table:
            return default
        value = self._table[key]
        if key in _BYTES:
            return self._bytes(key, value)
        return self._checked(key, value, type_)

    def seconds(self, key: str, default: float | None) -> float | None:
        """A time of at least a second: a model must not leave between two steps of a run."""
        value: float | None = self.get(key, float | None, default)
        if value is not None and value < 1:
            raise self.wrong(key, "at least 1 second")
        return value

    def _checked(self, key: str, value: Any, type_: Any) -> Any:
        kinds = [kind for kind in _kinds(type_) if kind is not type(None)]
        for kind in kinds:
            if typing.get_origin(kind) is Literal and value in typing.get_args(kind):
                return value
            if kind is Path and isinstance(value, str):
                return self._folder / value
            if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
                return self._positive(key, float(value))
            if typing.get_origin(kind) is tuple and _texts(value):
                return tuple(value)
            if typing.get_origin(kind) is Mapping and isinstance(value, dict):
                return typing.cast("dict[str, Any]", value)
            if kind in (int, bool, str) and type(value) is kind:
                return value
        raise self.wrong(key, " or ".join(_called(kind) for kind in kinds))

    def _positive(self, key: str, value: float) -> float:
        if not 0 <= value < float("inf") and key not in ("frequency_penalty", "presence_penalty"):
            raise self.wrong(key, "a number of at least 0")
        return value

    def _bytes(self, key: str, value: Any) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
        found = _SIZE.fullmatch(value) if isinstance(value, str) else None
        if found is None or found[2].upper() not in _UNITS:
            raise self.wrong(key, "a size such as '6 GB' or '512 MiB', or a whole number of bytes")
        return int(float(found[1]) * _UNITS[found[2].upper()])

    def wrong(self, key: str, wanted: str) -> InvalidRequest:
        """The error for a value."""
        return self.error(f"{key} must be {wanted}")

    def error(self, text: str) -> InvalidRequest:
        """An error that names the place."""
        return InvalidRequest(f"{self._path}, {self._where}: {text.rstrip('.')}.")


def _llama_fields() -> Mapping[str, Any]:
    from local_assistants.backends.llama_cpp import LlamaSettings

    hints = typing.get_type_hints(LlamaSettings)
    return {each.name: hints[each.name] for each in dataclasses.fields(LlamaSettings)}


def _kinds(type_: Any) -> tuple[Any, ...]:
    union = isinstance(type_, UnionType) or typing.get_origin(type_) is typing.Union
    return typing.get_args(type_) if union else (type_,)


def _is_list(value: object) -> typing.TypeGuard[list[Any]]:
    return isinstance(value, list)


def _texts(value: object) -> typing.TypeGuard[list[str]]:
    return _is_list(value) and all(isinstance(each, str) and each for each in value)


def _called(kind: Any) -> str:
    if typing.get_origin(kind) is Literal:
        return f"one of {', '.join(map(repr, typing.get_args(kind)))}"
    if typing.get_origin(kind) is tuple:
        return "a list of texts"
    if typing.get_origin(kind) is Mapping:
        return "a table"
    names = {int: "a whole number", float: "a number", bool: "true or false"}
    return names.get(kind, "a text")
