"""Assistants, threads and messages as a client may send them."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import BeforeValidator, Field, TypeAdapter

from .. import objects
from .base import (
    Body,
    Instructions,
    Metadata,
    ReasoningEffort,
    Temperature,
    TopP,
    choose,
    problem,
    rule,
    without_nulls,
    wrong_type,
)
from .tools import ResponseFormat, ToolResourceIds, ToolResourcesBody, Tools

Name = Annotated[str, Field(max_length=256)]
Description = Annotated[str, Field(max_length=512)]


class CreateAssistant(Body):
    """POST /assistants."""

    model: str
    name: Name | None = None
    description: Description | None = None
    instructions: Instructions | None = None
    reasoning_effort: ReasoningEffort | None = None
    tools: Tools = ()
    tool_resources: ToolResourcesBody | None = None
    metadata: Metadata = Field(default_factory=dict)
    temperature: Temperature | None = None
    top_p: TopP | None = None
    response_format: ResponseFormat | None = None


class ModifyAssistant(Body):
    """POST /assistants/{id}. What is not in `model_fields_set` stays as it is; None in it means clear."""

    clearable: ClassVar[frozenset[str]] = frozenset(
        {
            "name",
            "description",
            "instructions",
            "reasoning_effort",
            "temperature",
            "top_p",
            "response_format",
        }
    )

    model: str | None = None
    name: Name | None = None
    description: Description | None = None
    instructions: Instructions | None = None
    reasoning_effort: ReasoningEffort | None = None
    tools: Tools | None = None
    tool_resources: ToolResourceIds | None = None
    metadata: Metadata | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    response_format: ResponseFormat | None = None


# --- messages --------------------------------------------------------------------------------------

Text = Annotated[str, Field(max_length=256_000)]
MOST_MESSAGES = 1000
"""In one request: they are stored in one transaction, and nobody else can write meanwhile."""
_MOST_PARTS = 500
_MOST_ATTACHMENTS = 500
_MOST_CHARACTERS = 1_024_000  # of all parts of a message


class _TextPart(Body):
    type: Literal["text"]
    text: Text

    def stored(self) -> objects.Content:
        return text_content(self.text)


class _ImageFile(Body):
    file_id: str
    detail: Literal["auto", "low", "high"] | None = None


class _ImageFilePart(Body):
    type: Literal["image_file"]
    image_file: _ImageFile

    def stored(self) -> objects.Content:
        return objects.ImageFileContent(
            image_file=objects.ImageFile(**self.image_file.model_dump())
        )


class _ImageUrl(Body):
    url: Text
    detail: Literal["auto", "low", "high"] | None = None


class _ImageUrlPart(Body):
    type: Literal["image_url"]
    image_url: _ImageUrl

    def stored(self) -> objects.Content:
        return objects.ImageUrlContent(image_url=objects.ImageUrl(**self.image_url.model_dump()))


_PARTS: Mapping[str, type[Body]] = {
    "text": _TextPart,
    "image_file": _ImageFilePart,
    "image_url": _ImageUrlPart,
}


def text_content(value: str) -> objects.TextContent:
    """Plain text in the stored form."""
    return objects.TextContent(text=objects.TextValue(value=value))


def _part(value: Any) -> objects.Content:
    if isinstance(value, objects.TextContent):
        return text_content(value.text.value)
    return cast(_TextPart | _ImageFilePart | _ImageUrlPart, choose(value, _PARTS)).stored()


_Part = Annotated[_TextPart | _ImageFilePart | _ImageUrlPart, Field(discriminator="type")]
ContentPart = Annotated[objects.Content, BeforeValidator(_part, json_schema_input_type=_Part)]

_CONTENT: TypeAdapter[tuple[objects.Content, ...]] = TypeAdapter(
    Annotated[tuple[ContentPart, ...], Field(min_length=1, max_length=_MOST_PARTS)]
)


def _content(value: Any) -> Any:
    if isinstance(value, str):
        if len(value) > 256_000:
            raise problem("string_too_long", (), value, max_length=256_000)
        return value
    if not isinstance(value, list | tuple):
        raise wrong_type("a string or an array of content parts")
    parts = _CONTENT.validate_python(value)
    characters = sum(map(_characters, parts))
    if characters > _MOST_CHARACTERS:
        raise rule(
            f"Invalid 'content': its parts come to {characters} characters. A message has {_MOST_CHARACTERS} at most."
        )
    return parts


def _characters(part: objects.Content) -> int:
    """What a part keeps in the message itself; an uploaded image is kept elsewhere."""
    if isinstance(part, objects.TextContent):
        return len(part.text.value)
    return len(part.image_url.url) if isinstance(part, objects.ImageUrlContent) else 0


class CreateMessage(Body):
    """POST /threads/{id}/messages, and messages inside other bodies."""

    role: Literal["user", "assistant"]
    content: Annotated[
        str | tuple[objects.Content, ...],
        BeforeValidator(
            _content,
            json_schema_input_type=Text
            | Annotated[list[_Part], Field(min_length=1, max_length=_MOST_PARTS)],
        ),
    ]
    attachments: Annotated[
        tuple[Annotated[objects.Attachment, BeforeValidator(without_nulls)], ...],
        Field(max_length=_MOST_ATTACHMENTS),
    ] = ()
    metadata: Metadata = Field(default_factory=dict)

    def parts(self) -> tuple[objects.Content, ...]:
        """The content in stored form; a plain string is one text part."""
        return (text_content(self.content),) if isinstance(self.content, str) else self.content


class ModifyMetadata(Body):
    """POST /threads/{id}/messages/{id} and /threads/{id}/runs/{id}."""

    metadata: Metadata | None = None


# --- threads ---------------------------------------------------------------------------------------


Messages = Annotated[tuple[CreateMessage, ...], Field(max_length=MOST_MESSAGES)]


class CreateThread(Body):
    """POST /threads, and the thread inside create-and-run."""

    max_bytes: ClassVar[int | None] = None  # its messages are objects of their own

    messages: Messages = ()
    tool_resources: ToolResourcesBody | None = None
    metadata: Metadata = Field(default_factory=dict)


class ModifyThread(Body):
    """POST /threads/{id}. What is None stays as it is."""

    tool_resources: ToolResourceIds | None = None
    metadata: Metadata | None = None
