"""What the host keeps of a thread between its sessions: the folder behind /mnt/data and the names of its input files.

    <thread>/data           shown as /mnt/data, written by untrusted code
    <thread>/session        there was a session before; its text names the latest
    <thread>/inputs.json    file id -> name in /mnt/data; what a thread was once told stays so
    <thread>/mounted        ids of the files that were copied in
    <thread>/data.next      on its way to be data, with what data held (`adopt`)
    <thread>/collected-*    copies on their way out

It knows no kernel and no clock. Blocking: call from a worker thread.
"""

import contextlib
import hashlib
import json
import os
import re
import stat
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from ....engine.ports import ToolFile
from ..isolation import folders
from ..isolation.spawner import Identity
from . import files as sandbox_files

COLLECTED = "collected-"
"""How folders for copies on their way out begin."""
_SAFE_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_HANDLE = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class ThreadFolder:
    """The folder of a thread below `root`; made when it is first needed."""

    def __init__(self, root: Path, thread_id: str) -> None:
        # An id of ours is safe; anything else (an import, a test) must not become a path.
        safe = _SAFE_ID.fullmatch(thread_id)
        self.path = root / (thread_id if safe else hashlib.sha256(thread_id.encode()).hexdigest())
        self._noted: tuple[int, int] | None = None
        self._session = ""

    def __str__(self) -> str:
        return str(self.path)

    @property
    def data(self) -> Path:
        """The host folder behind /mnt/data."""
        return self.path / "data"

    @property
    def _mark(self) -> Path:
        return self.path / "session"

    @property
    def _next(self) -> Path:
        return self.path / "data.next"

    def prepare(self) -> bool:
        """Make the folder ready for a session, all but `data`; whether there was a session before."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for leftover in self.path.glob(f"{COLLECTED}*"):
            folders.remove_tree(leftover)
        self.settle()
        self.unlock()
        known = self._mark.exists()
        self._session = uuid.uuid4().hex
        self._mark.write_text(self._session)
        return known

    def unlock(self) -> None:
        """Give the engine's user back the rights to `data` that code may have taken away."""
        with contextlib.suppress(OSError):
            folder = os.open(self.data, _HANDLE)
            try:
                mode = stat.S_IMODE(os.fstat(folder).st_mode)
                if mode & 0o700 != 0o700:
                    os.chmod(f"/proc/self/fd/{folder}", mode | 0o700)
            finally:
                os.close(folder)

    def adopt(self, spare: Path) -> None:
        """Make the empty folder `spare`, which a kernel has open already, the thread's data with all that it holds.

        The folder above the spare goes, too.

        Raises:
            OSError: something cannot be moved; `settle` brings back what was.
        """
        os.rename(spare, self._next)
        if self.data.exists():
            _move_all(self.data, self._next)
            self.data.rmdir()
        os.rename(self._next, self.data)
        folders.remove_tree(spare.parent)

    def settle(self) -> None:
        """Undo an adoption that did not come to its end."""
        if not self._next.exists():
            return
        if self.data.exists():
            _move_all(self._next, self.data)
            self._next.rmdir()
        else:
            os.rename(self._next, self.data)

    def note(self) -> None:
        """Remember which folder `data` is: a kernel goes by the folder and not by its name."""
        self._noted = self._identity()

    def in_place(self) -> bool:
        """Whether `data` is still the one noted, and no session began since: another engine shares these files."""
        same = self._noted is not None and self._noted == self._identity()
        return same and _text(self._mark) == self._session

    def _identity(self) -> tuple[int, int] | None:
        with contextlib.suppress(OSError):
            status = self.data.lstat()
            return status.st_dev, status.st_ino
        return None

    def names(self, inputs: Sequence[ToolFile]) -> dict[str, str]:
        """File id -> name in /mnt/data; the same for the thread ever after."""
        record = self.path / "inputs.json"
        known = _read(record)
        fresh = [item for item in inputs if item.file.id not in known]
        taken = set(known.values())
        if fresh:
            # What code made there keeps its name; the new input steps aside.
            with contextlib.suppress(OSError):
                taken |= set(os.listdir(self.data))
        for item in fresh:
            name = sandbox_files.numbered(sandbox_files.safe_name(item.file.filename), taken)
            known[item.file.id] = name
            taken.add(name)
        if fresh:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial = record.with_suffix(".partial")
            partial.write_text(json.dumps(known))
            os.replace(partial, record)
        return {item.file.id: known[item.file.id] for item in inputs}

    def mount(
        self, inputs: Sequence[ToolFile], names: Mapping[str, str], owner: Identity | None
    ) -> None:
        """Copy the files in that were not copied before; what code did to them since is its own business."""
        record = self.path / "mounted"
        mounted = set(record.read_text().split("\n")) if record.exists() else set[str]()
        for item in inputs:
            if item.file.id in mounted:
                continue
            try:
                with contextlib.suppress(FileExistsError):
                    sandbox_files.put(self.data, names[item.file.id], item.path, owner)
            except FileNotFoundError:
                if item.path.exists():
                    raise
                continue  # the file was deleted while the run was under way
            with record.open("a") as file:
                file.write(item.file.id + "\n")

    def remove(self) -> None:
        """Delete it with all that is in it."""
        folders.remove_tree(self.path)


def _text(file: Path) -> str:
    with contextlib.suppress(OSError):
        return file.read_text()
    return ""


def _read(record: Path) -> dict[str, str]:
    with contextlib.suppress(OSError, ValueError):
        known: dict[str, str] = json.loads(record.read_text())
        return known
    return {}


def _move_all(source: Path, target: Path) -> None:
    """Move every entry of one folder to another on the same file system, links as links."""
    origin = folders.open_folder(str(source))
    try:
        goal = folders.open_folder(str(target))
        try:
            for name in os.listdir(origin):
                _move(name, origin, goal)
        finally:
            os.close(goal)
    finally:
        os.close(origin)


def _move(name: str, origin: int, goal: int) -> None:
    try:
        os.rename(name, name, src_dir_fd=origin, dst_dir_fd=goal)
    except PermissionError:
        # A folder that moves is written to: its ".." changes. Code may have locked it against that.
        folder = os.open(name, _HANDLE, dir_fd=origin)
        try:
            mode = stat.S_IMODE(os.fstat(folder).st_mode)
            os.chmod(f"/proc/self/fd/{folder}", mode | 0o700)
            os.rename(name, name, src_dir_fd=origin, dst_dir_fd=goal)
            os.chmod(f"/proc/self/fd/{folder}", mode)
        finally:
            os.close(folder)
