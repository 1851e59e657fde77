"""One interpreter per thread: its kernel, its /mnt/data, its mounted input files.

A session ends after an hour, after half an hour without a call, when more are wanted than may live, or with the
engine. Its files stay on disk and the thread's next session finds them again; variables are gone, and the first call
of the next session says so. Time comes from the clock port.

It does not know what is run nor what becomes of it. Files' names inside are given here and kept: what a thread was
once told to be at /mnt/data/x.csv stays there.
"""

import asyncio
import contextlib
import hashlib
import itertools
import json
import os
import re
import tempfile
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ....engine.errors import StorageFault
from ....engine.ports import Clock, ToolFile
from ..isolation import folders
from ..kernels.kernel import Kernel
from . import files as sandbox_files

if TYPE_CHECKING:
    from ..isolation.runner import Runner

COLLECTED = "collected-"
"""How folders for copies on their way out begin; they stand in a session's folder."""
_SAFE_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
_CULL_EVERY = 30.0  # seconds
_SOCKET_PATH = 90  # bytes; a unix socket's path may have 107


@dataclass(frozen=True)
class SessionLimits:
    """How long sessions live and how many at once. Seconds on the injected clock."""

    life: float = 3600.0
    idle: float = 1800.0
    live: int = 4


@dataclass
class Session:
    """A live interpreter of a thread. `news` is to be told with the next call, then cleared."""

    thread_id: str
    folder: Path
    kernel: Kernel
    started_at: float
    used_at: float
    news: str = ""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def data(self) -> Path:
        """The host folder behind /mnt/data."""
        return self.folder / "data"


