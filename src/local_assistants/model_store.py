"""The weights on this machine: which are there, where a name leads, and whether they are what they were.

`resolve` trusts what lies on disk (a hash of a gigabyte takes seconds); `verify` does not. It fetches nothing: getting
weights is `pulling`'s, which nothing imports but the command line. It loads none. What is said of a name that leads
nowhere is `unknown_names`'.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from local_assistants import catalogue, paths, unknown_names
from local_assistants.catalogue import CatalogueEntry, Kind
from local_assistants.engine.errors import AssistantsError

PARTS_FOLDER = ".parts"
"""Below a models folder: the parts of pulls that are not finished."""

CHUNK = 1 << 20
"""Bytes read at a time when hashing and copying."""

_ORIGINS_FOLDER = ".pulled"
_SPLIT = re.compile(r"(?P<base>.+)-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})\.gguf")


class Progress(Protocol):
    """Told how far something is; called from several threads, a few times a second at most per part."""

    def __call__(self, stage: str, done: int, total: int, /) -> None:
        """`stage` is "fetch", "join" or "verify"; `done` and `total` are bytes."""


def silent(stage: str, done: int, total: int) -> None:
    """A progress listener that does nothing."""


@dataclass(frozen=True)
class Origin:
    """Where a file that was pulled from a file, an address or a hub came from.

    Attributes:
        source: what was pulled, as it was written but for passwords and queries.
        sha256: of each part in turn; a file that is not split has one.
    """

    source: str
    sha256: tuple[str, ...]


@dataclass(frozen=True)
class Weights:
    """Weights found on disk.

    Attributes:
        name: what to call them: the catalogue's key, else the file's name.
        path: the GGUF file (of a split one its first part), or the embedder's folder.
        bytes: size of the weights, all parts together.
        entry: what the catalogue says, None for a file of the user's own.
    """

    name: str
    path: Path
    bytes: int
    entry: CatalogueEntry | None

    @property
    def files(self) -> list[Path]:
        """The GGUF's files, all parts in order."""
        return [self.path.with_name(name) for name in part_names(self.path.name)]


def part_names(file: str, base: str | None = None) -> list[str]:
    """The names of all parts of a split GGUF in order, given that of any; of another file its own name.

    Args:
        file: the name of a file, NAME.gguf or NAME-00001-of-00003.gguf.
        base: what to call it instead of NAME.
    """
    split = _SPLIT.fullmatch(file)
    if split is None:
        return [file if base is None else f"{base}.gguf"]
    count, base = int(split["count"]), base or split["base"]
    return [f"{base}-{part:05}-of-{count:05}.gguf" for part in range(1, count + 1)]


def installed(folders: Sequence[Path] | None = None) -> list[Weights]:
    """Weights in `folders` (default: all models folders), each name once, in the order in which `resolve` chooses."""
    found: dict[str, Weights] = {}
    for folder in paths.model_folders() if folders is None else folders:
        for weights in _in_folder(folder):
            found.setdefault(weights.path.name, weights)
    return list(found.values())


def resolve(name_or_path: str, kind: Kind | None = None) -> Path:
    """The file (or embedder folder) that a name means.

    Args:
        name_or_path: a catalogue key or alias, the name of a file in a models folder with or without
            `.gguf`, or the path of any GGUF file or embedder folder.
        kind: what it is wanted for; None: whatever it is.

    Raises:
        ModelNotFound: nothing here goes by that name; the text lists what does and how to get it.
        InvalidRequest: a model for chat is wanted, and the name is that of an embedder.
    """
    from local_assistants import (
        unknown_names,
    )  # it needs to know what is here, so it imports this module

    found = _find(name_or_path)
    entry = catalogue.find(name_or_path)
    embeds = found.is_dir() if found else entry is not None and entry.kind == "embedder"
    if kind == "chat" and embeds:
        raise unknown_names.embedder(name_or_path)
    if found is None:
        here = [each.name for each in installed() if kind in (None, _kind(each))]
        raise unknown_names.nowhere(name_or_path, kind, here)
    return found


