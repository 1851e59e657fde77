"""From the chunks of one answer to deltas, whatever the server's habits are.

Pure: no connection, no time. `reasoning_content` and its like are not part of what the model says and are left out.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from ...engine.chat import Delta, TextDelta, ToolCallDelta
from ...engine.errors import BackendFault
from .faults import stream_fault
from .sse import Event
from .untrusted import (
    WholeCharacters,
    an_object,
    count,
    fields,
    items,
    parsed,
    plain,
    string,
    whole,
)

_DONE = "[DONE]"
_MOST_CALLS = 128
_LENGTH = frozenset(("length", "max_tokens", "model_length"))
_FAILED = frozenset(("content_filter", "abort", "error"))
_THOUGHT = ("reasoning_content", "reasoning", "thinking")


@dataclass(frozen=True, slots=True)
class ServerUsage:
    """Token counts as the server gave them."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int


@dataclass(slots=True)
class _Call:
    """A call under way. Its arguments wait for its name."""

    id: str | None = None
    named: bool = False
    waiting: list[str] = field(default_factory=list[str])
    has_arguments: bool = False
    characters: WholeCharacters = field(default_factory=WholeCharacters)


class AnswerReader:
    """Reads one answer.

    Attributes:
        begun: whether the model has said, called or thought anything yet.
        finished: whether the server said why the answer ended.
        done: whether the server said that nothing more comes.
        usage: the token counts, if the server gave any.
        text: all that was shown or called so far, for counting where the server does not.
    """

    def __init__(self, *, parallel: bool) -> None:
        self._parallel = parallel
        self._characters = WholeCharacters()
        self._calls: list[_Call] = []
        self._by_index: dict[int, int] = {}
        self._reason: str | None = None
        self.begun = False
        self.done = False
        self.usage: ServerUsage | None = None
        self.text: list[str] = []

    @property
    def finished(self) -> bool:
        return self._reason is not None

    def read(self, event: Event) -> list[Delta]:
        """What this event adds.

        Raises:
            BackendFault: it is no chunk of an answer, or says that the answer failed.
            ContextOverflow: it says that the prompt does not fit.
            TryAgain: it says that the server cannot at the moment.
        """
        self.done = self.done or event.data.strip() == _DONE
        if self.done:  # whatever follows is not part of the answer
            return []
        chunk = _parse(event.data)
        if event.is_error or chunk.get("error"):
            raise stream_fault(chunk)
        self._read_usage(chunk.get("usage"))
        choices = items(chunk.get("choices"))  # empty beside the usage
        return self._noted(self._read_choice(fields(choices[0] if choices else None)))

    def end(self) -> tuple[list[Delta], Literal["stop", "length", "tool_calls"]]:
        """What was held back, and why the answer ended.

        Raises:
            BackendFault: the server broke the answer off, or a call has no name.
        """
        if self._reason in _FAILED:
            raise BackendFault(
                f"The model's server broke the answer off; it says '{plain(self._reason or '')}'."
            )
        deltas: list[Delta] = [TextDelta(rest)] if (rest := self._characters.end()) else []
        for index, call in enumerate(self._shown()):
            if not call.named:
                raise BackendFault("The model's server sent a tool call without a name.")
            # Servers give no arguments at all to functions that take none.
            rest = call.characters.end() or ("" if call.has_arguments else "{}")
            deltas += [ToolCallDelta(index, arguments=rest)] if rest else []
        deltas = self._noted(deltas)
        if self._reason in _LENGTH:
            return deltas, "length"
        return deltas, "tool_calls" if self._calls else "stop"

    # --- choices -------------------------------------------------------------------------------

    def _read_choice(self, choice: dict[str, Any]) -> list[Delta]:
        self._reason = string(choice.get("finish_reason")) or self._reason
        # Some servers send an answer that they cannot stream as one whole message.
        delta = fields(choice.get("delta") or choice.get("message"))
        self.begun = self.begun or any(delta.get(key) for key in _THOUGHT)
        text = self._characters.feed(_text(delta.get("content")))
        deltas: list[Delta] = [TextDelta(text)] if text else []
        for call in items(delta.get("tool_calls")):
            deltas += self._read_call(fields(call))
        if delta.get("function_call"):  # the form before there were tools
            deltas += self._read_call({"index": 0, "function": delta["function_call"]})
        return deltas

    def _read_call(self, fragment: dict[str, Any]) -> list[Delta]:
        function = fields(fragment.get("function"))
        name, id_ = whole(string(function.get("name"))), string(fragment.get("id")) or None
        number = self._number(fragment.get("index"), id_, bool(name))
        call = self._calls[number]
        call.id = call.id or id_
        arguments = call.characters.feed(_arguments(function.get("arguments")))
        call.has_arguments = call.has_arguments or bool(arguments.strip())
        self.begun = True
        if number > 0 and not self._parallel:
            return []
        if call.named:
            return [ToolCallDelta(number, arguments=arguments)] if arguments else []
        call.waiting.append(arguments)
        if not name:
            return []
        call.named = True
        return [ToolCallDelta(number, name, "".join(call.waiting))]

    def _number(self, index: object, id_: str | None, has_name: bool) -> int:
        """Which call a fragment belongs to; a new one where it fits none. Index and id may both be missing."""
        known = self._by_index.get(index) if isinstance(index, int) else None
        if known is None and not isinstance(index, int):
            same = [n for n, call in enumerate(self._calls) if id_ and call.id == id_]
            goes_on = bool(self._calls) and not id_ and not has_name
            known = same[0] if same else len(self._calls) - 1 if goes_on else None
        if known is not None and not self._is_another(self._calls[known], id_, has_name):
            return known
        if len(self._calls) == _MOST_CALLS:
            raise BackendFault(f"The model made more than {_MOST_CALLS} calls in one turn.")
        self._calls.append(_Call())
        if isinstance(index, int):
            self._by_index[index] = len(self._calls) - 1
        return len(self._calls) - 1

    @staticmethod
    def _is_another(call: _Call, id_: str | None, has_name: bool) -> bool:
        """Whether the fragment begins another call under the same index: some servers number every call 0."""
        return has_name and id_ is not None and call.id is not None and call.id != id_

    def _shown(self) -> list[_Call]:
        return self._calls if self._parallel else self._calls[:1]

    def _noted(self, deltas: Iterable[Delta]) -> list[Delta]:
        shown = list(deltas)
        for delta in shown:
            if isinstance(delta, TextDelta):
                self.text.append(delta.text)
            elif isinstance(delta, ToolCallDelta):
                self.text += [delta.name or "", delta.arguments]
        self.begun = self.begun or bool(shown)
        return shown

    def _read_usage(self, usage: object) -> None:
        counts = fields(usage)
        prompt, completion = (
            count(counts.get("prompt_tokens")),
            count(counts.get("completion_tokens")),
        )
        if prompt is None or completion is None:
            return
        cached = count(fields(counts.get("prompt_tokens_details")).get("cached_tokens")) or 0
        self.usage = ServerUsage(prompt, completion, min(cached, prompt))


def _parse(data: str) -> dict[str, Any]:
    chunk = an_object(parsed(data))
    if chunk is None:
        raise BackendFault(
            f"The model's server sent something that is no JSON object: '{plain(data, 100)}'."
        )
    return chunk


def _text(value: object) -> str:
    """A string, or the text parts of a list of parts."""
    if isinstance(value, str):
        return value
    return "".join(string(fields(part).get("text")) for part in items(value))


def _arguments(value: object) -> str:
    if isinstance(value, str) or value is None:
        return value or ""
    return json.dumps(value, ensure_ascii=False)