class Sessions:
    """All sessions of an engine. `root` is a folder of its own (mode 0700) for what outlives them.

    Attributes:
        sockets: the private folder of the kernels' sockets.
    """

    def __init__(self, root: Path, runner: "Runner", clock: Clock, limits: SessionLimits) -> None:
        self._root = root
        self._runner = runner
        self._clock = clock
        self._limits = limits
        self._live: dict[str, Session] = {}
        self._opening = asyncio.Lock()
        self._naming = asyncio.Lock()
        self._numbers = itertools.count()
        self.sockets = _sockets_folder()
        self._culler: asyncio.Task[None] | None = None

    @property
    def live(self) -> list[str]:
        """Threads with a live session, least recently used first."""
        return sorted(self._live, key=lambda thread_id: self._live[thread_id].used_at)

    @contextlib.asynccontextmanager
    async def use(self, thread_id: str, files: Sequence[ToolFile]) -> AsyncGenerator[Session, None]:
        """The thread's session with these files mounted, to oneself until the block ends.

        Raises:
            StorageFault: its folder cannot be written.
        """
        async with self._hold(thread_id) as session:
            session.used_at = self._clock.now()
            names = await self.names(thread_id, files)
            try:
                await asyncio.to_thread(self._mount, session.data, files, names)
            except OSError as error:
                raise StorageFault(
                    f"input files cannot be copied to the session: {error}"
                ) from error
            try:
                yield session
            finally:
                session.used_at = self._clock.now()

    @contextlib.asynccontextmanager
    async def _hold(self, thread_id: str) -> AsyncGenerator[Session, None]:
        """A session that nobody ends while it is held."""
        while True:
            session = await self._open(thread_id)
            async with session.lock:
                if self._live.get(thread_id) is session:  # not ended while we waited for our turn
                    yield session
                    return

    async def names(self, thread_id: str, files: Sequence[ToolFile]) -> dict[str, str]:
        """File id -> name in /mnt/data; the same for a thread ever after."""
        async with self._naming:
            return await asyncio.to_thread(self._names, _folder(self._root, thread_id), files)

    async def forget(self, thread_id: str) -> None:
        """End the thread's session and delete its files."""
        await self._end(thread_id)
        await self.delete_files(self._root, thread_id)

    @staticmethod
    async def delete_files(root: Path, thread_id: str) -> None:
        """Delete what is kept for a thread without a live session."""
        await asyncio.to_thread(folders.remove_tree, _folder(root, thread_id))

    async def cull(self) -> None:
        """End sessions that are past their time; those in use go on."""
        for thread_id, session in list(self._live.items()):
            if self._expired(session) and not session.lock.locked():
                await self._end(thread_id)

    async def close(self) -> None:
        """End all sessions; files stay."""
        if self._culler is not None:
            self._culler.cancel()
        for thread_id in list(self._live):
            await self._end(thread_id)
        await asyncio.to_thread(folders.remove_tree, self.sockets)

    async def _open(self, thread_id: str) -> Session:
        async with self._opening:
            found = self._live.get(thread_id)
            if found is not None and self._expired(found) and not found.lock.locked():
                await self._end(thread_id)
                found = None
            if found is None:
                await self._make_room()
                found = self._live[thread_id] = await self._start(thread_id)
            self._culler = self._culler or asyncio.create_task(
                self._cull_forever(), name="sandbox-culler"
            )
            return found

    async def _start(self, thread_id: str) -> Session:
        from ..kernels.provisioner import Place

        folder = _folder(self._root, thread_id)
        try:
            known = await asyncio.to_thread(self._prepare, folder)
        except OSError as error:
            raise StorageFault(f"the session's folder cannot be made: {error}") from error
        place = Place(self._runner, folder / "data", self.sockets / str(next(self._numbers)))
        now = self._clock.now()
        news = (
            "This is a new interpreter session: variables of earlier ones are gone, files are kept."
            if known
            else ""
        )
        return Session(thread_id, folder, Kernel(place), started_at=now, used_at=now, news=news)

    def _prepare(self, folder: Path) -> bool:
        """Make the thread's folders; whether there was a session before."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for leftover in folder.glob(f"{COLLECTED}*"):
            folders.remove_tree(leftover)
        self._runner.prepare(folder / "data")
        if not _is_ours(self.sockets):
            self.sockets = _sockets_folder()
        mark = folder / "session"
        known = mark.exists()
        mark.touch()
        return known

    async def _make_room(self) -> None:
        while len(self._live) >= self._limits.live:
            idle = next((t for t in self.live if not self._live[t].lock.locked()), None)
            if (
                idle is None
            ):  # all are at work: one more than wanted is better than a run that fails
                return
            await self._end(idle)

    async def _end(self, thread_id: str) -> None:
        session = self._live.pop(thread_id, None)
        if session is not None:
            await session.kernel.close()
            await self._runner.release(session.data)

    def _expired(self, session: Session) -> bool:
        now = self._clock.now()
        return (
            now - session.started_at > self._limits.life
            or now - session.used_at > self._limits.idle
        )

    async def _cull_forever(self) -> None:
        while True:
            await self._clock.sleep(_CULL_EVERY)
            await self.cull()

    def _names(self, folder: Path, files: Sequence[ToolFile]) -> dict[str, str]:
        record = folder / "inputs.json"
        try:
            known: dict[str, str] = json.loads(record.read_text())
        except (OSError, ValueError):
            known = {}
        fresh = [item for item in files if item.file.id not in known]
        taken = set(known.values())
        if fresh:
            # What code made there keeps its name; the new input steps aside.
            with contextlib.suppress(OSError):
                taken |= set(os.listdir(folder / "data"))
        for item in fresh:
            name = sandbox_files.numbered(sandbox_files.safe_name(item.file.filename), taken)
            known[item.file.id] = name
            taken.add(name)
        if fresh:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial = record.with_suffix(".partial")
            partial.write_text(json.dumps(known))
            os.replace(partial, record)
        return {item.file.id: known[item.file.id] for item in files}

    def _mount(self, data: Path, files: Sequence[ToolFile], names: dict[str, str]) -> None:
        """Copy the files in that were not copied before; what code did to them since is its own business."""
        record = data.parent / "mounted"
        mounted = set(record.read_text().split("\n")) if record.exists() else set[str]()
        owner = self._runner.owner_of(data)
        for item in files:
            if item.file.id in mounted:
                continue
            try:
                with contextlib.suppress(FileExistsError):
                    sandbox_files.put(data, names[item.file.id], item.path, owner)
            except FileNotFoundError:
                if item.path.exists():
                    raise
                continue  # the file was deleted while the run was under way
            with record.open("a") as file:
                file.write(item.file.id + "\n")


def _folder(root: Path, thread_id: str) -> Path:
    # An id of ours is safe; anything else (an import, a test) must not become a path.
    safe = _SAFE_ID.fullmatch(thread_id)
    return root / (thread_id if safe else hashlib.sha256(thread_id.encode()).hexdigest())


def _sockets_folder() -> Path:
    """A short, private folder for the kernels' sockets, where no one cleans up by age if there is such a place."""
    places = (
        os.environ.get("XDG_RUNTIME_DIR"),
        "/run" if os.geteuid() == 0 else None,
        None,
        "/tmp",
    )
    for place in places:
        with contextlib.suppress(OSError):
            folder = Path(tempfile.mkdtemp(prefix="kernels-", dir=place))
            if len(os.fsencode(folder)) <= _SOCKET_PATH:
                return folder
            folder.rmdir()
    raise StorageFault(
        "no folder with a short path for sockets can be made: is /tmp full or read-only?"
    )


def _is_ours(folder: Path) -> bool:
    """Whether it is still there and nobody else's."""
    with contextlib.suppress(OSError):
        return folder.lstat().st_uid == os.geteuid() and folder.is_dir()
    return False
