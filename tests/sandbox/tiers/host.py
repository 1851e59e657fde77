"""An engine with its sandbox as a program of its own: a line of JSON in, a line of JSON out.

`python -m tests.sandbox.tiers.host '{"folder": ..., "interpreter": ..., "bwrap": path, "" or null}'`, "" for a
machine without bwrap. It is started as root, as an ordinary user or under the rules of a container, opens what the
self-test finds, and says which tier that is. Each request is {"do": name of a method below, ...its arguments}.
"""

import asyncio
import contextlib
import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from local_assistants.engine.errors import SandboxUnavailable
from local_assistants.tools.code_interpreter import environment as environments
from local_assistants.tools.code_interpreter import selftest
from local_assistants.tools.code_interpreter.isolation import probe, processes
from local_assistants.tools.code_interpreter.isolation.bubblewrap import Bubblewrap
from local_assistants.tools.code_interpreter.isolation.job import Job
from local_assistants.tools.code_interpreter.isolation.limits import Limits
from local_assistants.tools.code_interpreter.isolation.runner import Runner
from local_assistants.tools.code_interpreter.kernels.pool import Pool
from local_assistants.tools.code_interpreter.sessions.sessions import SessionLimits, Sessions
from local_assistants.tools.code_interpreter.tool import CodeInterpreter, Settings

from ..room import Desk, HandClock, attach, say
from .victims import Victims

_PATIENCE = 30.0
_UP = "import time; print('up', flush=True); open('theirs.txt', 'w').write('theirs'); time.sleep(3600)"


