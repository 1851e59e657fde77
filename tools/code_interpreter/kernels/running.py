"""One kernel process, from its start to its end: spawned by jupyter_client, spoken to over its sockets, watched.

It is never restarted: `kernel.py` takes another one. jupyter_client is not imported before a kernel is wanted.
"""

import asyncio
import importlib
import signal
from typing import TYPE_CHECKING, Any

from ....engine.errors import MissingDependency
from ..isolation.watchdog import Watchdog
from .call import Call
from .connection import Connection

if TYPE_CHECKING:
    from .provisioner import Place, SandboxProvisioner

_EXIT_PATIENCE = 1.0  # seconds from the end of the connection to the end of the process
_ENDINGS = {
    137: "killed, perhaps out of memory",
    139: "crashed",
    134: "aborted",
    159: "a forbidden call",
}


async def start(place: "Place") -> "Running":
    """Spawn a kernel and connect; does not wait until it answers, the first call does.

    Raises:
        MissingDependency: jupyter_client is not installed.
        SandboxUnavailable: the sandbox cannot be started.
    """
    try:
        jupyter = await asyncio.to_thread(importlib.import_module, f"{__package__}.jupyter")
    except ImportError as error:
        raise MissingDependency(
            f"{error.name} is missing; install it: pip install jupyter_client"
        ) from error
    manager = jupyter.manager(place)
    await manager.start_kernel()
    kernel = Running(place, manager, jupyter.execute_request)
    await kernel.watchdog.start()
    return kernel


class Running:
    """A kernel that was started.

    Attributes:
        connection: to its sockets, which nobody else can open any more.
        watchdog: ends it when it takes too much.
        answered: whether it ever said a word.
    """

    def __init__(self, place: "Place", manager: Any, execute_request: Any) -> None:
        self._limits = place.runner.limits
        self._manager = manager
        self._execute_request = execute_request
        self._provisioner: SandboxProvisioner = manager.provisioner
        self._closed = False
        self.answered = False
        self.connection = Connection(
            place.socket("shell"), place.socket("iopub"), self._limits.message_bytes
        )
        self._provisioner.unlink_sockets()
        self._leaver = asyncio.create_task(self._hang_up(), name="kernel-exit")
        self.watchdog = Watchdog(
            self._provisioner,
            place.data,
            self._limits,
            owner=place.runner.owner_of(place.data),
            scratch=place.runner.scratch_of(place.data),
        )
        self.watchdog.lend(place.lent)

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return not self._provisioner.exited.is_set()

    @property
    def last_words(self) -> str:
        """What it wrote to the process's own stderr last."""
        return self._provisioner.stderr_tail.decode(errors="replace").strip()

    def call(self, code: str, *, seconds: float | None, silent: bool) -> Call:
        """A call of `code`, to be sent at once."""
        self.watchdog.call_begins()
        return Call(
            self.connection,
            self._execute_request(self._manager, code, silent=silent),
            seconds=self._limits.wall_seconds if seconds is None else seconds,
            headstart=0.0 if self.answered else self._limits.start_seconds,
            most=self._limits.log_chars,
        )

    async def interrupt(self) -> None:
        """SIGINT to the kernel's process alone."""
        await self._provisioner.send_signal(signal.SIGINT)

    def count_processes(self) -> int:
        """How many processes its sandbox has, its own two among them."""
        return self._provisioner.count_processes()

    async def end_strays(self) -> None:
        """Kill what its code started and left behind."""
        await asyncio.to_thread(self._provisioner.end_strays)

    async def ending(self, what: str) -> str:
        """Why it ended, once it is known that it did: the limit that was overrun, or `what` and the exit code."""
        if self._closed:
            return "it was closed"
        done, _ = await asyncio.wait([self._leaver], timeout=_EXIT_PATIENCE)
        if self.watchdog.reason is not None:
            return self.watchdog.reason
        if not done:
            return "it closed its connection"
        code = self._provisioner.returncode
        return what if code is None else f"{what}: {_ENDINGS.get(code, 'exit code')} {code}"

    async def end(self) -> None:
        """End it and all its processes."""
        self._closed = True
        self._leaver.cancel()
        self.connection.close()
        await self._provisioner.kill()
        await self._provisioner.wait()
        await self._manager.cleanup_resources()
        await self.watchdog.close()

    async def _hang_up(self) -> None:
        await self._provisioner.exited.wait()
        self.connection.hang_up()