def _find(name_or_path: str) -> Path | None:
    path = Path(name_or_path).expanduser()
    if path.is_file() or _is_embedder(path):
        return path.absolute()
    for weights in installed():
        if weights.entry is not None and weights.entry.called(name_or_path):
            return weights.path
        if name_or_path in (weights.name, weights.path.name, weights.path.stem):
            return weights.path
    return None


def _kind(weights: Weights) -> Kind:
    """What a model is for; a file that cannot be read counts as one for chat."""
    if weights.entry is not None:
        return weights.entry.kind
    if weights.path.is_dir():
        return "embedder"
    from local_assistants.backends.llama_cpp.loading.inspection import inspect

    try:
        return "embedder" if inspect(weights.path).kind == unknown_names.EMBEDDING else "chat"
    except AssistantsError:
        return "chat"


def verify(weights: Weights, progress: Progress = silent) -> str | None:
    """Hash weights of which it is known what they should be, and compare.

    Returns:
        None when every file is what the catalogue or its origin says (or nothing is known of the weights), else
        one sentence saying which file is wrong.
    """
    for path, expected in _expected(weights).items():
        if not path.is_file():
            return f"{path} is missing"
        if digest(path, progress) != expected:
            names = "the catalogue names" if weights.entry else "it had when it was pulled"
            return f"{path} does not have the SHA-256 {expected[:12]}… that {names}"
    return None


def _expected(weights: Weights) -> dict[Path, str]:
    """File → what it must hash to, as far as that is known."""
    entry = weights.entry
    if entry is not None:
        root = weights.path if entry.folder else weights.path.parent
        files = {entry.file: entry.sha256, **entry.files}
        extras = {root.parent / extra.file: extra.sha256 for extra in entry.extras}
        there = {path: expected for path, expected in extras.items() if path.is_file()}
        return {root / name: expected for name, expected in files.items()} | there
    origin = origin_of(weights.path)
    return dict(zip(weights.files, origin.sha256, strict=False)) if origin else {}


def digest(path: Path, progress: Progress = silent) -> str:
    """The SHA-256 of a file, in hex."""
    seen, total = hashlib.sha256(), path.stat().st_size
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            seen.update(chunk)
            progress("verify", file.tell(), total)
    return seen.hexdigest()


def origin_of(path: Path) -> Origin | None:
    """Where the file at `path` was pulled from; None for one that was put there."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(_origin_file(path).read_text(encoding="utf-8"))
        return Origin(str(known["source"]), tuple(map(str, known["sha256"])))
    return None


def write_origin(path: Path, origin: Origin) -> None:
    """Note where the file that will lie at `path` comes from."""
    file = _origin_file(path)
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(asdict(origin)), encoding="utf-8")


def forget_origin(path: Path) -> None:
    """Drop the note about a file that is gone."""
    _origin_file(path).unlink(missing_ok=True)


def _origin_file(path: Path) -> Path:
    return path.parent / _ORIGINS_FOLDER / f"{path.name}.json"


def _in_folder(folder: Path) -> Iterator[Weights]:
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        entry = next((each for each in catalogue.entries() if each.target == path.name), None)
        name = entry.key if entry else path.stem
        if path.suffix == ".gguf" and path.is_file():
            if part_names(path.name)[0] == path.name:
                yield _gguf(path, entry)
        elif path.suffix != ".partial" and _is_embedder(path):
            weights = path / "model.safetensors"
            size = weights.stat().st_size if weights.is_file() else 0
            yield Weights(name, path, size, entry)


def _gguf(path: Path, entry: CatalogueEntry | None) -> Weights:
    split = _SPLIT.fullmatch(path.name)
    name = entry.key if entry else split["base"] if split else path.stem
    parts = [path.with_name(each) for each in part_names(path.name)]
    size = sum(part.stat().st_size for part in parts if part.is_file())
    return Weights(name, path, size, entry)


def _is_embedder(path: Path) -> bool:
    return (path / "modules.json").is_file()
