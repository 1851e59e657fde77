"""Chroma's PersistentClient in a folder of its own.

What it was seen to do, and what is done about it here: a `kill -9` near a flush can leave an index that kills the
next process (so after an unclean end a child process tries it first, and a broken one is erased: its vectors are in
the store); two processes on one folder hang or read stale data (so the folder is locked); dropping a collection
leaves its vectors on the disk (so a child erases them); it takes a fifth of the process's file handles for graphs
(so it is told to take few).
"""

import fcntl
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ...engine.errors import MissingDependency, StorageFault
from .homes import missing

_log = logging.getLogger(__name__)

_OPEN_GRAPHS = (
    16  # kept in memory, each with about four file handles; others are read again when searched
)
_CHECK_SECONDS = 120.0
_TIDY_SECONDS = 120.0
_PACKAGE = __name__.rpartition(".")[0]


class FolderHome:
    """A folder that must not be used for anything else.

    Inside it: `db` (Chroma's), `lock`, `clean` (stands there while the index was closed properly).
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._database = folder / "db"
        self._lock: int | None = None
        self._sound = True

    def is_empty(self) -> bool:
        """See the protocol."""
        return not self._database.exists()

    def open(self) -> Any:
        """A client over the folder, emptied first where it was broken.

        Raises:
            StorageFault: another process has the folder, or it cannot be written.
            MissingDependency: Chroma is not installed.
        """
        self._take_lock()
        try:
            return self._open()
        except BaseException:
            self._release_lock()
            raise

    def erase(self, client: Any, name: str) -> None:
        """Drop a collection and erase its vectors from the disk.

        Raises:
            StorageFault: they could not be erased now; opening the folder after an unclean end tries again.
        """
        client.delete_collection(name)
        self._tidy()

    def recovered(self, client: Any) -> Any:
        """The same client, since a folder cannot have two; but the next start looks at the folder closely."""
        self._sound = False
        return client

    def close(self, client: Any) -> None:
        """See the protocol; a folder that gave no trouble is marked as left in order."""
        client.close()
        if self._sound:
            (self._folder / "clean").touch()
        self._release_lock()

    def _open(self) -> Any:
        clean = self._folder / "clean"
        if self._database.exists() and not clean.exists():
            _log.info("The vector index was not closed properly; checking it.")
            if _child("checking", self._database, _CHECK_SECONDS):
                self._tidy()
            else:
                self._discard()
        clean.unlink(missing_ok=True)
        shutil.rmtree(self._folder / "broken", ignore_errors=True)
        try:
            return connect(self._database)
        except MissingDependency:
            raise
        except Exception as error:
            _log.warning("The vector index in %s cannot be opened: %s", self._database, error)
        self._discard()
        return connect(self._database)

    def _discard(self) -> None:
        """Erase a broken database; renamed first, so that half of one is never opened."""
        broken = self._folder / "broken"
        shutil.rmtree(broken, ignore_errors=True)
        if self._database.exists():
            self._database.rename(broken)
        shutil.rmtree(broken, ignore_errors=True)
        _log.warning("The vector index was broken; it is filled again from the store.")

    def _tidy(self) -> None:
        # In a child: this process may not close a file that Chroma's SQLite has open, or its locks are gone.
        if not _child("tidying", self._database, _TIDY_SECONDS):
            self._sound = False
            raise StorageFault(
                "The vector index could not erase what was deleted; it tries again at the next start."
            )

    def _take_lock(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise StorageFault(
                "Another process uses the vector index. Stop it, or use another data folder.",
                detail=str(self._folder),
                passing=True,
            ) from None
        self._lock = descriptor

    def _release_lock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def connect(database: Path) -> Any:
    """A client over the files in `database`, which are made when they are not there.

    Raises:
        MissingDependency: Chroma is not installed.
    """
    try:
        from chromadb.api.client import Client
        from chromadb.api.rust import RustBindingsAPI
        from chromadb.config import Settings, System
    except ImportError as error:
        raise missing() from error
    settings = Settings(
        anonymized_telemetry=False, is_persistent=True, persist_directory=str(database)
    )
    system = System(settings)
    # No setting leads to this one; it has to be set before the start.
    system.instance(RustBindingsAPI).hnsw_cache_size = _OPEN_GRAPHS
    system.start()
    return Client.from_system(system)


def _child(module: str, database: Path, seconds: float) -> bool:
    """Whether `module` of this package does its work on the database in a process of its own; it may die of it."""
    command = [sys.executable, "-m", f"{_PACKAGE}.{module}", str(database)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    try:
        child = subprocess.run(
            command, env=environment, capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    if child.returncode:
        _log.warning("%s ended with %s: %s", module, child.returncode, child.stderr[-500:])
    return child.returncode == 0
