"""Tables of an operator's TOML file, read with care: unknown keys, wrong types and senseless numbers are errors.

An error names the file, the table, the key, and what is allowed there; for a misspelt key, what was probably meant.
It knows nothing of what the values mean, and guesses nothing.
"""

import re
import tomllib
import typing
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Any, Literal, cast

from local_assistants.engine.errors import InvalidRequest

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
_ALIKE = 0.6
"""How much of a key must agree with a known one to be taken for a slip, from 0 to 1."""


def read_toml(path: Path, kind: str) -> dict[str, Any]:
    """The top table of the file at `path`, which is called a `kind` when it cannot be read.

    Raises:
        InvalidRequest: there is no such file, or it is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidRequest(f"Cannot read the {kind} {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{path} is not TOML: {error}.") from error


class Table:
    """One table of the file at `path`; `where` says which, as in "at the top".

    Args:
        path: the file; relative paths in it begin at its folder.
        where: the table, in words.
        table: its content.
        sizes: keys whose value is a number of bytes.
        signed: keys whose number may be below zero.
    """

    def __init__(
        self,
        path: Path,
        where: str,
        table: Mapping[str, Any],
        *,
        sizes: Collection[str] = (),
        signed: Collection[str] = (),
    ) -> None:
        self._path, self._where, self._table = path, where, table
        self._sizes, self._signed = sizes, signed
        self.folder = path.absolute().parent

    def __iter__(self) -> typing.Iterator[str]:
        return iter(self._table)

    def allow(self, names: Collection[str]) -> None:
        """Refuse other keys.

        Raises:
            InvalidRequest: there is one; says which ones there are, the most similar first.
        """
        for key in self._table:
            if key not in names:
                near = get_close_matches(key, names, 1, _ALIKE)
                meant = f" (did you mean {near[0]!r}?)" if near else ""
                raise self.error(
                    f"the key {key!r} is not known{meant}; there are: {', '.join(sorted(names))}"
                )

    def get(self, key: str, type_: Any, default: Any = None) -> Any:
        """The checked value of a key; the default where it is not there.

        Raises:
            InvalidRequest: it is not of that type; says what would be.
        """
        if key not in self._table:
            return default
        value = self._table[key]
        if key in self._sizes:
            return self._bytes(key, value)
        return self._checked(key, value, type_)

    def wrong(self, key: str, wanted: str) -> InvalidRequest:
        """The error for a value."""
        return self.error(f"{key} must be {wanted}")

    def error(self, text: str) -> InvalidRequest:
        """An error that names the place."""
        return InvalidRequest(f"{self._path}, {self._where}: {text.rstrip('.')}.")

    def _checked(self, key: str, value: Any, type_: Any) -> Any:
        kinds = [kind for kind in _kinds(type_) if kind is not type(None)]
        for kind in kinds:
            if typing.get_origin(kind) is Literal and value in typing.get_args(kind):
                return value
            if kind is Path and isinstance(value, str):
                return self.folder / value
            if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
                return self._sensible(key, float(value))
            if typing.get_origin(kind) is tuple and _texts(value):
                return tuple(value)
            if typing.get_origin(kind) is Mapping and isinstance(value, dict):
                return cast("dict[str, Any]", value)
            if kind in (int, bool, str) and type(value) is kind:
                return value
        raise self.wrong(key, " or ".join(_called(kind) for kind in kinds))

    def _sensible(self, key: str, value: float) -> float:
        if not 0 <= value < float("inf") and key not in self._signed:
            raise self.wrong(key, "a number of at least 0")
        return value

    def _bytes(self, key: str, value: Any) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
        found = _SIZE.fullmatch(value) if isinstance(value, str) else None
        if found is None or found[2].upper() not in _UNITS:
            raise self.wrong(key, "a size such as '6 GB' or '512 MiB', or a whole number of bytes")
        return int(float(found[1]) * _UNITS[found[2].upper()])


def is_list(value: object) -> typing.TypeGuard[list[Any]]:
    """Whether it is a list."""
    return isinstance(value, list)


def _kinds(type_: Any) -> tuple[Any, ...]:
    union = isinstance(type_, UnionType) or typing.get_origin(type_) is typing.Union
    return typing.get_args(type_) if union else (type_,)


def _texts(value: object) -> typing.TypeGuard[list[str]]:
    return is_list(value) and all(isinstance(each, str) and each for each in value)


def _called(kind: Any) -> str:
    if typing.get_origin(kind) is Literal:
        return f"one of {', '.join(map(repr, typing.get_args(kind)))}"
    if typing.get_origin(kind) is tuple:
        return "a list of texts"
    if typing.get_origin(kind) is Mapping:
        return "a table"
    names = {int: "a whole number", float: "a number", bool: "true or false"}
    return names.get(kind, "a text")
