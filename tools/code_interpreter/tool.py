"""The tool `code_interpreter`: Python for the model, one sandboxed session per thread.

Takes a call, runs its code, streams logs and pictures while it runs, stores the files it made, and words the result
for the model with a hint where something went wrong. Failing code is output, never a failed call.

It refuses to work (ToolFault) where code cannot be isolated, unless the operator allowed that explicitly. It does not
know runs, messages or annotations: those are the core's.
"""

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...engine.chat import ToolCall, ToolSchema
from ...engine.errors import SandboxUnavailable
from ...engine.objects import FilePath, ImageOutput, LogsOutput
from ...engine.ports import Clock, Emit, MadeFile, ToolFile, ToolResult, ToolSession
from . import environment
from .advice import hints
from .advice.profile import Profiler
from .arguments import code_of
from .isolation import probe
from .isolation.bubblewrap import Bubblewrap
from .isolation.job import DATA
from .isolation.limits import Limits
from .isolation.runner import Runner, Unsandboxed
from .kernels.outputs import Failure, Lost, Picture, Text
from .sessions import files
from .sessions.sessions import COLLECTED, Session, SessionLimits, Sessions
from .transcript import Transcript, for_model

_HINT_SECONDS = 5.0
_HINT_CHARS = 100_000


@dataclass(frozen=True)
class Settings:
    """Where things lie and what is allowed.

    Attributes:
        environment: the folder that `environment.install` filled.
        root: a folder of our own for sessions' files and cached profiles.
        bubblewrap: the bwrap to use; None for the system's or the one that a package carries.
        allow_unsandboxed: run code without isolation where there is none. Never a default; logged at each start.
        profiles: describe attached tables to the model.
        hints: say what to write after an error.
    """

    environment: Path
    root: Path
    limits: Limits = field(default_factory=Limits)
    sessions: SessionLimits = field(default_factory=SessionLimits)
    bubblewrap: Bubblewrap | None = None
    allow_unsandboxed: bool = False
    profiles: bool = True
    hints: bool = True


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

    def schema(self, session: ToolSession) -> ToolSchema:
        """The tool as the model sees it, with the packages that are really there."""
        found = environment.find(self._settings.environment)
        installed = f" Installed: {found.describe()}." if found is not None else ""
        return ToolSchema(
            name=self.type,
            description=(
                "Runs Python code in a Jupyter kernel that keeps its state between calls and returns what it prints. "
                f"Files are in {DATA}; save results there. Use print() to see values and plt.show() to show a "
                f"chart to the user. No network, no pip.{installed}"
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

    async def check(self) -> str:
        """Establish isolation now; gives its name, such as "A".

        Raises:
            SandboxUnavailable: no code can be run here; the message says why and what mends it.
        """
        return (await self._open()).runner.tier

    async def brief(self, files: Sequence[ToolFile], session: ToolSession) -> str:
        """Where each file lies and, for tables, how to load it. Empty where no code can be run."""
        if not files:
            return ""
        try:
            ready = await self._open()
        except SandboxUnavailable:
            return ""  # the run's own call tells; a prompt is no place for it
        names = await ready.sessions.names(session.thread_id, files)
        lines: list[str] = []
        for item in files:
            name = names[item.file.id]
            profile = await ready.profiler.profile(item, name) if self._settings.profiles else ""
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
        async with ready.sessions.use(session.thread_id, session.files) as live:
            work = _Call(live, session, emit, self._settings)
            return await work.run(ready.runner.localise(code, live.data))

    async def forget(self, thread_id: str) -> None:
        """The thread was deleted: end its session, delete its files."""
        if self._ready is not None:
            await self._ready.sessions.forget(thread_id)
        else:
            await Sessions.delete_files(self._sessions_root, thread_id)

    async def close(self) -> None:
        """End all kernels; sessions' files stay."""
        if self._ready is not None:
            await self._ready.sessions.close()
            self._ready = None

    @property
    def _sessions_root(self) -> Path:
        return self._settings.root / "sessions"

    async def _open(self) -> _Ready:
        async with self._opening:
            if self._ready is None:
                runner = await self._isolate()
                settings = self._settings
                self._ready = _Ready(
                    runner,
                    Sessions(self._sessions_root, runner, self._clock, settings.sessions),
                    Profiler(runner, settings.root / "profiles"),
                )
            return self._ready

    async def _isolate(self) -> Runner:
        settings = self._settings
        found = await asyncio.to_thread(environment.find, settings.environment)
        if found is None:
            raise SandboxUnavailable(
                f"there is no interpreter in {settings.environment}; {environment.INSTALL}"
            )
        try:
            return await probe.find_sandbox(found, settings.limits, bubblewrap=settings.bubblewrap)
        except SandboxUnavailable:
            if not settings.allow_unsandboxed:
                raise
            return Unsandboxed(found, settings.limits)


class _Call:
    """One call in a session that is ours until it ends."""

    def __init__(self, live: Session, session: ToolSession, emit: Emit, settings: Settings) -> None:
        self._live = live
        self._session = session
        self._emit = emit
        self._settings = settings
        self._images: list[str] = []
        self._transcript = Transcript(settings.limits, self._send_logs, self._send_picture)

    async def run(self, code: str) -> ToolResult:
        """Run, collect, word the result."""
        before = await asyncio.to_thread(files.snapshot, self._live.data)
        async for output in self._live.kernel.execute(code):
            await self._transcript.add(output)
        made, left_out = await self._collect(before)
        failure = self._transcript.failure
        notes = [self._news(), *await self._comments(failure), *_files_notes(made, left_out)]
        if self._images:
            notes.append(f"({len(self._images)} picture(s) shown to the user)")
        if not self._transcript.text.strip() and failure is None and not made and not self._images:
            notes.append("(no output) Hint: use print(...) to see a result.")
        return ToolResult(
            output=for_model(
                self._transcript.text,
                notes,
                tokens=self._session.output_tokens,
                limits=self._settings.limits,
            ),
            files=tuple(made),
            images=tuple(self._images),
            failed=failure is not None or self._transcript.lost is not None,
        )

    def _news(self) -> str:
        news, self._live.news = self._live.news, ""
        return news if self._transcript.failure is not None else ""

    async def _comments(self, failure: Failure | None) -> list[str]:
        """The error in short, and the hint."""
        if failure is None:
            return []
        said = hints.summary(failure)
        if not self._settings.hints:
            return [said]
        listed = await asyncio.to_thread(files.snapshot, self._live.data)
        installed = environment.find(self._settings.environment)
        advice = hints.hint(
            failure,
            tables=await self._tables(),
            files=sorted(listed),
            packages=installed.describe().split(", ") if installed else [],
        )
        return [said, advice]

    async def _tables(self) -> list[hints.Table]:
        """Column names of the tables at hand, asked of the kernel."""
        said = ""
        async for output in self._live.kernel.execute(
            hints.COLUMNS_CODE, seconds=_HINT_SECONDS, silent=True
        ):
            if isinstance(output, Text) and output.kind == "stdout" and len(said) < _HINT_CHARS:
                said += output.text
            elif isinstance(output, Lost):
                await self._transcript.add(output)
        return hints.read_tables(said)

    async def _collect(self, before: dict[str, files.Stamp]) -> tuple[list[MadeFile], list[str]]:
        save = self._session.save_file
        if save is None:
            return [], []
        # Beside the data and not in /tmp, which may be small or memory; a killed engine's leftover is swept there.
        with tempfile.TemporaryDirectory(prefix=COLLECTED, dir=self._live.folder) as folder:
            found = await asyncio.to_thread(
                files.collect, self._live.data, before, Path(folder), self._settings.limits
            )
            made = [
                MadeFile(f"{DATA}/{item.path}", (await save(item.name, item.copy)).id)
                for item in found.files
            ]
        return made, found.left_out

    async def _send_logs(self, text: str) -> None:
        await self._emit(LogsOutput(logs=text))

    async def _send_picture(self, picture: Picture) -> None:
        save = self._session.save_file
        if save is None:
            return
        stored = await save(f"image_{len(self._images) + 1}{picture.suffix}", picture.data)
        self._images.append(stored.id)
        await self._emit(ImageOutput(image=FilePath(file_id=stored.id)))


def _files_notes(made: Sequence[MadeFile], left_out: Sequence[str]) -> list[str]:
    notes: list[str] = []
    if made:
        notes.append("Files saved: " + ", ".join(item.path for item in made))
    if left_out:
        notes.append("Not kept: " + "; ".join(left_out[:5]))
    return notes
