"""Waiting at a thread that a run holds, for requests that would rather wait than be refused (an extension).

Three policies: `refuse` is the API's own. `queue` waits until the thread is free, then does its work; who came first is
served first. `interrupt` cancels the run that holds the thread and waits for its end, then goes on as `queue`; it does
so again when a request served before it has begun another run. It cancels nothing for a request that would be refused
anyway, nor for one that does not wait at all.

It never decides whether a thread is free: the request itself does, in the transaction that changes the thread. So one
active run per thread stays true, also among processes that share a store; order is kept within a process only. A
request whose client has given up is not carried out any more.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from ..core import Core
from ..errors import InvalidRequest, NotFound, ThreadBusy
from ..events import RUN_END
from ..objects import Run
from ..ports import Transaction
from ..settings import BusyPolicy
from ..states import RUN

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How one request waits.

    Attributes:
        policy: what it does when the thread is busy.
        seconds: how long it waits at most; after that it is treated as `refuse` would.
        still_in: asked after waiting, before anything is done; raises when the request may not be carried out any more.
            None: it always may.
        gone: is set when nobody waits for the answer any more; then nothing is done. None: somebody always does.
    """

    policy: BusyPolicy = BusyPolicy.REFUSE
    seconds: float = 60.0
    gone: asyncio.Event | None = None
    still_in: Callable[[], Awaitable[object]] | None = None

    @property
    def in_vain(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self.gone is not None and self.gone.is_set()

    async def confirm(self) -> None:
        """Return if the request may still be carried out; else `still_in` raises."""
        if self.still_in is not None:
            await self.still_in()


class BusyThreads:
    """The lines of requests that wait, one for each busy thread.

    Args:
        core: its store and feed tell when a run is over, its clock when to wait no longer.
        cancel: asks a run to stop, by the ids of thread and run.
    """

    def __init__(self, core: Core, cancel: Callable[[str, str], Awaitable[object]]) -> None:
        self._core = core
        self._cancel = cancel
        self._lines: dict[str, deque[asyncio.Event]] = {}

    async def enter(
        self,
        thread_id: str,
        attempt: Callable[[], Awaitable[T]],
        patience: Patience,
        check: Callable[[], Awaitable[object]] | None = None,
    ) -> T:
        """What `attempt` comes to once the thread lets it: it is called again after each ThreadBusy.

        `check` raises what `attempt` would at a free thread; no run is interrupted for what cannot succeed.

        Raises:
            ThreadBusy: the thread was busy to the end of the request's patience.
            AssistantsError: whatever else `attempt` raises, at once.
        """
        if patience.policy is BusyPolicy.REFUSE or patience.seconds <= 0:
            return await attempt()
        interrupts = patience.policy is BusyPolicy.INTERRUPT
        with self._in_line(thread_id) as my_turn, _limits(self._core, patience) as limits:
            if interrupts:
                await self._stop(thread_id, patience, check)
            in_time = await _before(limits, my_turn.wait())
            while in_time:
                await patience.confirm()
                try:
                    return await attempt()
                except ThreadBusy:
                    if interrupts:
                        await self._stop(thread_id, patience, check)
                    in_time = await _before(limits, self._free(thread_id))
            if patience.in_vain:
                raise ThreadBusy(f"The client gave up waiting for {thread_id}.")
            await patience.confirm()
            return await attempt()

    @contextmanager
    def _in_line(self, thread_id: str) -> Iterator[asyncio.Event]:
        """A place at the end of the thread's line; the event is set when it has become the first."""
        line = self._lines.setdefault(thread_id, deque())
        place = asyncio.Event()
        line.append(place)
        line[0].set()
        try:
            yield place
        finally:
            line.remove(place)
            if line:
                line[0].set()
            else:
                del self._lines[thread_id]

    async def _stop(
        self,
        thread_id: str,
        patience: Patience,
        check: Callable[[], Awaitable[object]] | None,
    ) -> None:
        active = await self._active(thread_id)
        if active is not None and not patience.in_vain:
            await patience.confirm()
            if check is not None:
                await check()
            with suppress(InvalidRequest, NotFound):  # it is over by now, or cancelling already
                await self._cancel(thread_id, active.id)

    async def _free(self, thread_id: str) -> None:
        """Return when the run that holds the thread now is over."""
        active = await self._active(thread_id)
        if active is None:
            return
        with self._core.feed.subscribe(active.id) as live:
            while not await self._is_over(active.id):
                while heard := await live.take():  # silence: another process may have ended it
                    if any(event.name in RUN_END for event in heard):
                        return

    async def _active(self, thread_id: str) -> Run | None:
        return await self._core.store.read(lambda tx: tx.active_run(thread_id))

    async def _is_over(self, run_id: str) -> bool:
        def look(tx: Transaction) -> bool:
            run = tx.get(Run, run_id)
            return run is None or RUN.is_final(run.status)

        return await self._core.store.read(look)


@contextmanager
def _limits(core: Core, patience: Patience) -> Iterator[set["asyncio.Task[Any]"]]:
    """Tasks of which any one that ends puts an end to waiting."""
    limits: set[asyncio.Task[Any]] = {asyncio.ensure_future(core.clock.sleep(patience.seconds))}
    if patience.gone is not None:
        limits.add(asyncio.create_task(patience.gone.wait()))
    try:
        yield limits
    finally:
        for task in limits:
            task.cancel()


async def _before(limits: set["asyncio.Task[Any]"], what: Coroutine[Any, Any, object]) -> bool:
    """Whether `what` happened before waiting had an end; only waits are ever cut short, never a change."""
    waiting = asyncio.create_task(what)
    try:
        await asyncio.wait({waiting, *limits}, return_when=asyncio.FIRST_COMPLETED)
        for limit in limits:
            if limit.done():
                limit.result()  # raises what it raised
                return False
        await waiting
        return True
    finally:
        waiting.cancel()
