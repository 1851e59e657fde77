"""What scripted tools do that never comes to an end, or to nothing."""

import asyncio

from local_assistants.engine.chat import ToolCall
from local_assistants.engine.errors import ToolFault
from local_assistants.engine.objects import LogsOutput
from local_assistants.engine.ports import Emit, ToolResult, ToolSession


async def work_for_ever(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
    """Code that prints and does not end."""
    await emit(LogsOutput(logs="working\n"))
    await asyncio.Event().wait()
    return ToolResult("")


async def broken(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
    """A tool that cannot work at all."""
    raise ToolFault("The sandbox cannot be started.")
