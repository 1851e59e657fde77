"""Takes queued runs and has the loop execute them; cancels, expires and takes up again what a dead process left.

A run belongs to a worker by a lease that a heartbeat extends, so several processes may share one store. Runs that
nobody executes (waiting for the client, queued) are ended here when they are overdue.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from .ahead import AheadOfTime
from .core import Core
from .endings import end_run
from .errors import AssistantsError
from .execution import Execution
from .journal import Unit
from .lease import FencedJournal
from .log_context import working_on
from .loop import RunLoop
from .objects import Run
from .ports import Transaction
from .states import On, RunStatus

_log = logging.getLogger("local_assistants.worker")


class Worker:
    """The runs of one process. `start` it once; `stop` leaves unfinished runs in the store for the next start."""

    def __init__(self, core: Core, on_beat: Callable[[], None] = lambda: None) -> None:
        """`on_beat` is called after each heartbeat, for what else has to be looked after in time."""
        self._core = core
        self._on_beat = on_beat
        self._owner = core.ids.new("request")
        self._running: dict[str, tuple[Execution, asyncio.Task[None]]] = {}
        self._unended: set[str] = set()  # ours in the store, though nobody executes them any more
        self._ahead = AheadOfTime(core.store, core.settings)
        self._wanted = asyncio.Event()
        self._draining = False
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping: set[asyncio.Task[None]] = set()  # ending runs that nobody executes

    async def start(self) -> None:
        """Begin to claim runs."""
        self._tasks = [asyncio.create_task(self._claim()), asyncio.create_task(self._beat())]
        self._wanted.set()

    async def drain(self) -> None:
        """Claim no more runs; returns when those that are executed here are over or wait for their client."""
        self._draining = True
        while self._running:
            await asyncio.wait([task for _, task in self._running.values()])

    async def stop(self) -> None:
        """Stop executing; leases are given back so that the next start takes the runs up at once."""
        executing = [*(task for _, task in self._running.values()), *self._stopping]
        run_ids = list(self._running)
        tasks, self._tasks = [*self._tasks, *executing], []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._core.journal.settle()
        now = self._core.clock.now()

        def release(tx: Transaction) -> None:
            for run_id in run_ids:
                tx.release_run(run_id, self._owner)
            tx.extend_leases(self._owner, now, 0.0)  # what was claimed at this very moment

        await self._core.store.write(release)

    @property
    def executing(self) -> int:
        """How many runs are executed here at this moment."""
        return len(self._running)

    def wake(self) -> None:
        """There may be a run to claim."""
        self._wanted.set()

    def interrupt(self, run_id: str, event: On) -> None:
        """Have a run stopped: at once if it is executed here or by nobody, else by the process that executes it."""
        running = self._running.get(run_id)
        if running is None:
            if not self._tasks:
                return  # stopped: the next start takes it up
            task = asyncio.create_task(self._stop_idle(run_id))
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)
            return
        execution, task = running
        if execution.stop is None:
            execution.stop = event
            if execution.begun:  # else it finds `stop` when it begins
                task.cancel()

    async def _stop_idle(self, run_id: str) -> None:
        """End a cancelled run that nobody works on; it does not wait for a place among those executed."""

        def stop(unit: Unit) -> None:
            now, lease = self._core.clock.now(), self._core.settings.lease
            run = unit.tx.claim_run(self._owner, now, lease, run_id)
            if run is not None and run.status is RunStatus.CANCELLING:
                end_run(unit, run_id, On.STOPPED)

        with working_on(run_id=run_id):
            try:
                await self._core.journal.commit(stop)
            except AssistantsError:
                _log.exception("run %s could not be ended; it is taken up like any other", run_id)
                self.wake()

    async def _claim(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self._claim_all()
            except AssistantsError:
                _log.exception("no run could be claimed; the next heartbeat tries again")

    async def _claim_all(self) -> None:
        while (places := self._places) > 0:
            claimed = await self._core.store.write(partial(self._claim_some, places))
            for run in claimed:
                if run.id not in self._running:  # else our own lease had lapsed: the machine slept
                    self._begin(run)
            if len(claimed) < places:
                return

    @property
    def _places(self) -> int:
        """How many more runs may be executed here."""
        if self._draining:
            return 0
        return self._core.settings.max_concurrent_runs - len(self._running)

    def _begin(self, run: Run) -> None:
        execution = Execution(run)
        task = asyncio.create_task(self._execute(execution))
        self._running[run.id] = (execution, task)
        task.add_done_callback(partial(self._done, run.id))

    def _claim_some(self, most: int, tx: Transaction) -> list[Run]:
        """As many as there are places for, in one transaction: else each waits for the one before to be on disk."""
        now, lease = self._core.clock.now(), self._core.settings.lease
        share = self._core.settings.project_share if tx.several_projects() else None
        claimed: list[Run] = []
        while len(claimed) < most and (run := tx.claim_run(self._owner, now, lease, share=share)):
            claimed.append(run)
        return claimed

    async def _execute(self, execution: Execution) -> None:
        run_id = execution.run.id
        with working_on(run_id=run_id, thread_id=execution.run.thread_id):
            await self._execute_fenced(execution)

    async def _execute_fenced(self, execution: Execution) -> None:
        run_id = execution.run.id
        fenced = FencedJournal(self._core.journal, run_id, self._owner)
        try:
            await RunLoop(replace(self._core, journal=fenced)).execute(execution)
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
            self._on_beat()
            await self._core.clock.sleep(settings.heartbeat)

    async def _tick(self) -> None:
        now = self._core.clock.now()
        lease = self._core.settings.lease
        await self._core.store.write(lambda tx: self._renew(tx, now, lease))
        self._unended.clear()
        at_work = {run_id: execution for run_id, (execution, _) in self._running.items()}
        for run_id in await self._core.store.read(partial(self._stopped_elsewhere, tuple(at_work))):
            if run_id in self._running and self._running[run_id][0] is at_work[run_id]:
                self.interrupt(run_id, On.STOPPED)
        for run in await self._core.store.read(lambda tx: tx.overdue_runs(now)):
            if run.id in self._running:
                self.interrupt(run.id, On.EXPIRE)
            else:
                await self._core.journal.commit(partial(end_run, run_id=run.id, event=On.EXPIRE))
        self.wake()  # a lease of another process may have lapsed
        if await self._ahead.look(now):
            self.wake()

    def _renew(self, tx: Transaction, now: float, lease: float) -> None:
        for run_id in tuple(self._unended):
            tx.release_run(run_id, self._owner)
        tx.extend_leases(self._owner, now, lease)

    def _stopped_elsewhere(self, run_ids: Sequence[str], tx: Transaction) -> list[str]:
        """Runs executed here that another process was asked to cancel, has ended or has taken over."""

        def stopped(run_id: str) -> bool:
            run = tx.get(Run, run_id)
            cancelling = run is not None and run.status is RunStatus.CANCELLING
            return cancelling or tx.lease_owner(run_id) != self._owner

        return [run_id for run_id in run_ids if stopped(run_id)]
