"""Runs the engine-side calls of one turn, all at once, and shows their output while it comes.

Each call gets the session of its run; what it emits is committed as step deltas. A call that fails is output for the
model; only a tool that cannot work at all (ToolFault) stops the run.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from .chat import ChatMessage
from .code_sessions import count_session
from .core import Core
from .objects import CodeInterpreterTool, CodeOutput, File, FileSearchDetails, Run
from .ports import Citation, MadeFile, Tool, ToolResult, ToolSession, TranscriptEntry
from .speech import apply
from .stored_files import keep_file
from .tool_step import CallDraft, ToolStep
from .watching import watched_call

_CITATIONS_PER_CALL = 50  # room in the numbering for what one search may find


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """What the calls of a turn came to, in the order of the calls."""

    results: tuple[tuple[CallDraft, ToolResult], ...] = ()

    @property
    def citations(self) -> list[Citation]:
        """Passages given to the model."""
        return [citation for _, result in self.results for citation in result.citations]

    @property
    def files(self) -> list[MadeFile]:
        """Files that code made."""
        return [made for _, result in self.results for made in result.files]

    @property
    def images(self) -> list[str]:
        """Ids of images that code showed."""
        return [file_id for _, result in self.results for file_id in result.images]

    @property
    def failed(self) -> bool:
        """Whether the last call failed, or told nothing: there is no answer in it."""
        return any(result.failed or result.silent for _, result in self.results[-1:])

    @property
    def code_open(self) -> bool:
        """Whether that last call was code."""
        code = CodeInterpreterTool().type
        return self.failed and self.results[-1][0].name == code

    @property
    def failed_code(self) -> int:
        """Calls whose code failed."""
        return sum(
            result.failed and call.name == CodeInterpreterTool().type
            for call, result in self.results
        )

    def entries(self, run: Run, note: str = "") -> list[TranscriptEntry]:
        """The outputs as the transcript keeps them, `note` under the last one."""
        noted = {id(result) for _, result in self.results[-1:] if note}
        return [
            TranscriptEntry(
                thread_id=run.thread_id,
                run_id=run.id,
                body=ChatMessage(
                    role="tool",
                    content=f"{result.output}\n\n{note}" if id(result) in noted else result.output,
                    tool_call_id=call.id,
                    name=call.name,
                ),
                citations=result.citations,
                files=result.files,
                failed=result.failed,
            )
            for call, result in self.results
        ]


async def run_tools(
    core: Core,
    step: ToolStep,
    tools: Mapping[str, Tool],
    session: ToolSession,
    *,
    refusals: Mapping[str, str],
) -> ToolOutcome:
    """Run every call of the step; what is called of a tool in `refusals` is answered with the text there.

    Raises:
        ToolFault: a tool cannot work at all; the other calls are stopped.
    """
    tasks = [
        asyncio.ensure_future(
            _refused(refusals[call.name])
            if call.name in refusals
            else _run_call(core, step, call, tools[call.name], _own(core, session, call))
        )
        for call in step.calls
    ]
    try:
        results = await asyncio.gather(*tasks)
    finally:  # on an error or a cancel no call may go on by itself
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return ToolOutcome(tuple(zip(step.calls, results, strict=True)))


async def _run_call(
    core: Core, step: ToolStep, call: CallDraft, tool: Tool, session: ToolSession
) -> ToolResult:
    async def emit(output: CodeOutput) -> None:
        await core.journal.commit(partial(apply, session.run_id, step.output(call, output)))

    with watched_call(core, session.run_id, call.as_call()) as seen:
        call.seen = seen
        seen.result = result = await tool.run(call.as_call(), session, emit)
    if result.search is not None:
        call.search = result.search
    elif call.name == "file_search":
        call.search = FileSearchDetails()
    return result


async def _refused(answer: str) -> ToolResult:
    return ToolResult(answer)


def _own(core: Core, session: ToolSession, call: CallDraft) -> ToolSession:
    """The session as one call sees it: passage numbers of its own, files kept as the output of the run's project."""

    async def save_file(name: str, source: bytes | Path) -> File:
        own = await core.of_thread(session.thread_id)
        return await keep_file(own, name, source, purpose="assistants_output")

    first = session.first_citation + call.position * _CITATIONS_PER_CALL
    started = partial(count_session, core, session.thread_id, session.run_id)
    return replace(session, first_citation=first, save_file=save_file, session_started=started)
