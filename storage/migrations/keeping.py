"""The database as it was before its schema changes, kept beside it: FILE.before-STEP.

It is made whole under another name and renamed. One is kept, of the last change; a change that succeeds drops those of
earlier ones. Files of users are not in it: no step touches them.
"""

import logging
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from ...engine.errors import InsufficientStorage

_log = logging.getLogger("local_assistants.storage")


def keep(connection: sqlite3.Connection, path: Path, step: str) -> Path:
    """Copy the database at `path`, to which `step` is about to be applied; nobody else may be writing.

    Returns:
        Where the copy lies.

    Raises:
        InsufficientStorage: its disk has too little room for it; nothing was changed.
    """
    needed, free = path.stat().st_size, shutil.disk_usage(path.parent).free
    if free < 2 * needed:  # the change itself may take as much again
        raise InsufficientStorage(
            f"The database has to be brought up to date, and a copy of it is kept: {2 * needed} bytes are needed, and "
            f"{free} are left. Make room on its disk, then start again; nothing was changed."
        )
    kept = path.with_name(f"{path.name}.before-{step}")
    part = path.with_name(f"{path.name}.before.part")
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    with closing(sqlite3.connect(part)) as copy:
        connection.backup(copy)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(kept)
    _flush(path.parent)
    return kept


def tell(kept: Path) -> None:
    """The change was made: drop the copies of earlier ones, and say where this one lies."""
    for earlier in kept.parent.glob(f"{kept.name.partition('.before-')[0]}.before-*"):
        if earlier != kept:
            earlier.unlink(missing_ok=True)
    _log.warning(
        "The database was brought up to date. As it was before it lies in %s; delete that when you are content "
        "(docs/durability.md tells how to go back).",
        kept,
    )


def _flush(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
