"""The tool `code_interpreter`: Python for the model, one sandboxed session per thread.

Says what it is and what lies in /mnt/data, finds the thread's session, and has a call run there (`call`).

It refuses to work (ToolFault) where code cannot be isolated, unless the operator allowed that explicitly. It does not
know runs, messages or annotations: those are the core's.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ...engine.chat import ToolCall, ToolSchema
from ...engine.errors import AssistantsError, SandboxUnavailable
from ...engine.ports import Clock, Emit, Kernels, ToolFile, ToolResult, ToolSession
from . import environment
from .advice.profile import Profiler, loading
from .arguments import code_of
from .call import Call, Place
from .isolation.job import DATA
from .isolation.runner import Runner
from .selftest import isolate
from .sessions.sessions import Sessions
from .settings import Settings

__all__ = ["CodeInterpreter", "Settings"]

_LOG = logging.getLogger("local_assistants.code_interpreter")
_GAPS = {
    "B": f" Process pools, !commands and local servers do not work here; write paths to {DATA} in one piece."
}
"""By tier, what the model must know that it cannot do."""


@dataclass(frozen=True)
class _Ready:
    """What exists once isolation is established."""

    runner: Runner
    sessions: Sessions
    profiler: Profiler


class CodeInterpreter:
    """Adapter of `ports.Tool`. Isolation is established at the first use, or by `check`."""

    type = "code_interpreter"

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._ready: _Ready | None = None
        self._opening = asyncio.Lock()
        self._preparing: asyncio.Task[None] | None = None

    def schema(self, session: ToolSession) -> ToolSchema:
        """The tool as the model sees it: what is installed and, once isolation is established, what does not work."""
        found = environment.find(self._settings.environment)
        installed = f" Installed: {found.describe()}." if found is not None else ""
        gaps = _GAPS.get(self._ready.runner.tier, "") if self._ready is not None else ""
        return ToolSchema(
            name=self.type,
            description=(
                "Runs Python code in a Jupyter kernel that keeps its state between calls and returns what it prints. "
                f"Files are in {DATA}; save results there. Use print() to see values and plt.show() to show a "
                f"chart to the user. No network, no pip.{gaps}{installed}"
            ),
            parameters={
                "type": "object",
                "properties": {
                    "code": {"type": "string", "description": "The Python code to run."}
                },
                "required": ["code"],
            },
            code_argument="code",
        )

    def prepare(self) -> None:
        """Establish isolation and fill the pool in the background, before anybody asks; a failure is logged."""
        self._preparing = asyncio.create_task(self._prepare(), name="sandbox-prepare")

    async def check(self) -> str:
        """Establish isolation now; gives its name, such as "A".

        Raises:
            SandboxUnavailable: no code can be run here; the message says why and what mends it.
        """
        if self._ready is None and self._preparing is None:
            # On its own: on a slow machine it takes longer than whoever asks has patience.
            self.prepare()
        if self._preparing is not None:
            await asyncio.wait([self._preparing])
        return (await self._open()).runner.tier

    async def brief(self, files: Sequence[ToolFile], session: ToolSession) -> str:
        """Where each file lies and, for tables, how to load it. Empty where no code can be run."""
        if not files:
            return ""
        try:
            ready = await self._open()
        except SandboxUnavailable:
            return ""  # the run's own call tells; a prompt is no place for it
        lines: list[str] = []
        for name, profile in await self._profiles(ready, files, session):
            lines.append(f"File {DATA}/{name}" + (f"\n{profile}" if profile else ""))
        return "\n".join(lines)

    async def run(self, call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
        """Run the call's code in the thread's session.

        Raises:
            SandboxUnavailable: code cannot be isolated here.
            ToolFault: the interpreter does not start.
        """
        code = code_of(call.arguments)
        if not code.strip():
            return ToolResult(
                'No code was found. Call code_interpreter with {"code": "..."}.', failed=True
            )
        ready = await self._open()
        sessions, started = ready.sessions, session.session_started
        async with sessions.use(session.thread_id, session.files, started) as live:
            place = Place(
                loading=partial(self._loading, session),
                localise=lambda text: ready.runner.localise(text, live.data),
                tier=ready.runner.tier,
            )
            return await Call(live, session, emit, self._settings, place).run(code)

    async def _profiles(
        self, ready: _Ready, files: Sequence[ToolFile], session: ToolSession
    ) -> list[tuple[str, str]]:
        """Name and profile of each file; all profiles are "" where they are switched off."""
        names = await ready.sessions.names(session.thread_id, files)
        if not self._settings.profiles:
            return [(names[item.file.id], "") for item in files]
        return [
            (name, await ready.profiler.profile(item, name))
            for item in files
            for name in [names[item.file.id]]
        ]

    async def _loading(self, session: ToolSession) -> str:
        """The lines that load the run's table, "" unless there is exactly one."""
        profiles = await self._profiles(await self._open(), session.files, session)
        found = [lines for _, profile in profiles if (lines := loading(profile))]
        return found[0] if len(found) == 1 else ""

    def kernels(self) -> Kernels:
        """Those of sessions that live, and those of the pool."""
        limit = max(1, self._settings.sessions.live)
        if self._ready is None:
            return Kernels(0, 0, limit)
        sessions = self._ready.sessions
        return Kernels(len(sessions.live), len(sessions.pool), limit)

    async def forget(self, thread_id: str) -> None:
        """The thread was deleted: end its session, delete its files."""
        if self._ready is not None:
            await self._ready.sessions.forget(thread_id)
        else:
            await Sessions.delete_files(self._sessions_root, thread_id)

    async def close(self) -> None:
        """End all kernels; sessions' files stay."""
        if self._preparing is not None:
            self._preparing.cancel()
            await asyncio.wait([self._preparing])
        if self._ready is not None:
            await self._ready.sessions.close()
            self._ready = None

    @property
    def _sessions_root(self) -> Path:
        return self._settings.root / "sessions"

    async def _prepare(self) -> None:
        try:
            await self._open()
        except AssistantsError as error:
            _LOG.warning("code_interpreter cannot run code: %s", error)

    async def _open(self) -> _Ready:
        async with self._opening:
            if self._ready is None:
                settings = self._settings
                runner = await isolate(settings)
                sessions = Sessions(self._sessions_root, runner, self._clock, settings.sessions)
                sessions.start()
                profiler = Profiler(runner, settings.root / "profiles")
                self._ready = _Ready(runner, sessions, profiler)
            return self._ready
