"""Runs, their steps, tool calls and token usage."""

from typing import Annotated, Literal

from pydantic import Field

from ..states import RunStatus, StepStatus
from .base import Sparse, Wire
from .threads import FilePath, Reason
from .tools import ResponseFormat, ToolChoice, ToolResources, ToolSpec, TruncationStrategy


class Usage(Wire):
    """Token counts of a step or a run; the two detail maps keep the wire's own (uneven) names."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_token_details: dict[str, int] = Field(default_factory=lambda: {"cached_tokens": 0})
    completion_tokens_details: dict[str, int] = Field(
        default_factory=lambda: {"reasoning_tokens": 0}
    )

    @classmethod
    def of(cls, prompt: int, completion: int, cached: int = 0) -> "Usage":
        return cls(
            prompt_tokens=prompt,
            completion_tokens=completion,
            total_tokens=prompt + completion,
            prompt_token_details={"cached_tokens": cached},
        )

    def __add__(self, other: "Usage") -> "Usage":
        return Usage.of(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
        )

    @property
    def cached_tokens(self) -> int:
        return self.prompt_token_details.get("cached_tokens", 0)


class LastError(Wire):
    code: str  # server_error, rate_limit_exceeded, invalid_prompt; for store files see the contract, 2.4
    message: str


class FunctionArguments(Wire):
    name: str
    arguments: str


class RequiredCall(Wire):
    id: str
    type: Literal["function"] = "function"
    function: FunctionArguments


class SubmitToolOutputs(Wire):
    tool_calls: tuple[RequiredCall, ...]


class RequiredAction(Wire):
    type: Literal["submit_tool_outputs"] = "submit_tool_outputs"
    submit_tool_outputs: SubmitToolOutputs


class Run(Wire):
    id: str
    object: Literal["thread.run"] = "thread.run"
    created_at: int
    assistant_id: str
    thread_id: str
    status: RunStatus
    started_at: int | None = None
    expires_at: int | None = None
    cancelled_at: int | None = None
    failed_at: int | None = None
    completed_at: int | None = None
    required_action: RequiredAction | None = None
    last_error: LastError | None = None
    model: str
    instructions: str | None = None
    tools: tuple[ToolSpec, ...] = ()
    tool_resources: ToolResources = ToolResources()
    metadata: dict[str, str] = Field(default_factory=dict)
    temperature: float | None = 1.0
    top_p: float | None = 1.0
    reasoning_effort: str | None = None
    max_completion_tokens: int | None = None
    max_prompt_tokens: int | None = None
    truncation_strategy: TruncationStrategy = TruncationStrategy()
    incomplete_details: Reason | None = None
    usage: Usage | None = None
    response_format: ResponseFormat = "auto"
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool = True


class LogsOutput(Sparse):
    index: int | None = None  # only inside deltas
    type: Literal["logs"] = "logs"
    logs: str


class ImageOutput(Sparse):
    index: int | None = None
    type: Literal["image"] = "image"
    image: FilePath


CodeOutput = Annotated[LogsOutput | ImageOutput, Field(discriminator="type")]


class CodeInterpreterDetails(Wire):
    input: str
    outputs: tuple[CodeOutput, ...] = ()


class CodeInterpreterCall(Wire):
    id: str
    type: Literal["code_interpreter"] = "code_interpreter"
    code_interpreter: CodeInterpreterDetails


class SearchText(Wire):
    type: Literal["text"] = "text"
    text: str


class SearchResult(Sparse):
    """One passage found; `content` is stored always and shown only when the client asks with include[]."""

    file_id: str
    file_name: str
    score: float
    attributes: dict[str, str | int | float | bool] = Field(default_factory=dict)
    content: tuple[SearchText, ...] | None = None


class StepRanking(Wire):
    ranker: str = "default_2024_08_21"
    score_threshold: float = 0.0


class FileSearchDetails(Wire):
    ranking_options: StepRanking = StepRanking()
    results: tuple[SearchResult, ...] = ()


class FileSearchCall(Wire):
    id: str
    type: Literal["file_search"] = "file_search"
    file_search: FileSearchDetails = FileSearchDetails()


class FunctionCallDetails(Wire):
    name: str
    arguments: str
    output: str | None = None


class FunctionCall(Wire):
    id: str
    type: Literal["function"] = "function"
    function: FunctionCallDetails


StepCall = Annotated[
    CodeInterpreterCall | FileSearchCall | FunctionCall, Field(discriminator="type")
]


class MessageCreation(Wire):
    message_id: str


class MessageCreationDetails(Wire):
    type: Literal["message_creation"] = "message_creation"
    message_creation: MessageCreation


class ToolCallsDetails(Wire):
    type: Literal["tool_calls"] = "tool_calls"
    tool_calls: tuple[StepCall, ...] = ()


StepDetails = Annotated[MessageCreationDetails | ToolCallsDetails, Field(discriminator="type")]


class RunStep(Wire):
    id: str
    object: Literal["thread.run.step"] = "thread.run.step"
    created_at: int
    run_id: str
    assistant_id: str
    thread_id: str
    type: Literal["message_creation", "tool_calls"]
    status: StepStatus
    cancelled_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    expires_at: int | None = None  # the wire's name
    expired_at: int | None = None  # the spec's name
    last_error: LastError | None = None
    step_details: StepDetails
    usage: Usage | None = None
    metadata: dict[str, str] = Field(default_factory=dict)
