"""A backend that plays a script in place of a model: the instrument for experiments and for tests.

The script is YAML (docs/scripted-backend.md). Every run starts at its first turn and the last turn repeats. The
backend sees no run: a turn's number is the number of assistant messages with tool calls since the last message that
ended a run (one of the user's, or an assistant's without calls).

It does not reason, does not look at the tools it is offered and does not check the calls it makes: a script may be
as wrong as a model. A token is a piece of the stream: a word with the space after it, or eight characters of a
call's arguments.
"""

import asyncio
import json
import re
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from ..engine.chat import (
    Capabilities,
    ChatMessage,
    ChatRequest,
    Delta,
    Finish,
    TextDelta,
    TextPart,
    ToolCallDelta,
    UsageDelta,
)
from ..engine.errors import AssistantsError, BackendFault, ContextOverflow, RateLimited
from ..engine.ports import Clock
from .script import (
    ScriptedCall,
    ScriptedError,
    ScriptedTurn,
    ScriptedUsage,
    check_script,
    read_script,
)
from .text import StopStrings

_FRAGMENT = 8  # characters of arguments in one token
_PLACEHOLDER = re.compile(r"\{\{(user|tool)\}\}")
_WORD = re.compile(r"\S+\s*|\s+")


class ScriptedBackend:
    """Plays turns (ports.Backend). Waits only through `clock`; a hanging turn waits for its cancellation."""

    def __init__(
        self,
        turns: Sequence[ScriptedTurn],
        *,
        context_window: int = 32768,
        clock: Clock | None = None,
    ) -> None:
        self._turns = tuple(turns)
        self._window = context_window
        self._clock = clock if clock is not None else _WallClock()

    @classmethod
    def from_file(cls, path: str | Path, *, clock: Clock | None = None) -> "ScriptedBackend":
        """Read a script.

        Raises:
            BackendFault: the file cannot be read or is no script; says where.
        """
        script = read_script(Path(path))
        return cls(script.turns, context_window=script.context_window, clock=clock)

    @classmethod
    def from_turns(
        cls,
        turns: Sequence[dict[str, Any]],
        *,
        context_window: int = 32768,
        clock: Clock | None = None,
    ) -> "ScriptedBackend":
        """Turns as the YAML file would hold them.

        Raises:
            BackendFault: a turn is not well-formed; says which and where.
        """
        data = {"turns": list(turns), "context_window": context_window}
        script = check_script(data, "the script")
        return cls(script.turns, context_window=script.context_window, clock=clock)

    @property
    def capabilities(self) -> Capabilities:
        """Tools yes, pictures no; the context window is the script's."""
        return Capabilities(context_window=self._window)

    async def count_tokens(self, request: ChatRequest) -> int:
        """Words of all messages and eight-character fragments of all calls' arguments."""
        return sum(_message_tokens(message) for message in request.messages)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        """Play the turn that the request has come to.

        Raises:
            ContextOverflow: the prompt has more tokens than the script's context_window.
            AssistantsError: what the turn's `error` asks for.
        """
        prompt = await self.count_tokens(request)
        if prompt > self._window:
            raise ContextOverflow(
                f"The prompt has {prompt} tokens; the script's context window is {self._window}."
            )
        turn = self._turns[min(_turn_number(request.messages), len(self._turns) - 1)]
        playback = _Playback(turn, request)
        await self._pause(turn.delay)
        for delta in playback.deltas():
            if playback.tokens > 1 and turn.tokens_per_second:
                await self._pause(1 / turn.tokens_per_second)
            yield delta
        await _break_off(turn)
        usage = turn.usage or ScriptedUsage(prompt_tokens=prompt, completion_tokens=playback.tokens)
        yield UsageDelta(usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens)
        yield playback.finish()

    async def forget(self, session: str) -> None:
        """Nothing is kept of a conversation."""

    async def close(self) -> None:
        """Nothing to let go of."""

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            await self._clock.sleep(seconds)


