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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from pydantic import JsonValue

from ...engine.chat import ChatMessage, ChatRequest, ImagePart, ToolCall, ToolSchema
from .dialects import Piece
from .dialects.forms import AnswerForm, form_of
from .kv.answers import AnswerMemory, occurrences
from .native import Vocabulary
from .plain_words import Message
from .template import ChatTemplate

if TYPE_CHECKING:
    from .vision import Seen

_NO_PICTURE = "[picture: this model reads text only]"

Looks = Mapping[str, "Seen | str"]
"""URL of a picture -> how the model reads it, or why it cannot be looked at."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids to evaluate. The last `prefilled` of them begin the model's own answer with the text `prefix`.

    `suffix`: the tokens that complete an answer with a forced call. `form`: how the answer is to be written.
    `pictures`: the rows of the ids that stand for pictures'.
    """

    ids: tuple[int, ...]
    prefilled: int = 0
    prefix: str = ""
    suffix: tuple[int, ...] = ()
    form: AnswerForm = field(default_factory=AnswerForm)
    pictures: Mapping[int, Any] = field(default_factory=dict[int, Any])


class PromptWriter:
    """Writes the prompts of one model. Safe to use from several threads."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        template: ChatTemplate,
        memory: AnswerMemory,
        *,
        router: bool = False,
    ) -> None:
        self._vocabulary = vocabulary
        self._template = template
        self._router = router
        self._memory = memory
        controls = sorted(vocabulary.control_texts, key=len, reverse=True)
        self._controls = re.compile("|".join(map(re.escape, controls)) or r"(?!)")

    def write(self, request: ChatRequest, looks: Looks | None = None) -> Prompt:
        """The prompt of a request. `looks`: its pictures; None: the model sees none.

        Raises:
            BackendFault: the template refuses the conversation.
        """
        marks = _Marks(looks)
        form = form_of(request, self._template.dialect, router=self._router)
        messages = self._messages(request, marks)
        tools = [self._tool(tool, marks) for tool in form.shown]
        ids = self._tokens(self._template.render(messages, tools), marks)
        prefill = self._pieces(form.prefix)
        prefix = "".join(text for text, _ in form.prefix)
        suffix = tuple(self._pieces(form.suffix))
        return Prompt((*ids, *prefill), len(prefill), prefix, suffix, form, marks.pictures)

    def _pieces(self, pieces: Sequence[Piece]) -> list[int]:
        tokenize = self._vocabulary.tokenize
        return [token for text, special in pieces for token in tokenize(text, special=special)]

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
        for message, nth in zip(request.messages, occurrences(request.messages), strict=True):
            recalled = self._recalled(request, message, nth)
            if recalled is not None:
                mark, calls = marks.put(recalled), bool(message.tool_calls)
                written.append({"role": "assistant", "said": mark, "calls": calls})
            else:
                written.append(self._message(message, names, marks))
        return written

    def _recalled(
        self, request: ChatRequest, message: ChatMessage, nth: int
    ) -> tuple[int, ...] | None:
        if message.role != "assistant" or (message.tool_calls and not self._template.quotes_calls):
            return None
        return self._memory.recall(request.session, message, nth)

    def _message(self, message: ChatMessage, names: dict[str, str], marks: "_Marks") -> Message:
        written: Message = {
            "role": message.role,
            "content": self._content(message, marks),
        }
        if message.tool_calls:
            calls = [_call(call) for call in message.tool_calls]
            written["tool_calls"] = self._quoted(calls, marks)
        if message.tool_call_id is not None:
            written["tool_call_id"] = _short(message.tool_call_id)
            written["name"] = names.get(message.tool_call_id, message.name)
        return written

    def _content(self, message: ChatMessage, marks: "_Marks") -> str:
        parts = (message.content,) if isinstance(message.content, str) else message.content
        texts: list[str] = []
        for part in parts:
            if isinstance(part, ImagePart):
                texts.append(marks.put_picture(part.url))
            else:
                text = part if isinstance(part, str) else part.text
                texts.append(str(self._quoted(text, marks)))
        return "\n".join(texts)

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

    Attributes:
        pictures: the rows of all pictures that were put.
    """

    def __init__(self, looks: Looks | None = None) -> None:
        self._looks = looks or {}
        self.pictures: dict[int, Any] = {}
        self._nonce = secrets.token_hex(8)
        self._values: list[str | tuple[int, ...]] = []

    def put(self, value: str | tuple[int, ...]) -> str:
        """A mark that stands for a quoted text or for token ids."""
        self._values.append(value)
        return f"[{self._nonce}:{len(self._values) - 1}]"

    def put_picture(self, url: str) -> str:
        """A mark that stands for a picture's tokens, or for words in its place."""
        look = self._looks.get(url, _NO_PICTURE)
        if isinstance(look, str):
            return self.put(look)
        self.pictures.update(look.rows)
        return self.put(look.ids)

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
    except (ValueError, RecursionError):
        arguments = call.arguments
    function = {"name": call.name, "arguments": arguments}
    return {"id": _short(call.id), "type": "function", "function": function}


def _short(call_id: str) -> str:
    """An id as templates want it that show ids: nine letters and digits."""
    return sha256(call_id.encode("utf-8", "replace")).hexdigest()[:9]


def _map_strings(value: JsonValue, change: Callable[[str], str]) -> JsonValue:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_map_strings(item, change) for item in value]
    if isinstance(value, dict):
        return {change(key): _map_strings(item, change) for key, item in value.items()}
    return value
