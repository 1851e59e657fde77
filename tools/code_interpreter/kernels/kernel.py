"""One IPython kernel behind jupyter_client: runs code, streams what it says, keeps its state between calls.

A call ends with the kernel's reply and its idle message. A call that takes too long is interrupted, then killed; a
kernel that died is noticed at once and replaced, and the output says what was lost. Messages are untrusted: only
those of the running call count, and whatever cannot be read is dropped.

It does not know threads, files or tools. One call at a time; more wait for each other.
"""

import asyncio
import contextlib
import importlib
import signal
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ....engine.errors import MissingDependency, ToolFault
from ..isolation import watchdog
from ..isolation.folders import Footprint, measure
from . import outputs
from .outputs import Lost, Output, Text

if TYPE_CHECKING:
    from .provisioner import Place, SandboxProvisioner

_IDLE_PATIENCE = 1.0  # seconds from the reply to an idle message that may have been dropped
_FEW = 4  # processes of a sandbox at rest: its two and what a library may keep
_LAST_WORDS = 0.05  # seconds of silence after which a dead kernel has nothing left to say


@dataclass
class _Call:
    """The running call: what was seen of it, and when patience ends (loop time)."""

    request: str
    patience: float
    deadline: float
    replied: bool = False
    idle: bool = False
    interrupted: bool = False
    lost: bool = False

    @property
    def over(self) -> bool:
        return self.replied and self.idle


