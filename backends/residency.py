"""Which models are in memory: loads them when they are wanted, within a budget, and unloads them when they are not.

Rules. One model is loaded at a time, in the order in which they were wanted, so that the memory that each was counted
with is there. To make room, those that nobody uses leave first, the longest unused before others; one in use leaves
when its streams have ended, and takes no new ones meanwhile, so that two models that do not fit together take turns. A
stream on a model that has left loads it again.

It knows no file format and does not look at the machine's memory: it counts what the models are said to take.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager

from ..engine.chat import Capabilities
from ..engine.errors import AssistantsError, BackendFault
from ..engine.observer import Observer
from ..engine.ports import Backend, Clock, ModelStatus
from .slots import ModelEntry, Slot

_log = logging.getLogger("local_assistants")
_SHORTEST_IDLE = (
    1.0  # seconds; else a model would leave before the one who waited for it has taken it
)


class Residency:
    """Loads and unloads.

    Args:
        entries: the models by name.
        clock: for idle times.
        budget: bytes that all loaded models may take together; None: no limit.
        observers: hear of every change; may grow later.
    """

    def __init__(
        self,
        entries: Mapping[str, ModelEntry],
        clock: Clock,
        budget: int | None,
        observers: Sequence[Observer],
    ) -> None:
        self._slots = {
            name: Slot(name, entry, ModelStatus(name, "unloaded"))
            for name, entry in entries.items()
        }
        self._clock = clock
        self._budget = budget
        self._observers = observers
        self._door = asyncio.Lock()  # held while memory is taken or given back
        self._closed = False

    def statuses(self) -> Sequence[ModelStatus]:
        """Of every model."""
        return [slot.status for slot in self._slots.values()]

    def start(self) -> None:
        """Begin to load what is wanted at start; failures are in the status and told in the log."""
        for slot in self._slots.values():
            if slot.entry.at_start:
                self._begin(slot)

    def starting(self) -> Sequence[ModelStatus]:
        """Models wanted at start that are still being loaded."""
        slots = [slot for slot in self._slots.values() if slot.entry.at_start]
        return [slot.status for slot in slots if slot.status.state == "loading"]

    def capabilities(self, name: str) -> Capabilities:
        """The last known ones of a model that was loaded at least once."""
        slot = self._slots[name]
        if slot.backend is not None:
            slot.capabilities = slot.backend.capabilities
        if slot.capabilities is None:
            raise BackendFault(f"The model '{name}' was never loaded.")
        return slot.capabilities

    async def wanted(self, name: str) -> None:
        """Return when the model is loaded.

        Raises:
            BackendFault: it cannot be, or all of this is being closed.
            AssistantsError: whatever else its opener raised.
        """
        slot = self._slots[name]
        while not slot.usable:
            await self._loaded(slot)
        slot.used_at = self._clock.now()

    @asynccontextmanager
    async def use(self, name: str) -> AsyncGenerator[Backend]:
        """The loaded backend, which stays for the length of the block. Raises what `wanted` does."""
        await self.wanted(name)  # nothing is awaited between its return and the next line
        slot = self._slots[name]
        backend = slot.take()
        try:
            yield backend
        finally:
            slot.release(self._clock.now())

    async def forget(self, session: str) -> None:
        """Have every loaded model forget a conversation; when it returns, none will write it down any more."""
        for slot in self._slots.values():
            if slot.closing is not None:
                await asyncio.wait([slot.closing])
            elif slot.backend is not None:
                backend = slot.take()
                try:
                    await backend.forget(session)
                finally:
                    slot.release(slot.used_at)  # which is no use that keeps it from being idle

    async def close(self) -> None:
        """Stop loading, and unload everything, whoever uses it."""
        self._closed = True
        slots = self._slots.values()
        tasks = [task for slot in slots for task in (slot.load, slot.watcher) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for slot in slots:
            await self._shut(slot)

    # --- loading ----------------------------------------------------------------------------------

    async def _loaded(self, slot: Slot) -> None:
        """Wait for the attempt that is under way, or begin one; cancelling a waiter cancels no attempt."""
        task = self._begin(slot)
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if self._closed and task.cancelled():
                raise _closing() from None
            raise

    def _begin(self, slot: Slot) -> asyncio.Task[None]:
        if self._closed:
            raise _closing()
        if slot.load is None or slot.load.done():
            slot.load = asyncio.create_task(self._load(slot), name=f"load {slot.name}")
            slot.load.add_done_callback(_heard)
        return slot.load

    async def _load(self, slot: Slot) -> None:
        try:
            if slot.backend is None:
                self._tell(ModelStatus(slot.name, "loading"))
            if slot.entry.estimate is None and not slot.leaving:
                await self._open(slot, 0)  # takes no memory, so it waits for nobody
                return
            async with self._door:
                await self._open(slot, await self._room_for(slot))
        except asyncio.CancelledError:
            self._tell(ModelStatus(slot.name, "unloaded"))
            raise
        except Exception as error:
            text = str(error) if isinstance(error, AssistantsError) else repr(error)
            self._tell(ModelStatus(slot.name, "failed", detail=text))
            _log.error("the model %s cannot be loaded: %s", slot.name, text)
            raise

    async def _open(self, slot: Slot, needed: int) -> None:
        loop = asyncio.get_running_loop()

        def heard(share: float) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens
                loop.call_soon_threadsafe(self._progressed, slot, share)

        self._tell(ModelStatus(slot.name, "loading", bytes=needed))
        began = self._clock.now()
        slot.backend = backend = await slot.entry.open(heard)
        slot.used_at = now = self._clock.now()
        slot.capabilities = backend.capabilities
        extra = slot.capabilities.extra
        took = int(extra.get("bytes", needed))
        self._tell(ModelStatus(slot.name, "ready", 1.0, took, str(extra.get("detail", ""))))
        _log.info("the model %s is loaded (%.1f s)", slot.name, now - began)
        if slot.entry.idle_seconds is not None:
            idle = max(slot.entry.idle_seconds, _SHORTEST_IDLE)
            slot.watcher = asyncio.create_task(self._watch(slot, idle))

    def _progressed(self, slot: Slot, share: float) -> None:
        status = slot.status
        if status.state == "loading" and int(share * 100) > int(status.progress * 100):
            self._tell(ModelStatus(slot.name, "loading", min(share, 1.0), status.bytes))

    def _tell(self, status: ModelStatus) -> None:
        if self._slots[status.name].status != status:
            self._slots[status.name].status = status
            for observer in self._observers:
                observer.model_changed(status)

    # --- room -------------------------------------------------------------------------------------

    async def _room_for(self, slot: Slot) -> int:
        """Unload until the model fits, and return the bytes that it will take. The door is held.

        Raises:
            BackendFault: it does not fit even alone.
        """
        estimate = slot.entry.estimate
        needed = await asyncio.to_thread(estimate, self._budget) if estimate else 0
        if self._budget is None:
            return needed
        if needed > self._budget:
            raise BackendFault(
                f"The model '{slot.name}' needs about {needed / 1e9:.2f} GB of memory, and all models together may "
                f"take {self._budget / 1e9:.2f} GB. Raise memory_budget, or load it with a smaller context."
            )
        while self._taken() + needed > self._budget:
            await self._unload(
                min(self._resident(), key=lambda each: (each.uses > 0, each.used_at))
            )
        return needed

    def _resident(self) -> list[Slot]:
        slots = self._slots.values()
        return [slot for slot in slots if slot.backend is not None and slot.status.bytes]

    def _taken(self) -> int:
        return sum(slot.status.bytes for slot in self._resident())

    async def _unload(self, slot: Slot) -> None:
        """Wait for its streams to end, then unload it. The door is held."""
        slot.leaving = True
        try:
            while slot.uses:
                await slot.unused.wait()
            await self._shut(slot)
        finally:
            slot.leaving = False
        _log.info("the model %s is unloaded", slot.name)

    async def _shut(self, slot: Slot) -> None:
        """Close the backend if there is one; cancelling this does not."""
        if slot.watcher is not None and slot.watcher is not asyncio.current_task():
            slot.watcher.cancel()
        if slot.backend is not None and slot.closing is None:
            slot.closing = asyncio.create_task(self._let_go(slot, slot.backend))
        if slot.closing is not None:
            await asyncio.shield(slot.closing)

    async def _let_go(self, slot: Slot, backend: Backend) -> None:
        slot.capabilities = backend.capabilities
        try:
            await backend.close()
        except AssistantsError as error:
            _log.warning("unloading the model %s: %s", slot.name, error)
        finally:
            slot.backend = slot.watcher = slot.closing = None
            self._tell(ModelStatus(slot.name, "unloaded"))

    async def _watch(self, slot: Slot, idle: float) -> None:
        """Unload the model once nobody has used it for `idle` seconds."""
        while True:
            await slot.unused.wait()
            left = slot.used_at + idle - self._clock.now()
            if left > 0:
                await self._clock.sleep(left)
                continue
            async with self._door:
                if not slot.uses and slot.used_at + idle <= self._clock.now():
                    await self._unload(slot)
                    return


def _heard(task: asyncio.Task[None]) -> None:
    """Take note of a failure, so that asyncio does not complain when all who waited have gone."""
    if not task.cancelled():
        task.exception()


def _closing() -> BackendFault:
    return BackendFault("The models are being unloaded: the engine stops.")