class Host:
    """One engine: its runner for single programs, its tools for calls as runs make them."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._folder = Path(settings["folder"])
        found = environments.find(Path(settings["interpreter"]))
        if found is None:
            raise SandboxUnavailable(
                f"the interpreter in {settings['interpreter']} is out of reach"
            )
        self._environment = found
        self._bubblewrap = _bubblewrap(settings["bwrap"])
        self._runner: Runner | None = None
        self._tools: dict[str, CodeInterpreter] = {}
        self._desks: dict[tuple[str, str], Desk] = {}
        self._numbers = itertools.count()
        self._victims = Victims(self._folder)
        self._others: list[subprocess.Popen[bytes]] = []

    async def open(self) -> dict[str, Any]:
        """Find the sandbox, and let another session run beside those under test."""
        self._runner = await probe.find_sandbox(
            self._environment, Limits(), bubblewrap=self._bubblewrap, root=self._folder
        )
        other = await self.start(_UP, "other")
        facts = {
            **self._victims.facts,
            "other": other["pids"],
            "other_data": other["data"],
            "interpreter": str(self._environment.prefix),
        }
        return {"tier": self._runner.tier, "uid": os.geteuid(), "facts": facts}

    async def described(self) -> dict[str, Any]:
        """The tool as a model reads of it."""
        desk = self._desk("described", {})
        await desk.tool.check()
        return {"text": desk.tool.schema(desk.session).description}

    async def told(self, data: str) -> dict[str, Any]:
        """What a server with this data folder, and whoever looks at it beforehand, would say of isolation."""
        root = Path(data) / "code_interpreter"
        settings = Settings(self._environment.prefix, root, bubblewrap=self._bubblewrap)
        report = await selftest.survey(settings, self._environment)
        return {"tier": report.tier, "text": report.text}

    async def start(self, code: str, session: str) -> dict[str, Any]:
        """A program that is left running once it has said "up"; its pids on the host."""
        job = Job(argv=("-c", self._local(code, session)), data=self._data(session))
        process = await self._running.start(job, stdout=subprocess.PIPE)
        assert process.stdout is not None
        said = await asyncio.to_thread(process.stdout.readline)
        self._others.append(process)
        pids = [process.pid, *processes.descendants(process.pid)]
        return {"said": said.decode(), "pids": pids, "data": str(self._data(session))}

    async def run(self, code: str, session: str, seconds: float = _PATIENCE) -> dict[str, Any]:
        """A program of its own, which is quicker than a kernel."""
        job = Job(argv=("-c", self._local(code, session)), data=self._data(session))
        ended = await self._running.run(job, seconds=seconds)
        return {"code": ended.returncode, "out": ended.stdout, "err": ended.stderr}

    async def control(self, code: str) -> dict[str, Any]:
        """The same program without a sandbox, as the engine's own user; never as root."""
        assert os.geteuid() != 0
        ended = await asyncio.to_thread(
            subprocess.run,
            [str(self._environment.python), "-I", "-c", code],
            capture_output=True,
            timeout=_PATIENCE,
            cwd=self._folder,
        )
        return {
            "code": ended.returncode,
            "out": ended.stdout.decode(),
            "err": ended.stderr.decode(),
        }

    async def call(
        self, code: str, thread: str, limits: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """A call of the tool, as a run makes it."""
        desk = self._desk(thread, limits or {})
        desk.saved.clear()
        desk.emitted.clear()
        result = await desk.run(code)
        saved = {
            name: content[:1000].decode(errors="replace") for name, content in desk.saved.items()
        }
        return {"output": result.output, "failed": result.failed, "saved": saved, "logs": desk.logs}

    async def attach(
        self, name: str, text: str, thread: str, limits: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """A file for the thread's next calls."""
        number = next(self._numbers)
        path = self._folder / f"upload-{number}"
        path.write_text(text)
        desk = self._desk(thread, limits or {})
        desk.files = (*desk.files, attach(path, f"file-{number}", name))
        return {}

    async def pooled(self, before: str, after: str) -> dict[str, Any]:
        """What `after` says in a kernel that had waited, for a thread in which `before` has run."""
        clock, limits = HandClock(), SessionLimits(pool=1)
        sessions = Sessions(self._folder / "pooled" / "sessions", self._running, clock, limits)
        said: list[str] = []
        for code in (before, after):
            async with sessions.use("thread_1", ()) as session:
                local = self._running.localise(code, session.data)
                said.append((await say(session.kernel, local)).text)
            clock.time += 3601
            await sessions.cull()
            await _filled(sessions.pool)
        await sessions.close()
        return {"said": said}

    async def rest(self) -> dict[str, Any]:
        """End all sessions, as the end of their time does; files are kept."""
        for tool in self._tools.values():
            await tool.close()
        return {}

    async def state(self) -> dict[str, Any]:
        """How the engine itself fares."""
        status = Path("/proc/self/status").read_text().splitlines()
        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
        return {
            "peak": peak * 1024,
            "received": self._victims.received(),
            "alive": self._victims.alive(),
            "pids": list(processes.descendants(os.getpid())),
        }

    async def treatment(self, pid: int) -> dict[str, Any]:
        """How the host treats a process: what others of its user might set."""
        return {
            "nice": os.getpriority(os.PRIO_PROCESS, pid),
            "processors": sorted(os.sched_getaffinity(pid)),
            "scheduler": os.sched_getscheduler(pid),
            "limits": Path(f"/proc/{pid}/limits").read_text(),
        }

    async def look(self, paths: list[str]) -> dict[str, Any]:
        """What a sandbox might have changed of files without writing them."""
        return {"seen": [_metadata(path) for path in paths]}

    async def close(self) -> None:
        """End everything."""
        await self.rest()
        self._victims.close()
        for process in self._others:
            self._running.kill(process.pid)
            with process:  # closes its pipes and reaps it
                pass

    @property
    def _running(self) -> Runner:
        assert self._runner is not None
        return self._runner

    def _data(self, session: str) -> Path:
        folder = self._folder / "programs" / session / "data"
        if not folder.exists():
            folder.parent.mkdir(parents=True)
            self._running.prepare(folder)
        return folder

    def _local(self, code: str, session: str) -> str:
        return self._running.localise(code, self._data(session))

    def _desk(self, thread: str, limits: dict[str, Any]) -> Desk:
        name = json.dumps(limits, sort_keys=True)
        if (thread, name) not in self._desks:
            if name not in self._tools:
                self._tools[name] = self._tool(limits)
            self._desks[thread, name] = Desk(self._tools[name], thread_id=thread)
        return self._desks[thread, name]

    def _tool(self, limits: dict[str, Any]) -> CodeInterpreter:
        settings = Settings(
            environment=self._environment.prefix,
            root=self._folder / f"root-{len(self._tools)}",
            limits=replace(Limits(), **limits),
            sessions=SessionLimits(pool=0),
            bubblewrap=self._bubblewrap,
        )
        return CodeInterpreter(settings, HandClock())


async def _filled(pool: Pool) -> None:
    for _ in range(600):
        if pool.ready:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("no kernel was ever ready")


def _bubblewrap(path: str | None) -> Bubblewrap | None:
    """None lets the engine look for one; a path that cannot isolate stands for a machine that has none."""
    return None if path is None else Bubblewrap(Path(path or "/bin/false"), "the test's bwrap")


def _metadata(path: str) -> list[Any]:
    status = os.stat(path)
    owner = [status.st_mode, status.st_uid, status.st_gid]
    return [*owner, status.st_size, status.st_mtime_ns, os.listxattr(path), sorted(_names(path))]


def _names(path: str) -> list[str]:
    return os.listdir(path) if os.path.isdir(path) else []


async def serve(settings: dict[str, Any]) -> None:
    """Answer requests until there are no more."""
    host = Host(settings)
    try:
        _answer(await host.open())
    except SandboxUnavailable as error:
        _answer({"unavailable": str(error)})
        await host.close()
        return
    with contextlib.suppress(EOFError):
        while True:
            request = await asyncio.to_thread(_request)
            try:
                _answer(await getattr(host, request.pop("do"))(**request))
            except Exception as error:
                _answer({"error": f"{type(error).__name__}: {error}"})
    await host.close()


def _request() -> dict[str, Any]:
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    request: dict[str, Any] = json.loads(line)
    return request


def _answer(content: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve(json.loads(sys.argv[1])))
