"""`models pull` and `models rm`: from what was asked for to files in the models folder, and away again.

Every file is complete, a whole GGUF by its header, and has the hash that was asked for, before it gets its final name;
of a split model the first part comes last, so that a model that can be named can be loaded. Whether it can be run is
for the library that loads it.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from local_assistants import catalogue, model_store, paths
from local_assistants.backends.llama_cpp.loading.gguf import read_header
from local_assistants.catalogue import CatalogueEntry
from local_assistants.engine.errors import (
    BackendFault,
    InvalidRequest,
    ModelNotFound,
    StorageFault,
)
from local_assistants.model_store import CHUNK, PARTS_FOLDER, Origin, Progress, digest, silent
from local_assistants.pulling.download import Download, Patience
from local_assistants.pulling.folder import one_at_a_time, remove, require_room
from local_assistants.pulling.packages import pull_catalogued
from local_assistants.pulling.sources import Remote, parse, target_names


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What may be said beside the source.

    Attributes:
        name: what to call the model here.
        sha256: what the file must hash to.
        link: of a file on this machine make a link instead of a copy.
    """

    name: str | None = None
    sha256: str | None = None
    link: bool = False


@dataclass(frozen=True)
class Pulled:
    """Weights that are here now.

    Attributes:
        path: the file (of a split model its first part), or the embedder's folder.
        sha256: of each file that was hashed; empty for catalogued weights, which are what the catalogue says.
        checked: whether somebody had said what the hash must be.
    """

    path: Path
    sha256: tuple[str, ...] = ()
    checked: bool = True


def pull(
    source: str,
    asked: Asked | None = None,
    progress: Progress = silent,
    patience: Patience | None = None,
) -> Pulled:
    """Get weights into the models folder of the cache, or find them there.

    Args:
        source: a catalogue key, the path of a GGUF, an http(s) address, or hf:OWNER/REPO/FILE.gguf[@REVISION].
        asked: what else was said.
        progress: told the bytes of the file that is under way.
        patience: with the server.

    Raises:
        ModelNotFound: the source is nothing of all this.
        NotFound: the server has no such file.
        InvalidRequest: it is no GGUF, has another hash, or its name is taken by other weights.
        StorageFault: too little room, or a folder that cannot be written.
        ServerFault: the server fails, refuses or sends something else.
        BackendFault: the file is no GGUF, damaged or cut off.
    """
    asked = asked or Asked()
    meant = parse(source, asked.name)
    if isinstance(meant, CatalogueEntry):
        if asked != Asked():
            raise InvalidRequest(
                f"{meant.key} is in the catalogue, which says its hash and its name; --sha256, --name and --link are "
                "for files, addresses and hub references."
            )
        return Pulled(pull_catalogued(meant, progress))
    if isinstance(meant, Path):
        return _from_disk(meant, asked, progress)
    return _from_server(meant, asked, progress, patience or Patience())


def remove_weights(name: str) -> list[Path]:
    """Take weights out of the models folder of the cache, and what is left there of a pull that was not finished.

    Returns:
        The files and folders that are gone. A link goes, what it leads to stays.

    Raises:
        ModelNotFound: nothing there goes by that name; weights that lie elsewhere are named and left.
    """
    root = paths.models_root()
    entry = catalogue.find(name)
    here = [each for each in model_store.installed((root,)) if _called(each, name, entry)]
    gone = [path for weights in here for path in weights.files]
    left = root / PARTS_FOLDER
    known = _keys(entry) if entry else {path.name for path in gone} or {name, f"{name}.gguf"}
    gone += [each for each in left.glob("*") if each.is_dir() and _key_of(each.name) in known]
    if not gone:
        raise ModelNotFound(f"{root} has no model {name!r}.{_elsewhere(name)}")
    for path in gone:
        remove(path)
        model_store.forget_origin(path)
    return gone


def _keys(entry: CatalogueEntry) -> set[str]:
    return {entry.key, *(extra.key for extra in entry.extras)}


def _key_of(folder: str) -> str:
    """What an unfinished pull's folder was named for: a catalogue key, or a file (with a dash and a hash behind it)."""
    file, dash, _ = folder.rpartition("-")
    return file if dash and file.endswith(".gguf") else folder


def _called(weights: model_store.Weights, name: str, entry: CatalogueEntry | None) -> bool:
    if entry is not None:
        return weights.entry is entry
    return name in (weights.name, weights.path.name, weights.path.stem)


def _elsewhere(name: str) -> str:
    try:
        return f" {model_store.resolve(name)} is no file that was pulled; delete it yourself."
    except ModelNotFound:
        return ""


# --- from this machine ---------------------------------------------------------------------------


def _from_disk(path: Path, asked: Asked, progress: Progress) -> Pulled:
    sources = [path.with_name(name) for name in model_store.part_names(path.name)]
    missing = [source for source in sources if not source.is_file()]
    if missing:
        raise ModelNotFound(f"{missing[0]} is missing: {path.name} is one part of {len(sources)}.")
    files = target_names(path.name, asked.name)
    for source in sources:
        _require_gguf(source, str(source))
    if path.parent.resolve() == paths.models_root().resolve() and files[0] == sources[0].name:
        return Pulled(sources[0])  # it lies where it would be put

    def bring(place: "_Place") -> tuple[str | None, ...]:
        if not asked.link:
            require_room(place.root, path.name, sum(each.stat().st_size for each in sources))
        for source, partial in zip(sources, place.partials, strict=True):
            remove(partial)
            if asked.link:
                partial.symlink_to(source)
            else:
                _copy(source, partial, progress)
        return ()

    return _Place(str(path), files, f"{files[0]}-copy").take_in(asked, progress, bring)


