"""What an operator sets beyond the command line: a file in TOML, about store, runs, code interpreter and file search.

docs/settings-file.md explains every key. The keys are the fields of the settings' own classes, so a field added there
can be set here; whatever the file says is checked here, and what is wrong is named with file, table and key.
"""

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from local_assistants.engine.errors import InvalidRequest
from local_assistants.engine.reading import LEAST_OUTPUT, MOST_OUTPUT
from local_assistants.engine.settings import CoreSettings
from local_assistants.telemetry.settings import TelemetrySettings
from local_assistants.toml_table import Table, read_toml

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

STORE, RUNS, CODE, SEARCH = "store", "runs", "code_interpreter", "file_search"
TELEMETRY = "telemetry"
"""The tables at the top."""

_SCALARS = (bool, int, float, str)
_MIB = 1 << 20
_CORE = CoreSettings()


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """What a settings file says.

    Attributes:
        code_interpreter: fields of `tools.code_interpreter.settings.Settings` that differ from their defaults.
        file_search: fields of `tools.file_search.settings.LibrarySettings` that differ from theirs.
        runs: fields of `engine.settings.CoreSettings` that differ from theirs; those of `RunSettings` can be set.
        store: what of `StoreSettings` differs from its defaults: fields of `assemble.Settings`.
        telemetry: fields of `telemetry.settings.TelemetrySettings` that differ from their defaults.
    """

    code_interpreter: Mapping[str, Any] = field(default_factory=dict[str, Any])
    file_search: Mapping[str, Any] = field(default_factory=dict[str, Any])
    runs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    store: Mapping[str, Any] = field(default_factory=dict[str, Any])
    telemetry: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What of the core's settings belongs in a file; they are explained there.

    More tokens than the hosted search ever gives, or fewer than one passage has, are none that the engine keeps to.
    """

    BOUNDS: ClassVar[dict[str, tuple[float, float]]] = {
        "tool_output_tokens": (LEAST_OUTPUT, MOST_OUTPUT),
        "reading_seconds": (1, 3600),
        "max_concurrent_runs": (1, 10_000),
        "max_queued_runs": (1, 1_000_000),
    }

    tool_output_tokens: int = _CORE.tool_output_tokens
    reading_seconds: float = _CORE.reading_seconds
    max_concurrent_runs: int = _CORE.max_concurrent_runs
    max_queued_runs: int = _CORE.max_queued_runs


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """What can be set of the store; docs/durability.md tells what each word promises."""

    CHOICES: ClassVar[dict[str, tuple[str, ...]]] = {"durability": ("full", "normal")}

    durability: str = "full"


def read_settings_file(path: Path) -> OperatorSettings:
    """What a file says.

    Raises:
        InvalidRequest: it cannot be read or understood; names the place and what is allowed there.
    """
    from local_assistants.tools.code_interpreter.settings import Settings
    from local_assistants.tools.file_search.settings import LibrarySettings

    table = read_toml(path, "settings file")
    top = Table(path, "at the top", table)
    kinds = {
        CODE: Settings,
        SEARCH: LibrarySettings,
        RUNS: RunSettings,
        STORE: StoreSettings,
        TELEMETRY: TelemetrySettings,
    }
    top.allow(kinds)
    return OperatorSettings(
        **{
            name: _changes(path, name, top.get(name, Mapping[str, Any], {}), of)
            for name, of in kinds.items()
        }
    )


def _changes(
    path: Path, name: str, content: Mapping[str, Any], of: type["DataclassInstance"]
) -> dict[str, Any]:
    """The fields of the class that table `name` sets, subtables as instances of their own classes."""
    kinds, groups = _fields(of)
    table = Table(path, f"in [{name}]", content, sizes=[key for key in kinds if _is_size(key)])
    _check_keys(table, name, kinds, groups)
    found: dict[str, Any] = {key: table.get(key, kinds[key]) for key in table if key in kinds}
    _check_bounds(table, of, found)
    _check_choices(table, of, found)
    for key, group in groups.items():
        if key in content:
            inner = table.get(key, Mapping[str, Any])
            changes = _changes(path, f"{name}.{key}", inner, group)
            found[key] = _made(Table(path, f"in [{name}.{key}]", inner), group, changes)
    return found


def _made(table: Table, group: type[Any], changes: Mapping[str, Any]) -> Any:
    """The settings of a subtable; what does not go together there is told with its place."""
    try:
        return group(**changes)
    except InvalidRequest as error:
        raise table.error(error.message) from error


def _fields(of: type["DataclassInstance"]) -> tuple[dict[str, Any], dict[str, type[Any]]]:
    """The fields that a line can set, with their types; and those that are settings of their own."""
    hints = typing.get_type_hints(of)
    named = {each.name: hints[each.name] for each in dataclasses.fields(of)}
    plain = {name: kind for name, kind in named.items() if _is_plain(kind)}
    groups = {
        name: cast("type[Any]", kind)
        for name, kind in named.items()
        if dataclasses.is_dataclass(kind)
    }
    return plain, groups


def _is_plain(kind: Any) -> bool:
    kinds = [each for each in typing.get_args(kind) or (kind,) if each is not type(None)]
    return all(each in _SCALARS for each in kinds)


def _is_size(key: str) -> bool:
    return key.endswith("_bytes")


def _check_keys(
    table: Table, name: str, kinds: Mapping[str, Any], groups: Mapping[str, type[Any]]
) -> None:
    """Refuse unknown keys; one that belongs to a table below is told where it belongs."""
    for key in table:
        home = next((each for each, group in groups.items() if key in _fields(group)[0]), None)
        if home is not None and key not in kinds:
            raise table.error(f"the key {key!r} belongs in [{name}.{home}]")
    table.allow({*kinds, *groups})


def _check_bounds(table: Table, of: type["DataclassInstance"], found: Mapping[str, Any]) -> None:
    """Refuse numbers with which nothing would work; a class may say in BOUNDS what does."""
    bounds: Mapping[str, tuple[float, float]] = getattr(of, "BOUNDS", {})
    for key, value in found.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        least, most = bounds.get(key, (0, float("inf")))
        if not least <= value <= most:
            bound = (
                f"at least {_said(key, least)}" if value < least else f"at most {_said(key, most)}"
            )
            raise table.wrong(key, f"{bound}, and {_said(key, value)} is not")


def _check_choices(table: Table, of: type["DataclassInstance"], found: Mapping[str, Any]) -> None:
    """Refuse words that are none of those that a class names in CHOICES."""
    choices: Mapping[str, tuple[str, ...]] = getattr(of, "CHOICES", {})
    for key, words in choices.items():
        if key in found and found[key] not in words:
            raise table.wrong(key, f"one of {', '.join(words)}, and {found[key]!r} is not")


def _said(key: str, value: float) -> str:
    if not _is_size(key):
        return f"{value:g}"
    return f"{value / _MIB:g} MiB" if value >= _MIB else f"{value:g} bytes"
