"""What is kept of each turn of a model when it is over, beside the journal: times, tokens, a digest of its prompt.

The digest tells whether two prompts are the same; it holds none of their words. Ids of calls and places of pictures
differ between runs that are the same otherwise, so they do not count.
"""

import hashlib
import json
from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

from .chat import ChatMessage, ChatRequest, ImagePart

_DIGITS = 16  # of a digest


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class CallRecord(_Record):
    """A call of the model's. `began` in Unix seconds; without a time when the engine did not carry it out."""

    id: str
    name: str
    began: float | None = None
    seconds: float | None = None
    failed: bool = False


class TurnRecord(_Record):
    """A turn of a model.

    Attributes:
        number: from 1 within the run.
        model: the configured model's name.
        began: Unix seconds.
        first: seconds from there to the first fragment; None when none came.
        seconds: how long the model took.
        reason: why it stopped; None when the turn was broken off.
        error: what broke it off.
        prompt_messages: how many messages it was given, and `prompt_digest` what tells them from others.
        prompt_tokens: as the backend counted them, `cached_tokens` of them not evaluated again.
        completion_tokens: the same for what it wrote.
        message_id: the message that it wrote; None when it wrote none.
        step_ids: the steps that carried its calls.
        calls: in the order of the steps, then calls of tools that do not exist.
    """

    number: int
    model: str
    began: float
    first: float | None = None
    seconds: float = 0.0
    reason: str | None = None
    error: str | None = None
    prompt_messages: int = 0
    prompt_digest: str = ""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    message_id: str | None = None
    step_ids: tuple[str, ...] = ()
    calls: tuple[CallRecord, ...] = ()


def digest(request: ChatRequest) -> str:
    """Sixteen hexadecimal digits that tell what a model is given: messages, tools, settings of the turn."""
    whole = hashlib.sha256()
    for part in _parts(request):
        whole.update(json.dumps(part, ensure_ascii=True).encode() + b"\n")
    return whole.hexdigest()[:_DIGITS]


def _parts(request: ChatRequest) -> Iterable[object]:
    yield from (_said(message) for message in request.messages)
    for tool in request.tools:
        yield [tool.name, tool.description, tool.parameters, tool.strict]
    yield [request.tool_choice, request.forced_tool, request.parallel_tool_calls]
    yield [request.temperature, request.top_p, request.seed, request.stop, request.response_format]


def _said(message: ChatMessage) -> list[object]:
    pictures = 0
    if not isinstance(message.content, str):
        pictures = sum(isinstance(part, ImagePart) for part in message.content)
    calls = [[call.name, call.arguments] for call in message.tool_calls]
    return [message.role, message.name, message.text, pictures, calls]
