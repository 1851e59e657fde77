"""What a host and its model process say to each other, as JSON and back.

To the process: `open`, `ask` (for a turn), `credit`, `cancel`, `count`, `forget`, `close`. To the host: `progress`,
`ready`, `fragment`, `done`, `fault`, `pulse`. Everything that comes from the process is checked for its type; what does
not fit is a WireError.
"""

import json
from collections.abc import Sequence
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from ....engine import errors
from ....engine.chat import (
    Capabilities,
    ChatRequest,
    Delta,
    Finish,
    TextDelta,
    ToolCallDelta,
    UsageDelta,
)
from ....engine.errors import AssistantsError, BackendFault, InvalidRequest
from ..settings import LlamaSettings
from ..turn import Fragment
from .wire import MOST_TO_WORKER, Message, MiB, WireError, framed

_MOST_WORDS = 4000  # characters of an error's message
_REQUEST = TypeAdapter(ChatRequest)
_SETTINGS = TypeAdapter(LlamaSettings)
_CAPABILITIES = TypeAdapter(Capabilities)
_ERRORS = {
    kind.__name__: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, AssistantsError)
}
_ENDS = {"stop", "length", "tool_calls"}

T = TypeVar("T")

# --- to the process --------------------------------------------------------------------------------


def written(request: ChatRequest) -> bytes:
    """A request as JSON. Takes a while when there are pictures in it: not for the event loop.

    Raises:
        InvalidRequest: it is too large to be handed over.
    """
    text = json.dumps(_REQUEST.dump_python(request, mode="json"), separators=(",", ":"))
    if len(text) > MOST_TO_WORKER - MiB:
        raise InvalidRequest(
            f"The conversation with its pictures is larger than {MOST_TO_WORKER // MiB - 1} MiB."
        )
    return text.encode("ascii")


def with_request(message: Message, request: bytes) -> bytes:
    """The frame of a message that carries a request which is written already."""
    head = json.dumps(message, separators=(",", ":")).encode("ascii")
    return framed(head[:-1] + b',"request":' + request + b"}")


def request_of(message: Message) -> ChatRequest:
    """The request that came with a message."""
    return _REQUEST.validate_python(message["request"])


def settings_written(settings: LlamaSettings) -> Any:
    """Settings as JSON."""
    return _SETTINGS.dump_python(settings, mode="json")


def settings_of(message: Message) -> LlamaSettings:
    """The settings that came with a message."""
    return _SETTINGS.validate_python(message["settings"])


# --- to the host -----------------------------------------------------------------------------------


def fragment_written(turn: int, fragment: Fragment) -> Message:
    """What a step of a turn came to."""
    deltas = [_delta_written(delta) for delta in fragment.deltas]
    return {"kind": "fragment", "key": turn, "tokens": fragment.tokens, "deltas": deltas}


def fragment_of(message: Message) -> Fragment:
    """The fragment of a message.

    Raises:
        WireError: it is malformed.
    """
    deltas = [_delta_of(delta) for delta in listed(message, "deltas")]
    tokens = tuple(listed(message, "tokens"))
    if not all(type(token) is int for token in tokens):
        raise WireError("it sent tokens that are no numbers")
    return Fragment(tuple(deltas), tokens)


def fault_written(key: int | None, error: AssistantsError) -> Message:
    """An error, of the errand `key` or of the process as a whole."""
    return {
        "kind": "fault",
        "key": key,
        "class": type(error).__name__,
        "message": error.message[:_MOST_WORDS],
        "param": error.param,
        "code": error.code,
        "detail": error.detail[:_MOST_WORDS],
        "passing": error.passing,
    }


def fault_of(message: Message) -> AssistantsError:
    """The error of a message, of the same class; BackendFault where there is no such class.

    Raises:
        WireError: it is malformed.
    """
    kind = _ERRORS.get(typed(message, "class", str), BackendFault)
    param, code = message.get("param"), message.get("code")
    if not (isinstance(param, str | None) and isinstance(code, str | None)):
        raise WireError("it sent a malformed error")
    return kind(
        typed(message, "message", str)[:_MOST_WORDS],
        param=param,
        code=code,
        detail=str(message.get("detail", ""))[:_MOST_WORDS],
        passing=message.get("passing") is True,
    )


def capabilities_written(capabilities: Capabilities) -> Any:
    """Capabilities as JSON."""
    return _CAPABILITIES.dump_python(capabilities, mode="json")


def capabilities_of(message: Message) -> Capabilities:
    """The capabilities that came with a message.

    Raises:
        WireError: they are malformed.
    """
    try:
        return _CAPABILITIES.validate_python(message.get("capabilities"))
    except ValidationError as error:
        raise WireError("it sent malformed capabilities") from error


# --- parts -----------------------------------------------------------------------------------------


def typed(message: Message, name: str, kind: type[T]) -> T:
    """A value of exactly this type.

    Raises:
        WireError: it is another, or not there.
    """
    value = message.get(name)
    if type(value) is not kind:
        raise WireError(f"it sent no proper {name!r}")
    return value


def listed(message: Message, name: str) -> Sequence[Any]:
    """A list of anything.

    Raises:
        WireError: it is something else.
    """
    return cast("Sequence[Any]", typed(message, name, list))


def _delta_written(delta: Delta) -> list[Any]:
    match delta:
        case TextDelta(text):
            return [text]
        case ToolCallDelta(index, name, arguments):
            return [index, name, arguments]
        case UsageDelta(prompt, completion, cached):
            return ["usage", prompt, completion, cached]
        case Finish(reason):
            return ["finish", reason]


def _delta_of(parts: Any) -> Delta:
    match parts:
        case [str(text)]:
            return TextDelta(text)
        case [int(index), str() | None as name, str(arguments)]:
            return ToolCallDelta(index, name, arguments)
        case ["usage", int(prompt), int(completion), int(cached)]:
            return UsageDelta(prompt, completion, cached)
        case ["finish", str(reason)] if reason in _ENDS:
            return Finish(cast("Any", reason))
        case _:
            raise WireError("it sent a malformed delta")
