"""Tools as assistants and runs carry them, and the resources they work on."""

from typing import Annotated, Any, Literal

from pydantic import Field

from .base import Sparse, Wire


class RankingOptions(Wire):
    ranker: str = "default_2024_08_21"
    score_threshold: float = 0.0
    hybrid_search: dict[str, float] | None = None


class FileSearchSettings(Sparse):
    max_num_results: int | None = None
    ranking_options: RankingOptions = RankingOptions()


class FunctionDefinition(Sparse):
    name: str
    description: str | None = None
    parameters: dict[str, Any] = Field(default_factory=lambda: {"type": "object", "properties": {}})
    strict: bool = False


class CodeInterpreterTool(Wire):
    type: Literal["code_interpreter"] = "code_interpreter"


class FileSearchTool(Wire):
    type: Literal["file_search"] = "file_search"
    file_search: FileSearchSettings = FileSearchSettings()


class FunctionTool(Wire):
    type: Literal["function"] = "function"
    function: FunctionDefinition


ToolSpec = Annotated[
    CodeInterpreterTool | FileSearchTool | FunctionTool, Field(discriminator="type")
]


class FileIds(Wire):
    file_ids: tuple[str, ...] = ()


class VectorStoreIds(Wire):
    vector_store_ids: tuple[str, ...] = ()


class ToolResources(Sparse):
    """Files for the code interpreter and vector stores for file search; `{}` on the wire when empty."""

    code_interpreter: FileIds | None = None
    file_search: VectorStoreIds | None = None

    @property
    def file_ids(self) -> tuple[str, ...]:
        return self.code_interpreter.file_ids if self.code_interpreter else ()

    @property
    def vector_store_ids(self) -> tuple[str, ...]:
        return self.file_search.vector_store_ids if self.file_search else ()


ResponseFormat = Literal["auto"] | dict[str, Any]
ToolChoice = Literal["none", "auto", "required"] | dict[str, Any]


class TruncationStrategy(Wire):
    type: Literal["auto", "last_messages"] = "auto"
    last_messages: int | None = None