class _Playback:
    """The pieces of one turn, within the request's limits."""

    def __init__(self, turn: ScriptedTurn, request: ChatRequest) -> None:
        values = {"user": _last(request.messages, "user"), "tool": _last(request.messages, "tool")}
        calls = turn.tool_calls if request.parallel_tool_calls else turn.tool_calls[:1]
        self._text = _fill(turn.text, values)
        self._calls = [(call.name, _arguments(call, values)) for call in calls]
        self._limit = request.max_tokens
        self._stops = StopStrings(request.stop)
        self._cut_short = turn.truncate is not None
        self.tokens = 0
        self._truncate(turn.truncate)

    def deltas(self) -> Iterator[Delta]:
        for word in _WORD.findall(self._text):
            if not self._take():
                return
            if shown := self._stops.feed(word):
                yield TextDelta(shown)
            if self._stops.hit:
                return
        if rest := self._stops.flush():
            yield TextDelta(rest)
        for index, (name, arguments) in enumerate(self._calls):
            for fragment in _fragments(name, arguments):
                if not self._take():
                    return
                yield ToolCallDelta(index, fragment.name, fragment.arguments)

    def finish(self) -> Finish:
        if self._cut_short:
            return Finish("length")
        if self._calls and not self._stops.hit:
            return Finish("tool_calls")
        return Finish("stop")

    def _take(self) -> bool:
        """Count one more token, unless there are none left."""
        if self._limit is not None and self.tokens >= self._limit:
            self._cut_short = True
            return False
        self.tokens += 1
        return True

    def _truncate(self, length: int | None) -> None:
        if length is not None and self._calls:
            name, arguments = self._calls[-1]
            self._calls[-1] = (name, arguments[:length])
        elif length is not None:
            self._text = self._text[:length]


@dataclass(frozen=True, slots=True)
class _Fragment:
    name: str | None
    arguments: str


def _fragments(name: str, arguments: str) -> Iterator[_Fragment]:
    """At least one fragment, the first with the call's name."""
    for start in range(0, max(1, len(arguments)), _FRAGMENT):
        yield _Fragment(name if start == 0 else None, arguments[start : start + _FRAGMENT])


class _WallClock:
    """The machine's time, for a script played outside an engine."""

    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def _break_off(turn: ScriptedTurn) -> None:
    if turn.error is not None:
        raise _fault(turn.error)
    if turn.hang:
        # Not a long sleep: a test's clock would wake it.
        await asyncio.Event().wait()


def _fault(error: ScriptedError) -> AssistantsError:
    if error.code == RateLimited.default_code:
        return RateLimited(error.message)
    if error.code == ContextOverflow.default_code:
        return ContextOverflow(error.message)
    return BackendFault(error.message, code=error.code)


def _turn_number(messages: Sequence[ChatMessage]) -> int:
    number = 0
    for message in messages:
        if message.role == "user" or (message.role == "assistant" and not message.tool_calls):
            number = 0
        elif message.role == "assistant":
            number += 1
    return number


def _last(messages: Sequence[ChatMessage], role: str) -> str:
    """The last thing said in this role; of a message in parts, its last text (what comes before is about files)."""
    message = next((message for message in reversed(messages) if message.role == role), None)
    if message is None:
        return ""
    if isinstance(message.content, str):
        return message.content
    texts = [part.text for part in message.content if isinstance(part, TextPart)]
    return texts[-1] if texts else ""


def _fill(text: str, values: dict[str, str]) -> str:
    """Put the values in, in one pass: what they contain is not looked at again."""
    return _PLACEHOLDER.sub(lambda match: values[match.group(1)], text)


def _arguments(call: ScriptedCall, values: dict[str, str]) -> str:
    if isinstance(call.arguments, str):
        return _fill(call.arguments, values)
    return json.dumps(_fill_all(call.arguments, values), ensure_ascii=False)


def _fill_all(value: JsonValue, values: dict[str, str]) -> JsonValue:
    if isinstance(value, str):
        return _fill(value, values)
    if isinstance(value, list):
        return [_fill_all(item, values) for item in value]
    if isinstance(value, dict):
        return {key: _fill_all(item, values) for key, item in value.items()}
    return value


def _message_tokens(message: ChatMessage) -> int:
    arguments = (call.arguments for call in message.tool_calls)
    return len(_WORD.findall(message.text)) + sum(-(-len(text) // _FRAGMENT) for text in arguments)