class Kernel:
    """A kernel at a `Place`; started by the first call, replaced when it dies."""

    def __init__(self, place: "Place") -> None:
        self._place = place
        self._limits = place.runner.limits
        self._lock = asyncio.Lock()
        self._manager: Any = None
        self._client: Any = None
        self._answered = False
        self._overrun: str | None = None
        self._starting: asyncio.Task[None] | None = None
        self._settling: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None

    @property
    def alive(self) -> bool:
        """Whether a kernel runs right now."""
        return self._manager is not None and not self._provisioner.exited.is_set()

    @property
    def busy(self) -> bool:
        """Whether a call runs right now."""
        return self._lock.locked()

    async def start(self) -> None:
        """Spawn the kernel and connect; does not wait until it answers, the first call does.

        A caller that is cancelled meanwhile leaves the start to be finished for the next one.

        Raises:
            MissingDependency: jupyter_client is not installed.
            SandboxUnavailable: the sandbox cannot be started.
        """
        starting = self._starting = self._starting or asyncio.create_task(self._start())
        try:
            await asyncio.shield(starting)
        finally:
            if starting.done():
                self._starting = None

    async def execute(
        self, code: str, *, seconds: float | None = None, silent: bool = False
    ) -> AsyncGenerator[Output, None]:
        """Run `code` and give its outputs as they come. `seconds` of wall clock (default: the limit).

        A silent call leaves no trace in the history of inputs and results. Closing the generator early interrupts
        the code.

        Raises:
            ToolFault: the kernel never came up; the message holds its last words.
        """
        async with self._lock:
            await self._settled()
            if self._starting is not None:
                await self.start()
            if self._manager is not None and not self.alive:
                yield await self._replace("its process ended between two calls" + self._ending())
            if self._manager is None:
                await self.start()
            call = self._send(code, seconds, silent)
            try:
                async for output in self._follow(call):
                    yield output
            finally:
                if not call.over and self.alive:
                    self._settling = asyncio.create_task(self._settle(call), name="kernel-settle")

    def moved(self, data: Path) -> None:
        """The folder behind /mnt/data lies at `data` now, with what it holds; its quota is counted anew."""
        self._place = replace(self._place, data=data)
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = asyncio.create_task(self._watch(), name="sandbox-watchdog")

    async def close(self) -> None:
        """End the kernel and all its processes; a second time is harmless."""
        if self._settling is not None:
            self._settling.cancel()
        if self._starting is not None:
            await asyncio.wait([self._starting])
        await self._end()

    @property
    def _provisioner(self) -> "SandboxProvisioner":
        provisioner: SandboxProvisioner = self._manager.provisioner
        return provisioner

    async def _start(self) -> None:
        try:
            jupyter = await asyncio.to_thread(importlib.import_module, f"{__package__}.jupyter")
        except ImportError as error:
            raise MissingDependency(
                f"{error.name} is missing; install it: pip install jupyter_client"
            ) from error
        self._answered, self._overrun = False, None
        manager = jupyter.manager(self._place)
        await manager.start_kernel()
        self._manager = manager
        self._connect()
        self._watcher = asyncio.create_task(self._watch(), name="sandbox-watchdog")

    def _connect(self) -> None:
        from . import jupyter

        self._client = jupyter.client(self._manager, self._limits.message_bytes)

    def _disconnect(self) -> None:
        if self._client is not None:
            # Not stop_channels(): it would open the three channels that are not used here.
            self._client.shell_channel.stop()
            self._client.iopub_channel.stop()
            self._client = None

    def _send(self, code: str, seconds: float | None, silent: bool) -> _Call:
        # stop_on_error would abort the call after one that failed or was interrupted.
        request: str = self._client.execute(
            code, silent=silent, allow_stdin=False, stop_on_error=False
        )
        patience = self._limits.wall_seconds if seconds is None else seconds
        start = 0.0 if self._answered else self._limits.start_seconds
        return _Call(request, patience, deadline=_now() + patience + start)

    async def _follow(self, call: _Call) -> AsyncGenerator[Output, None]:
        waits = _Waits(self._client, self._provisioner.exited)
        try:
            while not call.over:
                done = await waits.next(call.deadline - _now())
                if done is not None:
                    for output in self._take(call, done):
                        yield output
                elif waits.dead:
                    yield await self._died(call)
                elif call.replied:
                    break
                else:
                    yield await self._out_of_time(call)
        finally:
            await waits.stop()
        if call.replied and self.alive and not call.lost:
            async for output in self._tidy(call):
                yield output
        if not call.idle and self.alive:
            # The idle message was dropped or the connection was cut by a message above the limit.
            yield Text("[some output was too large and was left out]\n", "note")
            call.idle = True
            self._disconnect()
            self._connect()

    def _take(self, call: _Call, done: list[tuple[str, dict[str, Any]]]) -> Iterator[Output]:
        for channel, message in done:
            if message["parent_header"].get("msg_id") != call.request:
                continue
            if not self._answered:  # only now does the code begin, whatever the start took
                self._answered = True
                call.deadline = _now() + call.patience
            kind, content = message["msg_type"], message["content"]
            if channel == "shell" and kind == "execute_reply":
                call.replied = True
                call.deadline = _now() + _IDLE_PATIENCE
            elif channel == "iopub" and kind == "status":
                call.idle = call.idle or content.get("execution_state") == "idle"
            elif channel == "iopub":
                yield from outputs.read(kind, content)

    async def _tidy(self, call: _Call) -> AsyncGenerator[Output, None]:
        """End what an interrupted call left running, or so many strays that the next call could start none."""
        crowd = self._limits.processes // 2
        crowded = self._provisioner.count_processes() > crowd
        if call.interrupted or crowded:
            self._provisioner.end_strays()
        if crowded:
            await asyncio.sleep(_LAST_WORDS)
            if self._provisioner.count_processes() > _FEW:
                yield await self._replace("its code went on starting processes")
            else:
                yield Text("[too many background processes: they were ended]\n", "note")

    async def _out_of_time(self, call: _Call) -> Output:
        """First an interrupt, then, after the grace, a kill."""
        if not call.interrupted:
            call.interrupted = True
            call.deadline = _now() + self._limits.grace_seconds
            await self._provisioner.send_signal(signal.SIGINT)
            return Text("[time limit reached: the code was interrupted]\n", "note")
        call.replied = call.idle = call.lost = True
        return await self._replace(
            "the code ran into the time limit and did not stop when interrupted"
        )

    async def _died(self, call: _Call) -> Output:
        call.replied = call.idle = call.lost = True
        if not self._answered:
            last_words = self._provisioner.stderr_tail.decode(errors="replace").strip()
            await self._end()
            raise ToolFault(
                f"the interpreter did not start: {last_words or 'it ended without a word'}"
            )
        return await self._replace((self._overrun or "its process ended") + self._ending())

    def _ending(self) -> str:
        """The exit code in words, "" when it says nothing."""
        if self._overrun is not None:
            return ""
        code = self._provisioner.returncode
        named = {
            137: "killed, perhaps out of memory",
            139: "crashed",
            134: "aborted",
            159: "a forbidden call",
        }
        return "" if code is None else f": {named.get(code, 'exit code')} {code}"

    async def _replace(self, reason: str) -> Lost:
        await self._end()
        await self.start()
        return Lost(reason)

    async def _settle(self, call: _Call) -> None:
        """Bring an abandoned call to its end, so that the next one finds a kernel that listens."""
        call.deadline = _now()
        with contextlib.suppress(ToolFault):
            async for _ in self._follow(call):
                pass

    async def _settled(self) -> None:
        if self._settling is not None:
            await asyncio.wait([self._settling])
            self._settling = None

    async def _watch(self) -> None:
        provisioner, data = self._provisioner, self._place.data
        spared = await asyncio.to_thread(measure, data) or Footprint()
        pause = watchdog.TICK
        while not provisioner.exited.is_set() and provisioner.pid is not None:
            await asyncio.sleep(pause)
            started = _now()
            try:
                found = await asyncio.to_thread(
                    watchdog.overrun, provisioner.pid, data, self._limits, spared=spared
                )
            except Exception as error:  # code that cannot be watched must not go on
                found = f"what it uses could not be measured ({type(error).__name__})"
            pause = max(watchdog.TICK, (_now() - started) / watchdog.SHARE)
            if found is not None:
                self._overrun = found
                await provisioner.kill()
                return

    async def _end(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None
        self._disconnect()
        if self._manager is not None:
            manager, provisioner, self._manager = self._manager, self._provisioner, None
            await provisioner.kill()
            await provisioner.wait()
            await manager.cleanup_resources()


class _Waits:
    """Waits for the kernel's channels and its death at once, without losing a message between two waits."""

    def __init__(self, client: Any, exited: asyncio.Event) -> None:
        self._sources = {"iopub": client.get_iopub_msg, "shell": client.get_shell_msg}
        self._tasks: dict[str, asyncio.Task[Any]] = {
            name: asyncio.create_task(get()) for name, get in self._sources.items()
        }
        self._exit = asyncio.create_task(exited.wait())

    @property
    def dead(self) -> bool:
        return self._exit.done()

    async def next(self, seconds: float) -> list[tuple[str, dict[str, Any]]] | None:
        """The readable messages that came, by channel; None when nothing came: time ran out, or the kernel ended."""
        if not self.dead:
            everything = (*self._tasks.values(), self._exit)
            await asyncio.wait(
                everything, timeout=max(0.0, seconds), return_when=asyncio.FIRST_COMPLETED
            )
        if (
            self.dead
        ):  # it may have left words in its sockets: they are read before its death is told
            await asyncio.wait(
                self._tasks.values(), timeout=_LAST_WORDS, return_when=asyncio.FIRST_COMPLETED
            )
        if not any(task.done() for task in self._tasks.values()):
            return None
        came: list[tuple[str, dict[str, Any]]] = []
        for name, task in self._tasks.items():
            if task.done():
                self._tasks[name] = asyncio.create_task(self._sources[name]())
                message = _readable(task)
                came += [(name, message)] if message is not None else []
        return came

    async def stop(self) -> None:
        for task in (*self._tasks.values(), self._exit):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), self._exit, return_exceptions=True)


def _readable(task: asyncio.Task[Any]) -> dict[str, Any] | None:
    """The message, or None when untrusted code sent frames that are none."""
    try:
        message = task.result()
        well_formed = isinstance(message["parent_header"], dict) and isinstance(
            message["content"], dict
        )
    except Exception:
        # jupyter_client raises many kinds for bad frames (signature, JSON, dates); none of them is our fault.
        return None
    return message if well_formed else None


def _now() -> float:
    return asyncio.get_running_loop().time()
