"""Builds the prompt of a turn from what the thread holds.

Prompts are append-only: the system message comes first and depends on nothing that changes from turn to turn, then
the transcript in order. So a backend can go on from the tokens it has already evaluated. When the prompt does not
fit, whole units (a message with the tool calls that led to it) are dropped from the middle, never parts of one.

Knows chat messages, the transcript and the briefs that tools give for files; knows no SQL and moves no status.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from .chat import ChatMessage, ChatRequest, ImagePart, TextPart, ToolCall
from .objects import Attachment, ImageFileContent, ImageUrlContent, Message, TextContent
from .ports import Backend, TranscriptEntry

FileBrief = Callable[[Sequence[Attachment]], Awaitable[str]]
"""What the prompt should say of a message's attachments ("" if nothing)."""

ImageSource = Callable[[str], str | None]
"""File id -> where a backend finds the picture on this host, None when it is gone."""

ANSWER_RESERVE = (
    512  # tokens of the context window kept for the answer when no budget says otherwise
)


@dataclass(frozen=True, slots=True)
class Unit:
    """What is kept or dropped as one: the chat messages of one entry run, and how many API messages it holds."""

    messages: tuple[ChatMessage, ...]
    api_messages: int


@dataclass(frozen=True, slots=True)
class Rendering:
    """How API messages become chat messages in this run."""

    brief: FileBrief
    image: ImageSource
    vision: bool = False
    messages: Mapping[str, Message] = field(default_factory=dict[str, Message])


async def units_of(entries: Sequence[TranscriptEntry], rendering: Rendering) -> list[Unit]:
    """The transcript as units, oldest first.

    Calls that were never answered get a note in place of their output; outputs whose call is gone go with it.
    """
    answered = {
        e.body.tool_call_id for e in entries if e.body is not None and e.body.role == "tool"
    }
    called: set[str] = set()
    units: list[Unit] = []
    pending: list[ChatMessage] = []
    count = 0
    for entry in entries:
        message = rendering.messages.get(entry.message_id) if entry.message_id else None
        if entry.message_id and message is None:
            continue  # deleted by its owner: the model forgets it too
        if entry.body is not None:
            if entry.body.role == "tool" and entry.body.tool_call_id not in called:
                continue  # the call was part of a message that was deleted
            called |= {call.id for call in entry.body.tool_calls}
            pending.append(entry.body)
            pending += [
                _unanswered(call) for call in entry.body.tool_calls if call.id not in answered
            ]
        elif message is not None:
            pending.append(await _render(message, rendering))
        count += 1 if message is not None else 0
        if message is not None and not (entry.body and entry.body.tool_calls):
            units.append(Unit(tuple(pending), count))
            pending, count = [], 0
    if (
        pending
    ):  # a turn still at work: what it has said so far is not one of the thread's messages yet
        units.append(Unit(tuple(pending), 0))
    return units


def _unanswered(call: ToolCall) -> ChatMessage:
    note = "No output: the run ended before this call was answered."
    return ChatMessage(role="tool", content=note, tool_call_id=call.id, name=call.name)


async def _render(message: Message, rendering: Rendering) -> ChatMessage:
    """An API message as the model reads it: text, pictures if it can see, a brief of the attached files."""
    text: list[str] = []
    pictures: list[ImagePart] = []
    for part in message.content:
        if isinstance(part, TextContent):
            text.append(part.text.value)
        elif isinstance(part, ImageFileContent | ImageUrlContent):
            url = (
                rendering.image(part.image_file.file_id)
                if isinstance(part, ImageFileContent)
                else part.image_url.url
            )
            if rendering.vision and url:
                pictures.append(ImagePart(url=url))
            else:
                text.append("[An image that this model cannot see.]")
    brief = await rendering.brief(message.attachments) if message.attachments else ""
    body = "\n\n".join(text)
    if not brief and not pictures:
        return ChatMessage(role=message.role, content=body)
    # The brief comes first and apart, so that the question itself stays the last thing said.
    about = (TextPart(text=brief),) if brief else ()
    return ChatMessage(role=message.role, content=(*pictures, *about, TextPart(text=body)))


def last_messages(units: Sequence[Unit], count: int) -> list[Unit]:
    """The newest units that hold `count` API messages; what the running turn has added is always kept."""
    kept: list[Unit] = []
    left = count
    for unit in reversed(units):
        if unit.api_messages and left <= 0:
            break
        kept.append(unit)
        left -= unit.api_messages
    return kept[::-1]


async def fit(
    request: ChatRequest, units: Sequence[Unit], backend: Backend, limit: int
) -> tuple[ChatRequest, int]:
    """`request` with as many units as `limit` prompt tokens allow, and how many tokens it takes.

    The system message and the newest question always stay; the rest is dropped oldest first after the thread's first
    message, a quarter at a time, so that a long thread does not lose its cached prefix at every turn. The result may
    still be over the limit: the caller decides what that means.
    """
    # while a run works, its own calls are the newest unit and the question it answers is the one before
    kept = 2 if units and not units[-1].api_messages else 1
    older, newest = list(units[:-kept]), list(units[-kept:])
    head, middle = older[:1], older[1:]
    while True:
        messages = [m for unit in [*head, *middle, *newest] for m in unit.messages]
        candidate = replace(request, messages=(*request.messages, *messages))
        tokens = await backend.count_tokens(candidate)
        if tokens <= limit or not older:
            return candidate, tokens
        if middle:
            middle = middle[max(1, len(middle) // 4) :]
        else:
            head = older = []
