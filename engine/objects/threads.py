"""Assistants, threads, messages and their annotations."""

from typing import Annotated, Literal

from pydantic import Field

from ..states import MessageStatus, RunStatus
from .base import Sparse, Wire
from .tools import ResponseFormat, ToolResources, ToolSpec


class Assistant(Wire):
    id: str
    object: Literal["assistant"] = "assistant"
    created_at: int
    name: str | None = None
    description: str | None = None
    model: str
    instructions: str | None = None
    tools: tuple[ToolSpec, ...] = ()
    top_p: float | None = 1.0
    temperature: float | None = 1.0
    reasoning_effort: str | None = None
    tool_resources: ToolResources = ToolResources()
    metadata: dict[str, str] = Field(default_factory=dict)
    response_format: ResponseFormat = "auto"


class Thread(Wire):
    id: str
    object: Literal["thread"] = "thread"
    created_at: int
    metadata: dict[str, str] = Field(default_factory=dict)
    tool_resources: ToolResources = ToolResources()


class ThreadSummary(Thread):
    """A thread in the list of all threads, which is ours: how much is in it and what is going on."""

    message_count: int
    last_activity_at: int  # of its newest message or run
    active_run_id: str | None = None
    active_run_status: RunStatus | None = None


class FileCitation(Sparse):
    """`quote` is the passage cited; `page` (1-based, ours, left out when the file has no pages)."""

    file_id: str
    quote: str | None = None
    page: int | None = None


class FilePath(Wire):
    file_id: str


class Annotation(Sparse):
    """A citation or a file link. Offsets count code points of the text value: value[start:end] == text."""

    index: int | None = None  # only inside deltas
    type: Literal["file_citation", "file_path"]
    text: str
    start_index: int
    end_index: int
    file_citation: FileCitation | None = None
    file_path: FilePath | None = None


class TextValue(Wire):
    value: str
    annotations: tuple[Annotation, ...] = ()


class TextContent(Wire):
    type: Literal["text"] = "text"
    text: TextValue


class ImageFile(Sparse):
    file_id: str
    detail: Literal["auto", "low", "high"] | None = None


class ImageFileContent(Wire):
    type: Literal["image_file"] = "image_file"
    image_file: ImageFile


class ImageUrl(Sparse):
    url: str
    detail: Literal["auto", "low", "high"] | None = None


class ImageUrlContent(Wire):
    type: Literal["image_url"] = "image_url"
    image_url: ImageUrl


class RefusalContent(Wire):
    type: Literal["refusal"] = "refusal"
    refusal: str


Content = Annotated[
    TextContent | ImageFileContent | ImageUrlContent | RefusalContent, Field(discriminator="type")
]


class AttachmentTool(Wire):
    type: Literal["code_interpreter", "file_search"]


class Attachment(Wire):
    file_id: str
    tools: tuple[AttachmentTool, ...] = ()


class Reason(Wire):
    reason: str


class Message(Wire):
    id: str
    object: Literal["thread.message"] = "thread.message"
    created_at: int
    assistant_id: str | None = None
    thread_id: str
    run_id: str | None = None
    status: MessageStatus
    incomplete_details: Reason | None = None
    incomplete_at: int | None = None
    completed_at: int | None = None
    role: Literal["user", "assistant"]
    content: tuple[Content, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    metadata: dict[str, str] = Field(default_factory=dict)

    @property
    def text(self) -> str:
        """All text parts joined, for people and prompts."""
        return "\n".join(part.text.value for part in self.content if isinstance(part, TextContent))
