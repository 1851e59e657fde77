"""The GGUF's own chat template: messages to prompt text.

Templates differ in what they know. At load each is tried on small conversations; what it cannot express (tools, tool
answers, a system message) is said in plain words in messages that it can. Runs in Jinja's sandbox: the template
comes out of a downloaded file. There is no date for templates to print: prompts must begin alike today and tomorrow.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...engine.errors import BackendFault, MissingDependency
from .dialects import PROBE_TOOL, dialect_of
from .plain_words import (
    Message,
    one_call_at_a_time,
    system_message,
    without_system,
    without_tools,
)

_CHATML = """\
{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
# A conversion that went round has these braces doubled, and models imitate what they are shown.
_DOUBLED = '{{\\"name\\": <function-name>, \\"arguments\\": <args-json-object>}}'
_PROBE_TOOL = {
    "type": "function",
    "function": {"name": PROBE_TOOL, "description": "", "parameters": {"type": "object"}},
}
_PROBE_CALL = {
    "id": "probe0001",
    "type": "function",
    "function": {"name": PROBE_TOOL, "arguments": {"a": 1}},
}
_USER: Message = {"role": "user", "content": "probe question"}
_ANSWERED: list[Message] = [
    _USER,
    {"role": "assistant", "content": "", "tool_calls": [_PROBE_CALL]},
    {"role": "tool", "content": "probe answer", "tool_call_id": "probe0001", "name": PROBE_TOOL},
]


_PROBE_WORDS = "probe words"
_WORDS: Message = {"role": "assistant", "content": _PROBE_WORDS}
_THANKS: Message = {"role": "user", "content": "probe thanks"}
_SECOND = {**_PROBE_CALL, "id": "probe0002"}
_TWICE: list[Message] = [
    _USER,
    {"role": "assistant", "content": "", "tool_calls": [_PROBE_CALL, _SECOND]},
    _ANSWERED[-1],
    {**_ANSWERED[-1], "tool_call_id": "probe0002"},
]


@dataclass(frozen=True, slots=True)
class _Frame:
    """What a template puts around what the model said and the model did not say."""

    before: str = ""
    after: str = ""
    is_call: bool = False

    def removed(self, text: str, mark: str) -> str:
        """The text with the mark alone."""
        return text.replace(f"{self.before}{mark}{self.after}", mark)


class ChatTemplate:
    """A template and what was found out about it.

    Raises:
        BackendFault: it cannot render even a single question.
    """

    def __init__(self, source: str | None, *, bos: str, eos: str) -> None:
        repaired = (source or _CHATML).replace(_DOUBLED, _DOUBLED[1:-1])
        self._template = _compile(repaired)
        self._tokens = {"bos_token": bos, "eos_token": eos}
        if not self._shows("probe question", [_USER]):
            raise BackendFault("The chat template of this model renders no user message.")
        self.knows_system = self._puts_rules_first()
        tools = [_PROBE_TOOL]
        self.knows_tools = self._shows(PROBE_TOOL, [_USER], tools) and self._shows(
            "probe answer", _ANSWERED, tools
        )
        call = self._render(_ANSWERED, tools) if self.knows_tools else ""
        self.dialect = dialect_of(call, repaired)
        self._one_call = self.knows_tools and not self._shows("probe answer", _TWICE, tools)
        self._words = self._frame([_WORDS, _THANKS], _PROBE_WORDS)
        self._calls = self._calls_as_words()

    @property
    def quotes_calls(self) -> bool:
        """Whether an answer with calls can be put in as it was said (`said` below)."""
        return self._calls is not None

    def render(self, messages: Sequence[Message], tools: Sequence[dict[str, Any]] = ()) -> str:
        """The prompt up to where the model's answer begins.

        A message of the assistant's may have `said` in place of `content`: a mark for what it said to the letter, calls
        included; `calls` tells whether there were any.

        Raises:
            BackendFault: the template refuses these messages.
        """
        said = [message["said"] for message in messages if "said" in message]
        prepared = [self._quoted(message) if "said" in message else message for message in messages]
        if not self.knows_tools:
            prepared, tools = without_tools(prepared, tools, self.dialect.key), ()
        elif self._one_call:
            prepared = one_call_at_a_time(prepared)
        if not self.knows_system:
            prepared = without_system(prepared)
        text = self._render(prepared, tools)
        for mark in said:
            for frame in (self._calls, self._words):
                text = frame.removed(text, mark) if frame is not None else text
        return text

    def _puts_rules_first(self) -> bool:
        """Whether a system message stays at the start. Some templates move it along with the last question."""
        rules = system_message("probe rule")
        talk = [rules, _USER, _WORDS, _THANKS]
        if not self._shows("probe rule", [rules, _USER]) or not self._shows("probe rule", talk):
            return False
        before, _, _ = self._render(talk, ()).partition("probe rule")
        return "probe question" not in before

    def _quoted(self, message: Message) -> Message:
        """A message that the template writes with the mark in it."""
        frame = self._calls if message["calls"] else self._words
        if frame is None or not frame.is_call:
            return {"role": "assistant", "content": message["said"]}
        function: Message = {"name": message["said"], "arguments": {}}
        call: Message = {**_PROBE_CALL, "function": function}
        return {"role": "assistant", "content": "", "tool_calls": [call]}

    def _calls_as_words(self) -> "_Frame | None":
        """How calls are put in as they were said: as words, or in the place of a call where templates insist on one."""
        told = [_USER, _WORDS, *_ANSWERED[-1:], _WORDS, _THANKS]
        if not self.knows_tools or self._shows(_PROBE_WORDS, told, [_PROBE_TOOL]):
            return self._words or _Frame()
        function: Message = {"name": PROBE_TOOL, "arguments": {}}
        call: Message = {**_PROBE_CALL, "function": function}
        answer: Message = {"role": "assistant", "content": "", "tool_calls": [call]}
        frame = self._frame([answer, _ANSWERED[-1], _WORDS, _THANKS], PROBE_TOOL)
        return _Frame(frame.before, frame.after, is_call=True) if frame else None

    def _frame(self, told: list[Message], shown: str) -> "_Frame | None":
        """What the template writes around a part of an answer, between the prompt and the end of the answer.

        `told`: what follows the question, the answer first.
        """
        try:
            prompt = self._render([_USER], ())
            text = self._render([_USER, *told], ())
        except BackendFault:
            return None
        before, found, after = text.removeprefix(prompt).partition(shown)
        end = after.find(self._tokens["eos_token"]) if self._tokens["eos_token"] else -1
        if not text.startswith(prompt) or not found:
            return None
        return _Frame(before, after[: max(end, 0)])

    def _render(self, messages: Sequence[Message], tools: Sequence[dict[str, Any]]) -> str:
        try:
            return str(
                self._template.render(
                    messages=messages,
                    tools=list(tools) or None,
                    add_generation_prompt=True,
                    **self._tokens,
                )
            )
        except Exception as error:  # whatever a template's own code can raise
            raise BackendFault(
                f"The model's chat template refuses this conversation: {error}"
            ) from error

    def _shows(self, text: str, messages: list[Message], tools: Sequence[Any] = ()) -> bool:
        try:
            return text in self._render(messages, tools)
        except BackendFault:
            return False


def _compile(source: str) -> Any:
    try:
        from jinja2 import TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ImportError as error:
        raise MissingDependency("Chat templates need Jinja: pip install jinja2.") from error
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _refuse  # pyright: ignore[reportArgumentType]
    try:
        return environment.from_string(source)
    except TemplateError as error:
        raise BackendFault(f"The chat template of this model is broken: {error}") from error


def _tojson(value: Any, indent: int | None = None, **_options: Any) -> str:
    """JSON as models were trained on it: no HTML escapes."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _refuse(message: str) -> None:
    raise ValueError(message)
