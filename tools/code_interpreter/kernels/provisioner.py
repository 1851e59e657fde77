"""How jupyter_client gets a kernel in the sandbox: a kernel provisioner, found by its entry point.

The host binds and listens on five unix sockets in a folder of its own and the kernel inherits the descriptors, so
host and sandbox share no writable folder and the kernel never learns a path of the host. Signals go to the kernel's
process as the host sees it; a kill goes to the sandbox's first process, which takes all others with it.

It imports jupyter_client, so nothing imports this module before a kernel is wanted. It promises nothing about
messages: `call.py` reads them.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jupyter_client.provisioning.provisioner_base import KernelProvisionerBase
from traitlets import Any as AnyTrait

from ..isolation import processes
from ..isolation.folders import NOTHING, Footprint
from ..isolation.job import Job
from ..isolation.runner import Runner

NAME = "local-assistants-sandbox"

_LAUNCH = Path(__file__).parent / "launch.py"
_PROFILE = Path(__file__).parents[1] / "advice" / "profile_inside.py"
_SOCKETS = ("shell", "iopub", "stdin", "hb", "control")
_USED = ("shell", "iopub")  # by the host; the kernel wants all five
_STDERR_TAIL = 8192
_STDERR_PAUSE = 0.05  # seconds between reads: a flood may not busy the event loop


@dataclass(frozen=True)
class Place:
    """Where and how one kernel shall run, handed to the provisioner through the kernel spec."""

    runner: Runner
    data: Path  # shown as /mnt/data
    sockets: Path  # a short path (unix socket names hold 107 bytes) in a folder of mode 0700
    preload: Sequence[str] = ()
    lent: Footprint = NOTHING  # what the host itself puts into `data`

    def socket(self, name: str) -> Path:
        """The path of the kernel's socket of that name, as jupyter_client forms it."""
        return Path(f"{self.sockets}-{_SOCKETS.index(name) + 1}")


class SandboxProvisioner(KernelProvisionerBase):
    """Starts the kernel by the `Place` in the kernel spec's provisioner config."""

    place: Place = AnyTrait()  # type: ignore[assignment]  # a trait outside, a Place inside

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.exited = asyncio.Event()
        self.stderr_tail = b""
        self._process: subprocess.Popen[bytes] | None = None
        self._key = ""

    @property
    def has_process(self) -> bool:
        """Whether there is a process to wait for."""
        return self._process is not None

    @property
    def returncode(self) -> int | None:
        """As a shell would say it: 3 for os._exit(3), 137 for SIGKILL, 139 for a crash; None while alive."""
        code = self._process.poll() if self._process else None
        return code if code is None or code >= 0 else 128 - code

    async def poll(self) -> int | None:
        """The exit code in Popen's form, None while alive."""
        return self._process.poll() if self._process else 0

    async def wait(self) -> int | None:
        """Wait for the end and forget the process."""
        if self._process is None:
            return 0
        await self.exited.wait()
        code = self._process.wait()
        self._process = None
        return code

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Bind the sockets and write the connection for both sides; no file of it is kept on the host."""
        manager: Any = self.parent
        manager.transport, manager.ip = "ipc", str(self.place.sockets)
        for number, name in enumerate(_SOCKETS, start=1):
            setattr(manager, f"{name}_port", number)
        self.connection_info = manager.get_connection_info()
        self._key = bytes(manager.session.key).decode()
        return await super().pre_launch(cmd=[], **kwargs)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Start the sandbox; the client may connect at once, the sockets already listen."""
        listeners = [_listen(self.place.socket(name)) for name in _SOCKETS]
        self.unlink_sockets(set(_SOCKETS) - set(_USED))
        try:
            self._process = await self.place.runner.start(self._job(listeners))
        finally:
            # The kernel's copies are the only ones now: when it dies, its sockets are dead at once.
            for listener in listeners:
                listener.close()
        self._watch(self._process)
        return self.connection_info

    async def send_signal(self, signum: int) -> None:
        """SIGINT to the kernel alone; anything stronger ends the whole sandbox."""
        if self._process is None:
            return
        if signum == signal.SIGINT:
            kernel = self.place.runner.program_of(self._process.pid)
            if kernel is not None:
                processes.signal_quietly(kernel, signal.SIGINT)
        else:
            await self.kill()

    async def kill(self, restart: bool = False) -> None:
        """SIGKILL to everything in the sandbox; does not wait."""
        if self._process is not None and self._process.poll() is None:
            self.place.runner.kill(self._process.pid)

    async def terminate(self, restart: bool = False) -> None:
        """The same as kill: untrusted code gets no last wish."""
        await self.kill(restart)

    async def cleanup(self, restart: bool = False) -> None:
        """Remove the sockets' names from the host."""
        self.unlink_sockets()

    def unlink_sockets(self, names: Iterable[str] = _SOCKETS) -> None:
        """Nobody can connect to these any more; who is connected stays so."""
        for name in names:
            self.place.socket(name).unlink(missing_ok=True)

    def end_strays(self) -> None:
        """Kill what the kernel started: an interrupt reaches the kernel only, its children would go on."""
        if self._process is not None:
            self.place.runner.end_strays(self._process.pid)

    def count_processes(self) -> int:
        """How many processes the sandbox has on the host, its own two among them."""
        return sum(1 for _ in processes.descendants(self._process.pid)) if self._process else 0

    @property
    def pid(self) -> int | None:
        """The sandbox's outermost process on the host, None when there is none."""
        return self._process.pid if self._process else None

    def _job(self, listeners: Sequence[socket.socket]) -> Job:
        runner = self.place.runner
        descriptors = [listener.fileno() for listener in listeners]
        settings = {
            "listeners": {str(number): fd for number, fd in enumerate(descriptors, start=1)},
            "limits": asdict(runner.limits) | {"processes": runner.process_limit},
            "preload": list(self.place.preload),
        }
        inside = {**self.connection_info, "ip": "/tmp/kernel", "key": self._key}
        return Job(
            argv=("/run/launch.py", "/run/kernel"),
            data=self.place.data,
            files={
                "/run/launch.py": _LAUNCH.read_bytes(),
                "/run/inside/table_profile.py": _PROFILE.read_bytes(),
                "/run/kernel/launch.json": json.dumps(settings).encode(),
                "/run/kernel/kernel.json": json.dumps(inside).encode(),
            },
            descriptors=descriptors,
        )

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        loop = asyncio.get_running_loop()
        self.exited = asyncio.Event()
        self.stderr_tail = b""
        exit_descriptor = os.pidfd_open(process.pid)
        assert process.stderr is not None
        stderr = process.stderr.fileno()
        os.set_blocking(stderr, False)

        def ended() -> None:
            loop.remove_reader(exit_descriptor)
            os.close(exit_descriptor)
            process.poll()
            self._read_stderr(stderr)
            loop.remove_reader(stderr)
            if process.stderr is not None:
                process.stderr.close()
            self.exited.set()

        def complain() -> None:
            loop.remove_reader(stderr)
            if self._read_stderr(stderr):
                loop.call_later(_STDERR_PAUSE, listen)

        def listen() -> None:
            if process.returncode is None:
                loop.add_reader(stderr, complain)

        loop.add_reader(exit_descriptor, ended)
        listen()

    def _read_stderr(self, descriptor: int) -> bool:
        try:
            piece = os.read(descriptor, 65536)
        except (BlockingIOError, OSError):
            return True
        self.stderr_tail = (self.stderr_tail + piece)[-_STDERR_TAIL:]
        return bool(piece)


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(16)
    return listener
