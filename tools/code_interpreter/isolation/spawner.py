"""One thread that starts every sandboxed process and lives as long as the engine's own process.

Why a thread of its own: `bwrap --die-with-parent` follows the *thread* that spawned it, so a worker thread that ends
would take its kernels with it. When the engine is root this thread also has a mount namespace of its own, in which
the folders that a sandbox needs are bound to a place that an unprivileged uid can reach (an interpreter below /root
cannot be reached otherwise). That namespace dies with the process: nothing stays mounted, even after `kill -9`.

It knows no sandbox and no kernel: callers hand it functions. Functions run one after the other, so they must be
short (a spawn, a mount).
"""

import asyncio
import atexit
import contextlib
import ctypes
import os
import pwd
import queue
import subprocess
import tempfile
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from . import folders
from .refusal import ORDINARY_USER, Refusal

T = TypeVar("T")

_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_SLAVE = (
    1,
    2,
    4,
    32,
    4096,
    16384,
    1 << 19,
)
_MNT_DETACH = 2
_CLONE_NEWNS = 0x00020000

# Above what distributions give to people (60000) and below 16-bit nobody; systemd takes dynamic users from here too,
# so ids with a passwd entry are passed over.
CANDIDATE_UIDS = range(64800, 65500)
"""What sandboxes of a root engine may run as."""
# For the mount point. /run first: whoever cleans /tmp by age would unmount the stage of a long-lived engine.
_PLACES = ("/run", "/tmp", "/var/tmp")


@dataclass(frozen=True)
class Identity:
    """The unprivileged user and group (host numbers) that sandboxes of a root engine run as."""

    uid: int
    gid: int


def choose_identity() -> Identity | None:
    """An unused uid to drop to, or None when the engine is not root and stays who it is.

    Raises:
        Refusal: the engine is root and has no second uid, as in a container that maps only one.
    """
    if os.geteuid() != 0:
        return None
    for uid in CANDIDATE_UIDS:
        if is_unused(uid):
            return Identity(uid, uid)
    raise Refusal(
        "the engine runs as root and no other user id can be taken here, and a sandbox must never belong to root",
        ORDINARY_USER,
    )


def is_unused(number: int) -> bool:
    """Whether this user and group exist here and nobody has them by name."""
    return _is_mapped(number, "uid_map") and _is_mapped(number, "gid_map") and not _has_name(number)


def _is_mapped(number: int, table: str) -> bool:
    rows = [line.split() for line in Path("/proc/self", table).read_text().splitlines()]
    return any(int(start) <= number < int(start) + int(count) for start, _, count in rows)


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


