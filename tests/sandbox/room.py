"""What the sandbox's tests share: talking to a kernel, a clock that is turned by hand, a place for saved files."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from local_assistants.engine.chat import ToolCall
from local_assistants.engine.objects import CodeOutput, File, LogsOutput
from local_assistants.engine.ports import ToolFile, ToolResult, ToolSession
from local_assistants.tools.code_interpreter.kernels.kernel import Kernel
from local_assistants.tools.code_interpreter.kernels.outputs import Failure, Lost, Picture, Text
from local_assistants.tools.code_interpreter.tool import CodeInterpreter


@dataclass
class Heard:
    """All that one call said."""

    text: str = ""
    notes: str = ""
    failure: Failure | None = None
    lost: Lost | None = None
    pictures: list[Picture] = field(default_factory=list[Picture])

    @property
    def error(self) -> str:
        """The exception's name, "" when there was none."""
        return self.failure.name if self.failure else ""


async def say(kernel: Kernel, code: str, seconds: float = 60.0) -> Heard:
    """Run `code` and listen to the end."""
    heard = Heard()
    async for output in kernel.execute(code, seconds=seconds):
        if isinstance(output, Text) and output.kind == "note":
            heard.notes += output.text
        elif isinstance(output, Text):
            heard.text += output.text
        elif isinstance(output, Picture):
            heard.pictures.append(output)
        elif isinstance(output, Failure):
            heard.failure = output
        else:
            heard.lost = output
    return heard


class HandClock:
    """A clock that stands still until it is turned."""

    def __init__(self) -> None:
        self.time = 1_000_000.0

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        """Sleepers never wake by themselves: tests call what they would do."""
        await asyncio.Event().wait()


@dataclass
class Desk:
    """A thread's view of the tool: calls it and keeps what it made."""

    tool: CodeInterpreter
    thread_id: str = "thread_1"
    files: Sequence[ToolFile] = ()
    output_tokens: int = 2000
    saved: dict[str, bytes] = field(default_factory=dict[str, bytes])
    emitted: list[CodeOutput] = field(default_factory=list[CodeOutput])
    started: list[float] = field(default_factory=list[float])

    @property
    def session(self) -> ToolSession:
        return ToolSession(
            thread_id=self.thread_id,
            run_id="run_1",
            files=tuple(self.files),
            output_tokens=self.output_tokens,
            save_file=self.save,
            session_started=self.note_start,
        )

    @property
    def logs(self) -> str:
        """All logs emitted so far."""
        return "".join(output.logs for output in self.emitted if isinstance(output, LogsOutput))

    async def run(self, code: str) -> ToolResult:
        """One call with this code."""
        call = ToolCall(id="call_1", name="code_interpreter", arguments=json.dumps({"code": code}))
        return await self.tool.run(call, self.session, self.emit)

    async def save(self, name: str, content: bytes | Path) -> File:
        if isinstance(content, Path):
            content = await asyncio.to_thread(content.read_bytes)
        self.saved[name] = content
        size = len(self.saved[name])
        return File(
            id=f"file-{name}", purpose="assistants_output", filename=name, bytes=size, created_at=0
        )

    async def emit(self, output: CodeOutput) -> None:
        self.emitted.append(output)

    async def note_start(self, at: float) -> None:
        self.started.append(at)


def attach(path: Path, file_id: str, name: str) -> ToolFile:
    """A host file as the core hands it to the tool."""
    record = File(id=file_id, purpose="assistants", filename=name, bytes=1, created_at=0)
    return ToolFile(record, path)
