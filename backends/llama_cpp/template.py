"""The GGUF's own chat template: messages to prompt text.

Templates differ in what they know. At load each is tried on small conversations; what it cannot express (tools, tool
answers, a system message) is said in plain words in messages that it can. Runs in Jinja's sandbox: the template
comes out of a downloaded file. There is no date for templates to print: prompts must begin alike today and tomorrow.
"""

import json
from collections.abc import Sequence
from typing import Any

from ...engine.errors import BackendFault, MissingDependency
from .dialects import PROBE_TOOL, dialect_of

Message = dict[str, Any]

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
        self.knows_system = self._shows("probe rule", [_system("probe rule"), _USER])
        tools = [_PROBE_TOOL]
        self.knows_tools = self._shows(PROBE_TOOL, [_USER], tools) and self._shows(
            "probe answer", _ANSWERED, tools
        )
        call = self._render(_ANSWERED, tools) if self.knows_tools else ""
        self.dialect = dialect_of(call, repaired)

    def render(self, messages: Sequence[Message], tools: Sequence[dict[str, Any]] = ()) -> str:
        """The prompt up to where the model's answer begins.

        Raises:
            BackendFault: the template refuses these messages.
        """
        prepared = list(messages)
        if not self.knows_tools:
            prepared, tools = _without_tools(prepared, tools), ()
        if not self.knows_system:
            prepared = _without_system(prepared)
        return self._render(prepared, tools)

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


def describe_tools(tools: Sequence[dict[str, Any]]) -> str:
    """Tools and how to call them, for a system message."""
    listed = "\n".join(json.dumps(tool["function"], ensure_ascii=False) for tool in tools)
    return (
        f"You can call these functions:\n{listed}\n"
        "To call one, answer with nothing but a JSON object: "
        '{"name": "the function", "arguments": {its arguments}}'
    )


def _without_tools(messages: list[Message], tools: Sequence[dict[str, Any]]) -> list[Message]:
    """The same conversation for a template that knows neither tools nor their answers."""
    plain = [_plain(message) for message in messages]
    if not tools:
        return _merged(plain)
    has_system = bool(plain) and plain[0]["role"] == "system"
    rules = plain[0]["content"] + "\n\n" if has_system else ""
    return _merged([_system(rules + describe_tools(tools)), *plain[1 if has_system else 0 :]])


def _plain(message: Message) -> Message:
    if message["role"] == "tool":
        name = message.get("name") or "the function"
        return {"role": "user", "content": f"Result of {name}:\n{message['content']}"}
    calls = [call["function"] for call in message.get("tool_calls") or ()]
    written = [json.dumps(call, ensure_ascii=False) for call in calls]
    text = "\n".join(part for part in (message["content"], *written) if part)
    return {"role": message["role"], "content": text}


def _merged(messages: list[Message]) -> list[Message]:
    """Neighbours of one role as one message: several templates insist that roles alternate."""
    merged: list[Message] = []
    for message in messages:
        if merged and merged[-1]["role"] == message["role"] != "system":
            merged[-1] = {**message, "content": merged[-1]["content"] + "\n\n" + message["content"]}
        else:
            merged.append(message)
    return merged


def _without_system(messages: list[Message]) -> list[Message]:
    """System messages said by the user."""
    as_user = [{**each, "role": "user"} if each["role"] == "system" else each for each in messages]
    return _merged(as_user)


def _system(text: str) -> Message:
    return {"role": "system", "content": text}


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