class Spawner:
    """Runs functions on the long-lived thread; `identity` is whom they shall drop to, None for nobody."""

    def __init__(self) -> None:
        self.identity = choose_identity()
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._stage: Stage | None = None
        threading.Thread(target=self._work, name="sandbox-spawner", daemon=True).start()
        if self.identity is not None:
            self.call(self._open_stage)

    def call(self, function: Callable[[], T]) -> T:
        """Run `function` on the thread and wait for it; for callers outside an event loop."""
        return self._submit(function).result()

    async def run(self, function: Callable[[], T]) -> T:
        """Run `function` on the thread without blocking the event loop."""
        return await asyncio.wrap_future(self._submit(function))

    def reach(self, path: Path) -> Path:
        """The path under which sandboxes' processes can reach `path` (only valid for them). Call on the thread."""
        return path if self._stage is None else self._stage.bind(path)

    def release(self, path: Path) -> None:
        """Forget a path given to `reach`; a second time is harmless. Call on the thread."""
        if self._stage is not None:
            self._stage.unbind(path)

    def moved(self, before: Path, after: Path) -> None:
        """A path given to `reach` has another name now. Call on the thread."""
        if self._stage is not None:
            self._stage.rename(before, after)

    def _submit(self, function: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()

        def job() -> None:
            if not future.set_running_or_notify_cancel():
                return  # nobody waits any more; an error here would end the thread and all kernels with it
            try:
                result = function()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        self._jobs.put(job)
        return future

    def _work(self) -> None:
        while True:
            self._jobs.get()()

    def _open_stage(self) -> None:
        try:
            self._stage = Stage()
        except OSError:
            # A root without CAP_SYS_ADMIN, as in a default container. Paths are then used as they are; the
            # self-test tells when the uid cannot reach them.
            self._stage = None


class Stage:
    """Binds folders and files below one traversable folder, in this thread's own mount namespace (root only)."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._bound: dict[Path, Path] = {}
        self._count = 0
        self._call("unshare", ctypes.c_int(_CLONE_NEWNS))
        self._mount(None, Path("/"), None, _MS_SLAVE | _MS_REC)
        self._root = Path(tempfile.mkdtemp(prefix="sandbox-", dir=_first_writable(_PLACES)))
        self._mount("tmpfs", self._root, "tmpfs", _MS_NOSUID | _MS_NODEV)
        self._root.chmod(0o711)
        atexit.register(_remove_quietly, self._root)

    def bind(self, path: Path) -> Path:
        """Bind `path` (a folder or a file) into the stage once; gives its staged path."""
        source = path.resolve()
        if source in self._bound:
            return self._bound[source]
        self._count += 1
        target = self._root / f"{self._count}"
        if source.is_dir():
            target.mkdir(0o755)
        else:
            target.touch(0o755)
        self._mount(str(source), target, None, _MS_BIND | _MS_REC)
        self._bound[source] = target
        return target

    def unbind(self, path: Path) -> None:
        """Take a bound path out again; running sandboxes keep their own view of it."""
        target = self._bound.pop(path.resolve(), None)
        if target is None:
            return
        self._call("umount2", str(target).encode(), ctypes.c_int(_MNT_DETACH))
        if target.is_dir():
            target.rmdir()
        else:
            target.unlink()

    def rename(self, before: Path, after: Path) -> None:
        """The source of a bound path was renamed: its mount stays and is known by the new name."""
        target = self._bound.pop(before.resolve(), None)
        if target is not None:
            self.unbind(after)
            self._bound[after.resolve()] = target

    def _mount(self, source: str | None, target: Path, kind: str | None, flags: int) -> None:
        self._call(
            "mount",
            None if source is None else source.encode(),
            str(target).encode(),
            None if kind is None else kind.encode(),
            ctypes.c_ulong(flags),
            None,
        )

    def _call(self, name: str, *arguments: object) -> None:
        if getattr(self._libc, name)(*arguments) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"{name}: {os.strerror(number)}")


def _remove_quietly(folder: Path) -> None:
    """The empty folder that the stage was mounted on; the mounts themselves end with the process."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def _first_writable(places: tuple[str, ...]) -> str:
    for place in places:
        if os.access(place, os.W_OK | os.X_OK):
            return place
    raise OSError("no writable folder for the sandbox's mount point: " + ", ".join(places))


_spawner: Spawner | None = None
_spawner_lock = threading.Lock()


def shared() -> Spawner:
    """The process's spawner, started at the first call."""
    global _spawner
    with _spawner_lock:
        if _spawner is None:
            _spawner = Spawner()
        return _spawner


async def started(
    spawning: Coroutine[Any, Any, subprocess.Popen[bytes]], kill: Callable[[int], None]
) -> subprocess.Popen[bytes]:
    """The process that `spawning` starts; when the caller is cancelled meanwhile, `kill` ends it by its pid."""
    task = asyncio.ensure_future(spawning)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(lambda done: _end_orphan(done, kill))
        raise


def _end_orphan(
    task: "asyncio.Future[subprocess.Popen[bytes]]", kill: Callable[[int], None]
) -> None:
    if not task.cancelled() and task.exception() is None:
        process = task.result()
        kill(process.pid)
        with process:  # closes its pipes and reaps it
            pass


def hand_over(folder: Path, identity: Identity | None, *, whole: bool = False) -> None:
    """Give `folder` and all in it to the sandbox's user.

    Args:
        folder: nobody else's code may be at work in it.
        identity: the user; None leaves all as it is.
        whole: look at what is in it even where the folder itself is the user's already.
    """
    if identity is not None and (whole or folder.stat().st_uid != identity.uid):
        folders.give(folder, identity.uid, identity.gid)
