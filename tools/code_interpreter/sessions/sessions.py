"""One interpreter per thread: its kernel, its /mnt/data, its mounted input files.

A session ends after an hour, after half an hour without a call, when another thread needs the room, or with the engine.
Its files stay on disk and the thread's next session finds them again; variables are gone, and the first call of the
next session says so. Time comes from the clock port.

Several engines may share the folder. A thread's session is the one that began last, whichever engine has it: the others
end theirs when they notice, at the thread's next call or within half a minute.

A new session gets a kernel from the pool where one waits, else one that is started by its first call. There are never
more kernels than may live: who comes when all are at work waits until one is not.

It does not know what is run nor what becomes of it.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ....engine.errors import InvalidRequest
from ....engine.ports import Clock, SessionStarted, ToolFile
from ..isolation.folders import NOTHING, Footprint
from ..kernels.kernel import Kernel
from ..kernels.pool import Pool, Spare
from .sockets import SocketFolder
from .starting import Starter, stored
from .thread_folder import COLLECTED, ThreadFolder
from .turns import Turns

if TYPE_CHECKING:
    from ..isolation.runner import Runner
    from ..kernels.provisioner import Place

__all__ = ["COLLECTED", "Session", "SessionLimits", "Sessions"]

T = TypeVar("T")

_CULL_EVERY = 30.0  # seconds
_BLOCK = 4096  # bytes that a file may take on the disk beside its content
_NEWS = "This is a new interpreter session: variables of earlier ones are gone, files are kept."


@dataclass(frozen=True)
class SessionLimits:
    """How long sessions live and how many at once.

    Attributes:
        life: seconds from a session's start to its end, however busy it is.
        idle: seconds without a call after which it ends.
        live: kernels at once, those of the pool among them; a thread that needs one more takes that of the thread
            whose last call is longest ago, and waits while all are at work.
        pool: kernels that are kept ready for new sessions, each with pandas and pyplot in memory (90 MB); 0 keeps none.
    """

    life: float = 3600.0
    idle: float = 1800.0
    live: int = 4
    pool: int = 1

    def __post_init__(self) -> None:
        if self.pool > max(1, self.live):
            raise InvalidRequest(
                f"pool = {self.pool} is more than live = {self.live}, and those of the pool are among the live"
            )


@dataclass
class Session:
    """A live interpreter of a thread. `news` is to be told with the next call, then cleared.

    Attributes:
        counted: whether its start was told to whoever keeps the ledger.
        stored: files and pictures of it that were stored.
        lent: what the host itself put into /mnt/data, all in all.
        overfull: whether /mnt/data held more than it may when it was last looked at; None: not looked at.
    """

    thread_id: str
    home: ThreadFolder
    kernel: Kernel
    started_at: float
    used_at: float
    news: str = ""
    counted: bool = False
    stored: int = 0
    lent: Footprint = NOTHING
    overfull: bool | None = None

    @property
    def folder(self) -> Path:
        """The host folder of the thread."""
        return self.home.path

    @property
    def data(self) -> Path:
        """The host folder behind /mnt/data."""
        return self.home.data


class Sessions:
    """All sessions of an engine. `root` is a folder of its own (mode 0700) for what outlives them.

    Attributes:
        sockets: the private folder of the kernels' sockets.
        pool: the kernels that wait for a session.
    """

    def __init__(self, root: Path, runner: "Runner", clock: Clock, limits: SessionLimits) -> None:
        self._root = root
        self._runner = runner
        self._clock = clock
        self._limits = limits
        self._live: dict[str, Session] = {}
        self._opening = 0  # sessions that have a place and are not live yet
        self._turns = Turns()  # at a thread: who works in its session, starts it or ends it has one
        self._queue = asyncio.Lock()  # for a place among the live
        self._naming = asyncio.Lock()
        self.sockets = SocketFolder()
        self.pool = Pool(
            root.with_name("spares"),
            limits.pool,
            runner=runner,
            place=self._place,
            room=lambda: self._places,
        )
        self._starter = Starter(runner, self.pool, self._place)
        self._culler: asyncio.Task[None] | None = None

    @property
    def _places(self) -> int:
        """How many sessions more there may be."""
        return max(1, self._limits.live) - len(self._live) - self._opening

    @property
    def live(self) -> list[str]:
        """Threads with a live session, least recently used first."""
        return sorted(self._live, key=lambda thread_id: self._live[thread_id].used_at)

    def start(self) -> None:
        """Begin to look after the time of sessions, and to fill the pool; a second time is harmless."""
        if self._culler is None:
            self._culler = asyncio.create_task(self._cull_forever(), name="sandbox-culler")
            self.pool.fill()

    @contextlib.asynccontextmanager
    async def use(
        self,
        thread_id: str,
        inputs: Sequence[ToolFile],
        started: SessionStarted | None = None,
    ) -> AsyncGenerator[Session, None]:
        """The thread's session with these files mounted, to oneself until the block ends.

        Args:
            thread_id: whose.
            inputs: files to be found in /mnt/data.
            started: told when the session began, if nobody was told before.

        Raises:
            StorageFault: its folder cannot be written.
        """
        self.start()
        async with self._hold(thread_id) as session:
            session.used_at = self._clock.now()
            if inputs:
                names = await self.names(thread_id, inputs)
                owner = self._runner.owner_of(session.data)
                session.lent = _footprint(inputs)
                session.kernel.lend(session.lent)
                mounted = asyncio.to_thread(session.home.mount, inputs, names, owner)
                await stored(mounted, "input files cannot be copied to the session")
            if started is not None and not session.counted:
                await started(session.started_at)
                session.counted = True
            try:
                yield session
            finally:
                session.used_at = self._clock.now()

    async def names(self, thread_id: str, inputs: Sequence[ToolFile]) -> dict[str, str]:
        """File id -> name in /mnt/data; the same for a thread ever after.

        Raises:
            StorageFault: its folder cannot be written.
        """
        home = ThreadFolder(self._root, thread_id)
        async with self._naming:
            named = asyncio.to_thread(home.names, inputs)
            return await stored(named, "names of input files cannot be kept")

    async def forget(self, thread_id: str) -> None:
        """End the thread's session, whatever it is doing, and delete its files."""
        session = self._live.get(thread_id)
        if session is not None:
            await session.kernel.close()  # a call that goes on is over with that
        async with self._turns.turn(thread_id):
            await self._end_of(thread_id)
            await self.delete_files(self._root, thread_id)

    @staticmethod
    async def delete_files(root: Path, thread_id: str) -> None:
        """Delete what is kept for a thread without a live session."""
        await asyncio.to_thread(ThreadFolder(root, thread_id).remove)

    async def cull(self) -> None:
        """End sessions that are past their time, or whose thread another engine works on; those in use go on."""
        for thread_id, session in list(self._live.items()):
            over = self._expired(session) or not await asyncio.to_thread(session.home.in_place)
            if over and not self._turns.wanted(thread_id):
                await self._end_resting(thread_id)
        self.pool.fill()

    async def close(self) -> None:
        """End all sessions; files stay."""
        if self._culler is not None:
            self._culler.cancel()
        await self.pool.close()
        for session in list(self._live.values()):
            await self._end(session)
        await asyncio.to_thread(self.sockets.remove)

    @contextlib.asynccontextmanager
    async def _hold(self, thread_id: str) -> AsyncGenerator[Session, None]:
        """A session that nobody ends while it is held."""
        async with self._turns.turn(thread_id):
            session = self._live.get(thread_id)
            if session is not None and (
                self._expired(session) or not await asyncio.to_thread(_is_usable, session.home)
            ):
                await self._end_of(thread_id)
                session = None
            yield session or await self._open(thread_id)

    async def _open(self, thread_id: str) -> Session:
        await self._find_place()
        self._opening += 1
        try:
            spare = await self.pool.take()
            return await _finished(self._start(thread_id, spare))
        finally:
            self._opening -= 1
            self.pool.fill()

    async def _find_place(self) -> None:
        """Wait until there may be one kernel more, ending the session that rested longest if need be."""
        async with self._queue:
            while self._places < 1:
                self._turns.rested.clear()
                resting = next((name for name in self.live if not self._turns.wanted(name)), None)
                if resting is None:
                    await self._turns.rested.wait()
                else:
                    await self._end_resting(resting)

    async def _start(self, thread_id: str, spare: Spare | None) -> Session:
        home = ThreadFolder(self._root, thread_id)
        kernel, known = await self._starter.start(home, spare)
        now = self._clock.now()
        session = Session(thread_id, home, kernel, now, now, news=_NEWS if known else "")
        self._live[thread_id] = session
        return session

    def _place(self, data: Path) -> "Place":
        from ..kernels.provisioner import Place

        return Place(self._runner, data, self.sockets.name())

    async def _end_resting(self, thread_id: str) -> None:
        async with self._turns.turn(thread_id):
            await self._end_of(thread_id)

    async def _end_of(self, thread_id: str) -> None:
        """End the thread's session if there is one; to be called by who has the turn."""
        session = self._live.get(thread_id)
        if session is not None:
            await _finished(self._end(session))

    async def _end(self, session: Session) -> None:
        await session.kernel.close()
        await self._runner.release(session.data)
        self._live.pop(session.thread_id, None)

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


async def _finished(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`, which is brought to its end although the caller is cancelled meanwhile."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _footprint(inputs: Sequence[ToolFile]) -> Footprint:
    return Footprint(sum(item.file.bytes + _BLOCK for item in inputs), len(inputs))


def _is_usable(home: ThreadFolder) -> bool:
    """Whether its kernel sees the thread's folder still; code that locked the folder has not locked us out."""
    home.unlock()
    return home.in_place()