def _copy(source: Path, target: Path, progress: Progress) -> None:
    total = source.stat().st_size
    with source.open("rb") as file, target.open("wb") as out:
        while chunk := file.read(CHUNK):
            out.write(chunk)
            progress("copy", out.tell(), total)


# --- from a server -------------------------------------------------------------------------------


def _from_server(remote: Remote, asked: Asked, progress: Progress, patience: Patience) -> Pulled:
    def bring(place: "_Place") -> tuple[str | None, ...]:
        return tuple(
            Download(
                address, partial, token=remote.token, progress=progress, patience=patience
            ).fetch()
            for address, partial in zip(remote.addresses, place.partials, strict=True)
        )

    return _Place(remote.shown, remote.files, remote.key).take_in(asked, progress, bring)


# --- into the folder -----------------------------------------------------------------------------


class _Place:
    """Where weights go: the files to be, and those that they are until they are complete and checked.

    Args:
        source: where they come from, as it is noted.
        files: the names to be, of all parts.
        key: name of the folder for what is not complete.
    """

    def __init__(self, source: str, files: tuple[str, ...], key: str) -> None:
        self.root = paths.models_root()
        self._source = source
        self._targets = [self.root / file for file in files]
        self._folder = self.root / PARTS_FOLDER / key
        self.partials = [self._folder / file for file in files]

    def take_in(
        self, asked: Asked, progress: Progress, bring: Callable[["_Place"], tuple[str | None, ...]]
    ) -> Pulled:
        """Have the files brought, check them and give them their names.

        Args:
            asked: what was said beside the source.
            progress: told of the hashing.
            bring: fills `partials`; returns the hashes that they must have as far as it was told them.
        """
        first = self._targets[0]
        wanted = self._wanted(asked)
        with one_at_a_time(self.root, first.name):
            here = self._already(wanted, progress)
            if here is not None:
                return here
            try:
                self._folder.mkdir(exist_ok=True)
                told = bring(self)
                seen = self._checked(wanted or told, progress)
                self._name(seen)
            except OSError as error:
                raise StorageFault(f"{first} could not be written: {error.strerror}.") from error
        return Pulled(first, seen, checked=bool(wanted) or any(told))

    def _wanted(self, asked: Asked) -> tuple[str | None, ...]:
        """What the files must hash to: by the command line, or because the name is one of the catalogue's."""
        if asked.sha256 is not None:
            if len(self._targets) > 1:
                raise InvalidRequest(
                    f"--sha256 is for one file; this model has {len(self._targets)} parts."
                )
            return (asked.sha256.lower(),)
        entry = catalogue.find(self._targets[0].name)
        return (entry.sha256,) if entry is not None and entry.kind == "chat" else ()

    def _already(self, wanted: tuple[str | None, ...], progress: Progress) -> Pulled | None:
        """The weights if they are here already.

        Raises:
            InvalidRequest: other weights have their name.
        """
        first = self._targets[0]
        if not first.exists() and not first.is_symlink():
            return None
        origin = model_store.origin_of(first)
        if wanted and first.is_file() and digest(first, progress) == wanted[0]:
            return Pulled(first, (str(wanted[0]),))
        if not wanted and origin is not None and origin.source == self._source and first.is_file():
            return Pulled(first, origin.sha256)
        raise InvalidRequest(
            f"{first} is here already and is something else. Remove it (local-assistants models rm {first.stem}), "
            "or give the new one another name with --name."
        )

    def _checked(self, wanted: tuple[str | None, ...], progress: Progress) -> tuple[str, ...]:
        tensors = sum(_require_gguf(each, self._source) for each in self.partials)
        if not tensors:
            raise InvalidRequest(f"{self._source} holds no weights.")
        seen = tuple(digest(each, progress) for each in self.partials)
        for found, expected in zip(seen, wanted, strict=False):
            if expected is not None and found != expected:
                shutil.rmtree(self._folder)
                raise InvalidRequest(
                    f"{self._source} has the SHA-256 {found} and not {expected}, so nothing was kept."
                )
        return seen

    def _name(self, seen: tuple[str, ...]) -> None:
        """Everything to the disk, then the names; the first part's last, for it stands for the model."""
        for partial in self.partials:
            with partial.open("rb") as file:
                os.fsync(file.fileno())
        model_store.write_origin(self._targets[0], Origin(self._source, seen))
        for partial, target in reversed(list(zip(self.partials, self._targets, strict=True))):
            os.replace(partial, target)
        shutil.rmtree(self._folder, ignore_errors=True)


def _require_gguf(path: Path, shown: str) -> int:
    """The number of tensors in a GGUF.

    Raises:
        BackendFault: it is none, damaged or cut off.
    """
    try:
        return len(read_header(path).tensors)
    except BackendFault as error:
        raise BackendFault(error.message.replace(str(path), shown)) from error
