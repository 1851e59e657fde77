"""The models folder while something is pulled into it: one pull of a kind at a time, room on the disk, tidying."""

import fcntl
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from local_assistants.engine.errors import InsufficientStorage, StorageFault
from local_assistants.model_store import PARTS_FOLDER

SPARE = 64 << 20
"""Bytes that a pull leaves free on the disk."""


@contextmanager
def one_at_a_time(folder: Path, name: str) -> Generator[None]:
    """Let a second pull of the same weights wait for the first and find its result.

    Raises:
        StorageFault: the folder cannot be written to.
    """
    try:
        (folder / PARTS_FOLDER).mkdir(parents=True, exist_ok=True)
        lock = (folder / PARTS_FOLDER / f"{name}.lock").open("w")
    except OSError as error:
        raise StorageFault(f"{folder} cannot be written to: {error.strerror}.") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def require_room(folder: Path, name: str, size: int) -> None:
    """Make sure that `size` more bytes fit the disk.

    Raises:
        InsufficientStorage: they do not.
    """
    needed = size + SPARE
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InsufficientStorage(
            f"{name} needs {needed / 1e9:.1f} GB in {folder} while it is being put together, and "
            f"{free / 1e9:.1f} GB are free. Make room, or set LOCAL_ASSISTANTS_CACHE to another disk."
        )


def remove(path: Path) -> None:
    """Remove a file, a link or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
