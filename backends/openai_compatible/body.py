"""Writing a request's body as `/v1/chat/completions` wants it.

Nothing is fetched: a picture is a data URL already, or a file of this host that is read and made one; any other is
replaced by words that say that it cannot be seen. Our sessions and priorities are not passed on.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...engine.chat import ChatMessage, ChatRequest, ImagePart, TextPart, ToolCall, ToolSchema
from ...engine.errors import InvalidRequest

_LARGEST_SEED = 2**31 - 1  # some servers hold seeds in 32 bits, signed or not
_NO_PARAMETERS: dict[str, Any] = {"type": "object", "properties": {}}
_UNSEEN = "[An image that this model cannot see.]"
_ELSEWHERE = "[An image that lies at another address; nothing is fetched from there.]"
_UNREADABLE = (
    "[An image that cannot be shown: it is no PNG, JPEG, GIF or WebP file, or it is too large.]"
)


@dataclass(frozen=True, slots=True)
class Writing:
    """How one endpoint wants its requests.

    Attributes:
        model: the model's name there.
        vision: whether pictures are sent.
        obeys_choice: whether the server knows `tool_choice`; to one that does not, tools that must not be called are
            not shown.
        temperature_at_one, extra_body, max_image_bytes: as in the settings.
    """

    model: str
    vision: bool = False
    obeys_choice: bool = True
    temperature_at_one: float = 1.0
    extra_body: Mapping[str, Any] | None = None
    max_image_bytes: int = 20 << 20


def request_body(request: ChatRequest, writing: Writing) -> dict[str, Any]:
    """The whole body of a streamed turn. Reads pictures: call it on a worker thread if there may be any.

    Raises:
        InvalidRequest: the forced tool is not among the tools.
    """
    body = dict(writing.extra_body or {})
    body |= prompt_body(request, writing)
    body |= {
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": request.temperature * writing.temperature_at_one,
        "top_p": request.top_p,
    }
    if request.seed is not None:
        body["seed"] = request.seed % _LARGEST_SEED
    if request.max_tokens is not None:
        body["max_tokens"] = request.max_tokens
    if request.stop:
        body["stop"] = list(request.stop)
    if request.response_format:
        body["response_format"] = request.response_format
    return body


def prompt_body(request: ChatRequest, writing: Writing) -> dict[str, Any]:
    """The part of the body that makes the prompt: what counting needs, too."""
    body: dict[str, Any] = {
        "model": writing.model,
        "messages": [_message(message, writing) for message in request.messages],
    }
    tools = _offered(request)
    if tools and (writing.obeys_choice or _mode(request) != "none"):
        body["tools"] = [_tool(tool) for tool in tools]
        body["tool_choice"] = _mode(request)
        body["parallel_tool_calls"] = request.parallel_tool_calls and not request.forced_tool
    return body


def _mode(request: ChatRequest) -> str:
    return "required" if request.forced_tool else request.tool_choice


def _offered(request: ChatRequest) -> Sequence[ToolSchema]:
    """The tools to show. A forced tool is shown alone: not every server takes the name of a tool as the choice."""
    if not request.forced_tool:
        return request.tools
    forced = [tool for tool in request.tools if tool.name == request.forced_tool]
    if not forced:
        raise InvalidRequest(
            f"tool_choice names '{request.forced_tool}', which is not among the tools.",
            param="tool_choice",
        )
    return forced


def _tool(tool: ToolSchema) -> dict[str, Any]:
    function: dict[str, Any] = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters or _NO_PARAMETERS,
    }
    if tool.strict:
        function["strict"] = True
    return {"type": "function", "function": function}


def _message(message: ChatMessage, writing: Writing) -> dict[str, Any]:
    written: dict[str, Any] = {"role": message.role, "content": _content(message, writing)}
    if message.tool_calls:
        written["tool_calls"] = [_call(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        written["tool_call_id"] = message.tool_call_id
    if message.name is not None:
        written["name"] = message.name
    return written


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": _arguments(call.arguments)}
    return {"id": call.id, "type": "function", "function": function}


def _arguments(text: str) -> str:
    """Arguments as a JSON object: templates take it apart, and some servers fail on a call that was cut off."""
    try:
        if isinstance(json.loads(text), dict):
            return text
    except (ValueError, RecursionError):
        pass
    return json.dumps({"unreadable": text}, ensure_ascii=False)


def _content(message: ChatMessage, writing: Writing) -> str | list[dict[str, Any]]:
    if isinstance(message.content, str):
        return message.content
    parts = [_part(part, writing) for part in message.content]
    if any(part["type"] != "text" for part in parts):
        return parts
    return "\n".join(part["text"] for part in parts)


def _part(part: TextPart | ImagePart, writing: Writing) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    url, instead = _picture(part.url, writing)
    if url is None:
        return {"type": "text", "text": instead}
    return {"type": "image_url", "image_url": {"url": url}}


def _picture(url: str, writing: Writing) -> tuple[str | None, str]:
    """A data URL, or None and what to say in the picture's place."""
    if not writing.vision:
        return None, _UNSEEN
    scheme = url[:11].lower()
    if scheme == "data:image/":
        fits = len(url) <= writing.max_image_bytes * 4 // 3 + 100
        return (url, "") if fits else (None, _UNREADABLE)
    if scheme.startswith(("http:", "https:", "data:")):
        return None, _ELSEWHERE
    read = _read_picture(Path(url), writing.max_image_bytes)
    return read, "" if read else _UNREADABLE


def _read_picture(path: Path, limit: int) -> str | None:
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError:
        return None
    kind = _kind(data)
    if kind is None or len(data) > limit:
        return None
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _kind(data: bytes) -> str | None:
    """What the first bytes say; names are not to be trusted, and nothing but pictures leaves this host this way."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return None
