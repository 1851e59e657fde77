"""Takes queued runs and has the loop execute them; cancels, expires and takes up again what a dead process left.

A run belongs to a worker by a lease that a heartbeat extends, so several processes may share one store. Runs that
nobody executes (waiting for the client, queued) are ended here when they are overdue.
"""

import asyncio
import logging
from functools import partial

from .core import Core
from .endings import end_run
from .errors import AssistantsError
from .loop import Execution, RunLoop
from .objects import Run
from .ports import Transaction
from .states import RUN, On, RunStatus

_log = logging.getLogger("local_assistants.worker")


class Worker:
    """The runs of one process. `start` it once; `stop` leaves unfinished runs in the store for the next start."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._loop = RunLoop(core)
        self._owner = core.ids.new("request")
        self._running: dict[str, tuple[Execution, asyncio.Task[None]]] = {}
        self._unended: set[str] = set()  # ours in the store, though nobody executes them any more
        self._wanted = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to claim runs."""
        self._tasks = [asyncio.create_task(self._claim()), asyncio.create_task(self._beat())]
        self._wanted.set()

    async def stop(self) -> None:
        """Stop executing; leases are given back so that the next start takes the runs up at once."""
        executing = [task for _, task in self._running.values()]
        run_ids = list(self._running)
        for task in [*self._tasks, *executing]:
            task.cancel()
        await asyncio.gather(*self._tasks, *executing, return_exceptions=True)
        await self._core.journal.settle()
        now = self._core.clock.now()

        def release(tx: Transaction) -> None:
            for run_id in run_ids:
                tx.release_run(run_id, self._owner)
            tx.extend_leases(self._owner, now, 0.0)  # what was claimed at this very moment

        await self._core.store.write(release)

    def wake(self) -> None:
        """There may be a run to claim."""
        self._wanted.set()

    def interrupt(self, run_id: str, event: On) -> None:
        """Have a run stopped: at once if it is executed here, else it is claimed and ended."""
        running = self._running.get(run_id)
        if running is None:
            self.wake()
            return
        execution, task = running
        if execution.stop is None:
            execution.stop = event
            if execution.begun:  # else it finds `stop` when it begins
                task.cancel()

    async def _claim(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self._claim_all()
            except AssistantsError:
                _log.exception("no run could be claimed; the next heartbeat tries again")

    async def _claim_all(self) -> None:
        while len(self._running) < self._core.settings.max_concurrent_runs:
            run = await self._core.store.write(self._claim_one)
            if run is None:
                return
            if run.id in self._running:
                continue  # our own lease had lapsed (the machine slept); it is ours again
            execution = Execution(run)
            task = asyncio.create_task(self._execute(execution))
            self._running[run.id] = (execution, task)
            task.add_done_callback(partial(self._done, run.id))

    def _claim_one(self, tx: Transaction) -> Run | None:
        return tx.claim_run(self._owner, self._core.clock.now(), self._core.settings.lease)

    async def _execute(self, execution: Execution) -> None:
        run_id = execution.run.id
        try:
            await self._loop.execute(execution)
        except Exception:
            # The store refuses. The next heartbeat that reaches it gives the run back, to be taken up again.
            _log.exception("run %s could not be ended", run_id)
            self._unended.add(run_id)

    def _done(self, run_id: str, _: asyncio.Task[None]) -> None:
        del self._running[run_id]
        self.wake()

    async def _beat(self) -> None:
        settings = self._core.settings
        while True:
            try:
                await self._tick()
            except AssistantsError:
                _log.exception("heartbeat failed")
            await self._core.clock.sleep(settings.heartbeat)

    async def _tick(self) -> None:
        now = self._core.clock.now()
        lease = self._core.settings.lease
        await self._core.store.write(lambda tx: self._renew(tx, now, lease))
        self._unended.clear()
        for run_id in await self._core.store.read(self._stopped_elsewhere):
            self.interrupt(run_id, On.STOPPED)
        for run in await self._core.store.read(lambda tx: tx.overdue_runs(now)):
            if run.id in self._running:
                self.interrupt(run.id, On.EXPIRE)
            else:
                await self._core.journal.commit(partial(end_run, run_id=run.id, event=On.EXPIRE))
        self.wake()  # a lease of another process may have lapsed

    def _renew(self, tx: Transaction, now: float, lease: float) -> None:
        for run_id in tuple(self._unended):
            tx.release_run(run_id, self._owner)
        tx.extend_leases(self._owner, now, lease)

    def _stopped_elsewhere(self, tx: Transaction) -> list[str]:
        """Runs executed here that another process was asked to cancel, or has ended."""
        runs = [tx.get(Run, run_id) for run_id in tuple(self._running)]
        return [
            run.id
            for run in runs
            if run and (run.status is RunStatus.CANCELLING or RUN.is_final(run.status))
        ]
