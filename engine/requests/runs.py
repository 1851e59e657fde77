"""Runs and tool outputs as a client may send them."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .base import (
    Body,
    Flag,
    Instructions,
    Integer,
    Metadata,
    ReasoningEffort,
    Temperature,
    TopP,
    problem,
)
from .threads import CreateThread, Messages
from .tools import ResponseFormat, ToolChoice, ToolResourceIds, Tools

TokenBudget = Annotated[Integer, Field(ge=1)]


class TruncationBody(Body):
    """How much of the thread the model is given."""

    type: Literal["auto", "last_messages"]
    last_messages: Annotated[Integer, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _last_messages_says_how_many(self) -> "TruncationBody":
        if self.type == "last_messages" and self.last_messages is None:
            raise problem("missing", ("last_messages",), None)
        return self


class RunSettings(Body):
    """What both ways to create a run take. None: the assistant's value, or the default."""

    assistant_id: str
    model: str | None = None
    instructions: Instructions | None = None
    tools: Tools | None = None
    metadata: Metadata = Field(default_factory=dict)
    temperature: Temperature | None = None
    top_p: TopP | None = None
    response_format: ResponseFormat | None = None
    stream: Flag = False
    max_prompt_tokens: TokenBudget | None = None
    max_completion_tokens: TokenBudget | None = None
    truncation_strategy: TruncationBody | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: Flag = True


class CreateRun(RunSettings):
    """POST /threads/{id}/runs."""

    reasoning_effort: ReasoningEffort | None = None
    additional_instructions: Instructions | None = None
    additional_messages: Messages = ()


class CreateThreadAndRun(RunSettings):
    """POST /threads/runs."""

    thread: CreateThread | None = None
    tool_resources: ToolResourceIds | None = None


class ToolOutput(Body):
    """What a client's function gave back."""

    tool_call_id: str
    output: str


class SubmitOutputs(Body):
    """POST /threads/{id}/runs/{id}/submit_tool_outputs."""

    tool_outputs: tuple[ToolOutput, ...]
    stream: Flag = False
