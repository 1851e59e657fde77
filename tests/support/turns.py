"""Listening to a backend's turn, for tests."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from local_assistants.engine.chat import (
    ChatMessage,
    ChatRequest,
    Delta,
    Finish,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    UsageDelta,
)
from local_assistants.engine.ports import Backend


@dataclass(frozen=True)
class Turn:
    """What a turn came to."""

    deltas: tuple[Delta, ...]

    @property
    def text(self) -> str:
        """All its text."""
        return "".join(delta.text for delta in self.deltas if isinstance(delta, TextDelta))

    @property
    def calls(self) -> list[tuple[str, str]]:
        """Name and arguments of each call."""
        calls: dict[int, tuple[str, str]] = {}
        for delta in self.deltas:
            if isinstance(delta, ToolCallDelta):
                name, arguments = calls.get(delta.index, (delta.name or "", ""))
                calls[delta.index] = (name, arguments + delta.arguments)
        return list(calls.values())

    @property
    def usage(self) -> UsageDelta:
        """The one report of token counts."""
        [usage] = [delta for delta in self.deltas if isinstance(delta, UsageDelta)]
        return usage

    @property
    def reason(self) -> str:
        """Why it ended; the last delta must say so."""
        last = self.deltas[-1]
        assert isinstance(last, Finish)
        return last.reason

    @property
    def message(self) -> ChatMessage:
        """The turn as the next prompt shows it."""
        calls = tuple(
            ToolCall(id=f"call_{index}", name=name, arguments=arguments)
            for index, (name, arguments) in enumerate(self.calls)
        )
        return ChatMessage(role="assistant", content=self.text, tool_calls=calls)


def user(text: str) -> ChatMessage:
    """A message of the user's."""
    return ChatMessage(role="user", content=text)


def tool(text: str, call: str = "call_0") -> ChatMessage:
    """The output of a tool."""
    return ChatMessage(role="tool", content=text, tool_call_id=call)


async def listen(backend: Backend, *messages: ChatMessage, **options: Any) -> Turn:
    """Hear a turn to its end."""
    request = ChatRequest(messages, **options)
    return Turn(tuple([delta async for delta in backend.stream(request)]))


def texts(deltas: Sequence[Delta]) -> list[str]:
    """The pieces in which text came."""
    return [delta.text for delta in deltas if isinstance(delta, TextDelta)]
