"""Foreign errors, said once in words that help: sqlite3's and the file system's become StorageFault.

What was acknowledged before a fault stands; what the fault interrupted was not stored. No text here carries data of
a user, and paths are in the errors' `detail`, which no client gets.
"""

import errno
import sqlite3
from pathlib import Path

from ..engine.errors import InsufficientStorage, StorageFault

_SQLITE = {
    sqlite3.SQLITE_FULL: "the disk is full; free some space and try again",
    sqlite3.SQLITE_READONLY: "it cannot be written to; check the owner and the permissions of the folder, and "
    "whether the disk is mounted read-only",
    sqlite3.SQLITE_PERM: "access is denied; check the owner and the permissions of the folder",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check that the folder exists and may be written to",
    sqlite3.SQLITE_IOERR: "the disk reports an input/output error; check the disk, its free space, and whether it was "
    "made read-only (the system's log says so)",
    sqlite3.SQLITE_CORRUPT: "it is damaged; restore it from a backup",
    sqlite3.SQLITE_NOTADB: "it is not a database; restore it from a backup or name another data folder",
    sqlite3.SQLITE_BUSY: "another process keeps it locked; stop that process or try again",
    sqlite3.SQLITE_LOCKED: "another process keeps it locked; stop that process or try again",
    sqlite3.SQLITE_NOMEM: "there is not enough memory",
    sqlite3.SQLITE_TOOBIG: "the object is larger than SQLite can store",
}
_FOR_GOOD = frozenset({sqlite3.SQLITE_TOOBIG})  # all other faults are the host's
_UNKNOWN = "the server's log says why"

_SYSTEM = {
    errno.ENOSPC: "the disk is full; free some space and try again",
    errno.EDQUOT: "the disk quota is used up; free some space and try again",
    errno.EFBIG: "the file is larger than the file system allows",
    errno.EROFS: "the disk is mounted read-only",
    errno.EACCES: "access is denied; check the owner and the permissions of the folder",
    errno.EPERM: "access is denied; check the owner and the permissions of the folder",
    errno.EIO: "the disk reports an input/output error",
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n)",
    errno.ENFILE: "too many files are open on this machine",
}


def database_fault(error: sqlite3.Error, path: Path) -> StorageFault:
    """What `error` means for the store at `path`; InsufficientStorage when the disk is full."""
    if isinstance(error, sqlite3.IntegrityError):
        return StorageFault(f"The object does not fit what is stored: {_constraint(error)}.")
    code: int | None = getattr(error, "sqlite_errorcode", None)
    primary = None if code is None else code & 0xFF
    kind = InsufficientStorage if primary == sqlite3.SQLITE_FULL else StorageFault
    return kind(
        f"The database failed: {_SQLITE.get(primary or 0, _UNKNOWN)}.",
        detail=f"{path}: {error}",
        passing=primary in _SQLITE and primary not in _FOR_GOOD,
    )


def _constraint(error: sqlite3.IntegrityError) -> str:
    if getattr(error, "sqlite_errorname", "") == "SQLITE_CONSTRAINT_FOREIGNKEY":
        return "what it belongs to (its thread, run or vector store) does not exist"
    return str(error)


def system_fault(error: OSError, path: Path) -> StorageFault:
    """What `error` means for the folder or file at `path`; InsufficientStorage when the disk is full."""
    reason = _SYSTEM.get(error.errno or 0) or error.strerror or _UNKNOWN
    kind = InsufficientStorage if error.errno in (errno.ENOSPC, errno.EDQUOT) else StorageFault
    where = str(error) if error.filename is not None else f"{path}: {error}"
    return kind(f"The data folder failed: {reason}.", detail=where, passing=True)
