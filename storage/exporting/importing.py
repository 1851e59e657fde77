"""A dump into a data folder: all of it or nothing.

The dump first becomes a data folder of its own and is checked there (`staging`). An empty data folder is then
replaced by that one. Into one that holds something, what is new goes in one transaction, bytes before their records.
An object that is there already, with all that belongs to it, is left alone when it is the same; when it differs,
nothing is imported, or it stays as it is.

No server may be at work on the folder: it would wait for the transaction, and clients with it.
"""

import operator
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...engine.errors import InvalidRequest
from .. import blobs, presence
from ..checking.look import connected
from ..faults import database_fault, system_fault
from ..sqlite import SQLiteSettings, connect, prepare
from .kinds import KINDS, ROOTS, WITH_BYTES, owned_rows, rows_of
from .loading import Loader, Unfit
from .staging import Staged, Wanted, stage
from .writing import EMBEDDER

OnProgress = Callable[[str, int], None]

_SHOWN = 5  # ids in an error


@dataclass
class Imported:
    """What an import did.

    Attributes:
        source: the dump.
        staged: what was read of it.
        added: how many records went into the data folder.
        same: root objects that were there already, the same.
        kept: root objects that were there already and differ; they stay as they were.
        seconds: how long it took.
    """

    source: Path
    staged: Staged = field(default_factory=Staged)
    added: int = 0
    same: int = 0
    kept: int = 0
    seconds: float = 0.0

    def to_wire(self) -> dict[str, Any]:
        """For programs; names and keys stay."""
        return {
            "source": str(self.source),
            "kind": self.staged.kind,
            "added": self.added,
            "same": self.same,
            "kept": self.kept,
            "keys_left_out": self.staged.keys_left,
            "missing": self.staged.missing,
            "notes": self.staged.notes,
            "seconds": round(self.seconds, 3),
        }


def import_folder(
    source: Path,
    data: Path,
    wanted: Wanted | None = None,
    on_progress: OnProgress = lambda what, done: None,
) -> Imported:
    """Take the dump `source` into the data folder `data`, which is made when it is not there.

    Raises:
        InvalidRequest: the dump is refused, something in it differs from what is there, or a server is at work;
            nothing was changed.
        StorageFault: the disk refuses; nothing was changed.
    """
    began = time.monotonic()
    wanted = wanted or Wanted()
    made = Imported(source)
    fresh = not (data / "store.db").exists()
    try:
        with _alone(data), _room(data) as part:
            made.staged = stage(source, part, wanted, on_progress)
            if fresh:
                made.added = made.staged.records
                _settle(part, data)
            else:
                _Merge(part, data, wanted, made).run(on_progress)
    except OSError as error:
        raise system_fault(error, data) from error
    except sqlite3.Error as error:
        raise database_fault(error, data / "store.db") from error
    made.seconds = time.monotonic() - began
    return made


@contextmanager
def _alone(data: Path) -> Generator[None]:
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    with presence.alone(data) as is_alone:
        if not is_alone:
            raise InvalidRequest(
                f"A server is at work on {data}. Stop it, import, and start it again; or import into another folder."
            )
        yield


@contextmanager
def _room(data: Path) -> Generator[Path]:
    """A folder in the data folder, so on its disk; gone at the end. What a killed import left goes first."""
    for left in data.glob(".import.*"):
        shutil.rmtree(left, ignore_errors=True)
    part = Path(tempfile.mkdtemp(prefix=".import.", dir=data))
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _settle(part: Path, data: Path) -> None:
    """Make `part` the data folder: the database goes last, since it names the rest."""
    for place in list(blobs.places(part / "blobs")):
        _move(place, blobs.place_of(data / "blobs", place.name))
    if (part / EMBEDDER).exists():
        (part / EMBEDDER).replace(data / EMBEDDER)
    os.sync()
    (part / "store.db").replace(data / "store.db")
    os.sync()


