"""What the argument of `models pull` means: a catalogue entry, a file of this machine, or addresses of a GGUF.

Names that come from addresses are checked here: one plain file name ending in .gguf, never a path. It looks at the disk
to tell files from mistyped names, and asks no server.
"""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from local_assistants import catalogue
from local_assistants.catalogue import CatalogueEntry
from local_assistants.engine.errors import InvalidRequest, ModelNotFound
from local_assistants.model_store import part_names

HUB = "https://huggingface.co"
"""The hub when $HF_ENDPOINT names no other."""

_MOST_PARTS = 256
_LONGEST_NAME = 200
_HUB_FORM = re.compile(
    r"hf:(?P<owner>[\w.-]+)/(?P<repo>[\w.-]+)/(?P<file>[^@]+)(?:@(?P<revision>[\w./-]+))?"
)


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A GGUF that a server has.

    Attributes:
        shown: how to call the source in texts and notes: without passwords and queries.
        files: the names to give its parts, one for a file that is not split.
        addresses: of the parts, in the same order.
        token: sent to the addresses' own host only.
    """

    shown: str
    files: tuple[str, ...]
    addresses: tuple[str, ...]
    token: str | None = None

    @property
    def key(self) -> str:
        """A name for the folder that an unfinished pull of these addresses is kept in."""
        return f"{self.files[0]}-{hashlib.sha256(self.addresses[0].encode()).hexdigest()[:12]}"


def parse(source: str, name: str | None = None) -> CatalogueEntry | Path | Remote:
    """What to pull.

    Args:
        source: a catalogue key, the path of a GGUF, an http(s) address, or hf:OWNER/REPO/FILE.gguf[@REVISION].
        name: what to call the model here instead of the name that the source has; not for catalogue keys.

    Raises:
        InvalidRequest: an address that names no GGUF, or a name that is no plain file name.
        ModelNotFound: it is nothing of all this.
    """
    if name is not None:
        _require_plain(f"{name.removesuffix('.gguf')}.gguf")
    entry = catalogue.find(source)
    if entry is not None and name is None:
        return entry
    if source.startswith("hf:"):
        return _hub(source, name)
    if source.lower().startswith(("http://", "https://")):
        return _addressed(source, name)
    path = Path(source).expanduser()
    if path.is_file():
        return path.absolute()
    known = ", ".join(each.key for each in catalogue.entries())
    raise ModelNotFound(
        f"The catalogue has no model {source!r}, and there is no such file. The catalogue knows: {known}. "
        "A GGUF can be pulled by its path, its address (https://…) or as hf:OWNER/REPO/FILE.gguf."
    )


def target_names(file: str, name: str | None) -> tuple[str, ...]:
    """The names that a GGUF called `file` gets in the models folder, one for each of its parts.

    Raises:
        InvalidRequest: that is no name for a model file.
    """
    if name is None:
        _require_plain(file)
    files = part_names(file, name.removesuffix(".gguf") if name else None)
    if not 0 < len(files) <= _MOST_PARTS:
        raise InvalidRequest(
            f"{file!r} says that it has {len(files)} parts; 1 to {_MOST_PARTS} can be pulled."
        )
    return tuple(files)


def shown(source: str) -> str:
    """A source as it may be printed and noted: an address without password and query, which may be secrets."""
    if "://" not in source:
        return source
    scheme, _, rest = source.partition("://")
    host, slash, path = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def _addressed(address: str, name: str | None) -> Remote:
    try:
        split = urlsplit(address)
        named = bool(split.hostname) and (split.port or 1)
    except ValueError as error:
        raise InvalidRequest(f"{shown(address)!r} is no address: {error}.") from error
    if not named:
        raise InvalidRequest(f"{shown(address)!r} is no address: it names no host.")
    folder, _, last = split.path.rpartition("/")
    file = unquote(last)
    addresses = [
        urlunsplit(split._replace(path=f"{folder}/{quote(part)}", fragment=""))
        for part in part_names(file)
    ]
    return Remote(shown=shown(address), files=target_names(file, name), addresses=tuple(addresses))


def _hub(reference: str, name: str | None) -> Remote:
    form = _HUB_FORM.fullmatch(reference)
    if form is None:
        raise InvalidRequest(
            f"{reference!r} is no hub reference. Write hf:OWNER/REPO/FILE.gguf, or with @REVISION at its end."
        )
    base = (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")
    folder, slash, file = form["file"].rpartition("/")
    revision = quote(form["revision"] or "main", safe="")
    root = f"{base}/{form['owner']}/{form['repo']}/resolve/{revision}/{quote(folder + slash)}"
    return Remote(
        shown=reference,
        files=target_names(file, name),
        addresses=tuple(root + quote(part) for part in part_names(file)),
        token=os.environ.get("HF_TOKEN") or None,
    )


def _require_plain(file: str) -> None:
    """A name that is a file's in one folder, whatever system reads it, and a GGUF's."""
    strange = any(char in '/\\:*?"<>|' or not char.isprintable() for char in file)
    if strange or file.startswith((".", "-")) or len(file.encode()) > _LONGEST_NAME:
        raise InvalidRequest(f"{file!r} is no plain file name. Give the model one with --name.")
    if not file.endswith(".gguf") or file == ".gguf":
        raise InvalidRequest(
            f"{file!r} does not end in .gguf, and only GGUF files can be run. If it is one, give it a name: --name."
        )
