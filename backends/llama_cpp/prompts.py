"""From a request to the token ids of its prompt.

Two things stand between the template's text and the tokens. Control tokens written out in a message ("<|im_end|>") are
plain text and never become the token: nobody can end a message but its author. And an answer that this model gave
before goes in with the very tokens that it wrote, not with the template's picture of it, so that the prompt of a turn
begins with all of the turn before it and nothing is evaluated twice.

Both are done by leaving marks in the messages and cutting the rendered text at them.
"""

import json
import re
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

from pydantic import JsonValue

from ...engine.chat import ChatMessage, ChatRequest, ImagePart, ToolCall, ToolSchema
from .library import Vocabulary
from .template import ChatTemplate, Message

_NO_PICTURE = "[picture: this model reads text only]"
_MOST_REMEMBERED = 2000  # answers; some hundred tokens each


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids to evaluate. The last `prefilled` of them begin the model's own answer with the text `prefix`."""

    ids: tuple[int, ...]
    prefilled: int = 0
    prefix: str = ""


class AnswerMemory:
    """The tokens of answers given lately, by what they said. Safe to use from several threads."""

    def __init__(self) -> None:
        self._answers: OrderedDict[tuple[Any, ...], tuple[int, ...]] = OrderedDict()
        self._lock = Lock()

    def remember(self, session: str | None, message: ChatMessage, ids: Sequence[int]) -> None:
        """Keep the tokens of an answer of this session."""
        with self._lock:
            self._answers[_key(session, message)] = tuple(ids)
            if len(self._answers) > _MOST_REMEMBERED:
                self._answers.popitem(last=False)

    def recall(self, session: str | None, message: ChatMessage) -> tuple[int, ...] | None:
        """The tokens of this message, if it was an answer of this session."""
        with self._lock:
            key = _key(session, message)
            if key not in self._answers:
                return None
            self._answers.move_to_end(key)
            return self._answers[key]

    def forget(self, session: str) -> None:
        """Drop the answers of a session."""
        with self._lock:
            for key in [key for key in self._answers if key[0] == session]:
                del self._answers[key]


def _key(session: str | None, message: ChatMessage) -> tuple[Any, ...]:
    calls = tuple((call.name, _canonical(call.arguments)) for call in message.tool_calls)
    return session, message.text.strip(), calls


def _canonical(arguments: str) -> str:
    try:
        return json.dumps(json.loads(arguments), sort_keys=True)
    except ValueError:
        return arguments


class PromptWriter:
    """Writes the prompts of one model. Safe to use from several threads."""

    def __init__(
        self, vocabulary: Vocabulary, template: ChatTemplate, memory: AnswerMemory
    ) -> None:
        self._vocabulary = vocabulary
        self._template = template
        self._memory = memory
        controls = sorted(vocabulary.control_texts, key=len, reverse=True)
        self._controls = re.compile("|".join(map(re.escape, controls)) or r"(?!)")

    def write(self, request: ChatRequest) -> Prompt:
        """The prompt of a request.

        Raises:
            BackendFault: the template refuses the conversation.
        """
        marks = _Marks()
        messages = self._messages(request, marks)
        text = self._template.render(messages, self._tools(request, marks))
        ids = self._tokens(text, marks)
        if not request.forced_tool:
            return Prompt(tuple(ids))
        prefix = f'{{"name": {json.dumps(request.forced_tool, ensure_ascii=False)}, "arguments": '
        prefill = self._vocabulary.tokenize(prefix, special=False)
        return Prompt((*ids, *prefill), len(prefill), prefix)

    def _tools(self, request: ChatRequest, marks: "_Marks") -> list[dict[str, Any]]:
        if request.tool_choice == "none" and not request.forced_tool:
            return []
        return [self._tool(tool, marks) for tool in request.tools]

    def _tool(self, tool: ToolSchema, marks: "_Marks") -> dict[str, Any]:
        function = {
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters or {"type": "object", "properties": {}},
        }
        return {"type": "function", "function": self._quoted(function, marks)}

    def _messages(self, request: ChatRequest, marks: "_Marks") -> list[Message]:
        names = {call.id: call.name for message in request.messages for call in message.tool_calls}
        written: list[Message] = []
        for message in request.messages:
            recalled = self._recalled(request, message)
            if recalled is not None:
                written.append({"role": "assistant", "content": marks.put(recalled)})
            else:
                written.append(self._message(message, names, marks))
        return written

    def _recalled(self, request: ChatRequest, message: ChatMessage) -> tuple[int, ...] | None:
        is_answer = message.role == "assistant"
        return self._memory.recall(request.session, message) if is_answer else None

    def _message(self, message: ChatMessage, names: dict[str, str], marks: "_Marks") -> Message:
        written: Message = {
            "role": message.role,
            "content": self._quoted(_text_of(message), marks),
        }
        if message.tool_calls:
            calls = [_call(call) for call in message.tool_calls]
            written["tool_calls"] = self._quoted(calls, marks)
        if message.tool_call_id is not None:
            written["tool_call_id"] = message.tool_call_id
            written["name"] = names.get(message.tool_call_id, message.name)
        return written

    def _quoted(self, value: Any, marks: "_Marks") -> Any:
        """The value with a mark for every control token written out in its strings."""

        def quote(text: str) -> str:
            return self._controls.sub(lambda found: marks.put(found.group()), text)

        return _map_strings(value, quote)

    def _tokens(self, text: str, marks: "_Marks") -> list[int]:
        ids: list[int] = []
        for part in marks.cut(text):
            if isinstance(part, tuple):
                ids += part
            else:
                ids += self._vocabulary.tokenize(part.text, special=part.special)
        bos = self._vocabulary.bos
        if self._vocabulary.adds_bos and ids[:1] != [bos]:
            ids.insert(0, bos)
        return ids


@dataclass(frozen=True, slots=True)
class _Text:
    text: str
    special: bool


class _Marks:
    """Placeholders for what must not be tokenized with the text around it.

    They hold a random part, so that no message can contain one by intent.
    """

    def __init__(self) -> None:
        self._nonce = secrets.token_hex(8)
        self._values: list[str | tuple[int, ...]] = []

    def put(self, value: str | tuple[int, ...]) -> str:
        """A mark that stands for a quoted text or for token ids."""
        self._values.append(value)
        return f"[{self._nonce}:{len(self._values) - 1}]"

    def cut(self, text: str) -> list[_Text | tuple[int, ...]]:
        """The text in pieces, the marks replaced by what they stand for."""
        parts: list[_Text | tuple[int, ...]] = []
        for index, piece in enumerate(re.split(rf"\[{self._nonce}:(\d+)\]", text)):
            if index % 2 == 0:
                parts += [_Text(piece, special=True)] if piece else []
                continue
            value = self._values[int(piece)]
            parts.append(_Text(value, special=False) if isinstance(value, str) else value)
        return parts


def _call(call: ToolCall) -> dict[str, Any]:
    """A call as templates expect it: arguments as an object, which they encode themselves."""
    try:
        arguments: Any = json.loads(call.arguments)
    except ValueError:
        arguments = call.arguments
    function = {"name": call.name, "arguments": arguments}
    return {"id": call.id, "type": "function", "function": function}


def _text_of(message: ChatMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    parts = (_NO_PICTURE if isinstance(part, ImagePart) else part.text for part in message.content)
    return "\n".join(parts)


def _map_strings(value: JsonValue, change: Callable[[str], str]) -> JsonValue:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_map_strings(item, change) for item in value]
    if isinstance(value, dict):
        return {change(key): _map_strings(item, change) for key, item in value.items()}
    return value