def _move(place: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    place.replace(target)


class _Merge:
    """Takes what is new in the folder `part` into the folder `data`."""

    def __init__(self, part: Path, data: Path, wanted: Wanted, made: Imported) -> None:
        self._part = part
        self._data = data
        self._wanted = wanted
        self._made = made
        self._there: set[tuple[str, str]] = set()

    def run(self, on_progress: OnProgress) -> None:
        """Do it, or raise with nothing changed."""
        database = self._data / "store.db"
        prepare(database, SQLiteSettings())
        placed: list[Path] = []
        with (
            connected(self._part / "store.db") as source,
            closing(connect(database, SQLiteSettings())) as target,
        ):
            target.execute("BEGIN IMMEDIATE")
            try:
                self._embedder_must_fit(target)
                self._compare(source, target, on_progress)
                self._take(source, target, on_progress, placed)
                os.sync()  # the bytes, before the records that name them
                target.execute("COMMIT")
            except BaseException:
                for place in placed:
                    with suppress(OSError):
                        place.unlink()
                with suppress(sqlite3.Error):
                    target.execute("ROLLBACK")
                raise

    def _embedder_must_fit(self, target: sqlite3.Connection) -> None:
        """Vectors of two models cannot be compared."""
        theirs, here = self._made.staged.embedder, self._data / EMBEDDER
        if theirs is None:
            return
        if here.is_file():
            if here.read_text("utf-8") != theirs:
                raise InvalidRequest(
                    "The dump's files were indexed with another embedding model than those of this data folder. "
                    "--reindex has them indexed anew, when the server starts."
                )
            return
        if target.execute("SELECT 1 FROM chunk_vectors LIMIT 1").fetchone() is None:
            shutil.copyfile(self._part / EMBEDDER, here)

    def _compare(
        self, source: sqlite3.Connection, target: sqlite3.Connection, on_progress: OnProgress
    ) -> None:
        """Find what is there already; refuse what differs, unless that is to stay."""
        differing: list[str] = []
        for root in ROOTS:
            for number, (key,) in enumerate(source.execute(f"SELECT id FROM {root} ORDER BY seq")):
                on_progress(f"comparing {root}", number)
                found = target.execute(f"SELECT 1 FROM {root} WHERE id = ?", (key,)).fetchone()
                if found is None:
                    continue
                self._there.add((root, key))
                if all(map(operator.eq, _unit(source, root, key), _unit(target, root, key))):
                    self._made.same += 1
                else:
                    differing.append(key)
        self._made.kept = len(differing)
        if differing and not self._wanted.keep:
            shown = ", ".join(differing[:_SHOWN]) + (", ..." if len(differing) > _SHOWN else "")
            raise InvalidRequest(
                f"{len(differing)} objects of the dump are in this data folder already, and differ: {shown}. Nothing "
                "was changed. --keep-existing leaves them as they are and imports the rest."
            )

    def _take(
        self,
        source: sqlite3.Connection,
        target: sqlite3.Connection,
        on_progress: OnProgress,
        placed: list[Path],
    ) -> None:
        loader = Loader(target)
        for kind in KINDS:
            for number, (owner, row) in enumerate(owned_rows(source, kind)):
                if (kind.root, owner) in self._there:
                    continue
                if number % 1000 == 0:
                    on_progress(f"importing {kind.name}", number)
                try:
                    self._made.added += loader.put(kind, row)
                except Unfit as error:
                    raise InvalidRequest(
                        f"The dump cannot go into this data folder: {error.message}. Nothing was changed."
                    ) from error
                if kind.name in WITH_BYTES:
                    self._place(str(row["id"]), placed)

    def _place(self, key: str, placed: list[Path]) -> None:
        place = blobs.place_of(self._part / "blobs", key)
        target = blobs.place_of(self._data / "blobs", key)
        if place.exists():  # else they are missing where the dump comes from
            _move(place, target)
            placed.append(target)


def _unit(connection: sqlite3.Connection, root: str, key: str) -> Iterator[Any]:
    """All rows of an object and of what belongs to it, and a mark after the last."""
    for kind in KINDS:
        if kind.root == root and kind.named:
            yield from rows_of(connection, kind, key)
    yield None
