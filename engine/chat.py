"""What the core and a model backend say to each other: chat messages, tool schemas, deltas.

A backend sees nothing else: no thread, no run, no object of the API. All types are frozen; messages are pydantic
models because they are stored (the transcript), requests and deltas are plain dataclasses because they are not.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ToolCall(_Frozen):
    """A call as the model made it; `arguments` is JSON text, unchecked."""

    id: str
    name: str
    arguments: str


class ImagePart(_Frozen):
    """A picture in a user message: a file on this host or a data URL; never fetched from a network."""

    type: Literal["image"] = "image"
    url: str


class TextPart(_Frozen):
    """A stretch of text in a user message."""

    type: Literal["text"] = "text"
    text: str


class ChatMessage(_Frozen):
    """One message of the prompt.

    role `assistant` may carry tool_calls; role `tool` answers the call named by tool_call_id.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str | tuple[TextPart | ImagePart, ...] = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None

    @property
    def text(self) -> str:
        """The text parts joined."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content if isinstance(part, TextPart))


@dataclass(frozen=True, slots=True)
class ToolSchema:
    """A tool as the model sees it.

    `code_argument` names the string argument that holds source code, if any: a backend whose model writes code
    better in a fenced block than inside JSON may accept the block as that argument.
    """

    name: str
    description: str
    parameters: dict[str, Any]
    strict: bool = False
    code_argument: str | None = None


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One model turn.

    `session` is an opaque key: requests with the same key are likely to share a prefix, and what a backend keeps for
    it is erased by `Backend.forget`. Of requests that wait, those of the higher `priority` are taken first.
    """

    messages: tuple[ChatMessage, ...]
    tools: tuple[ToolSchema, ...] = ()
    tool_choice: Literal["none", "auto", "required"] = "auto"
    forced_tool: str | None = None  # overrides tool_choice: exactly this tool
    parallel_tool_calls: bool = True
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    response_format: dict[str, Any] | None = (
        None  # {"type": "json_object"} or {"type": "json_schema", ...}
    )
    session: str | None = None
    priority: int = 0


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A fragment of what the model says."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A fragment of call number `index` of this turn. The first fragment of an index carries its name."""

    index: int
    name: str | None = None
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class UsageDelta:
    """Token counts of the whole turn; sent once, before Finish. `cached` prompt tokens were not evaluated again."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Finish:
    """The turn's last delta. `length`: max_tokens or the context window ended it, a call may be cut off."""

    reason: Literal["stop", "length", "tool_calls"]


Delta = TextDelta | ToolCallDelta | UsageDelta | Finish


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend's model can do. The context builder budgets with it."""

    context_window: int  # tokens, prompt and answer together
    tools: bool = True
    vision: bool = False
    prefill_rate: float | None = None  # prompt tokens per second, None when unknown
    forced_calls: bool = False  # a forced tool is called whatever the model would rather write
    extra: dict[str, Any] = field(
        default_factory=dict[str, Any]
    )  # what a backend likes to tell, for people
