"""Tools, tool choice, response format and tool resources as a client may send them.

What comes out is the stored form (`objects.ToolSpec` and so on), with everything filled in that the service fills
in: ranking options, `strict`, an empty parameters object.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field, model_validator

from .. import objects
from .base import (
    Body,
    Flag,
    Integer,
    JsonObject,
    Metadata,
    Unit,
    as_object,
    choose,
    problem,
    quoted,
    rule,
    wrong_type,
)
from .chunking import ChunkingBody
from .stores import CreateStoreFile, HybridBody, store_files

# --- tools -----------------------------------------------------------------------------------------


class _CodeInterpreter(Body):
    type: Literal["code_interpreter"]

    def stored(self) -> objects.ToolSpec:
        return objects.CodeInterpreterTool()


class _Ranking(Body):
    ranker: Literal["auto", "default_2024_08_21"] = "auto"
    score_threshold: Unit
    hybrid_search: HybridBody | None = None


class _SearchSettings(Body):
    max_num_results: Annotated[Integer, Field(ge=1, le=50)] | None = None
    ranking_options: _Ranking | None = None

    def stored(self) -> objects.FileSearchSettings:
        ranking = self.ranking_options
        hybrid = ranking.hybrid_search if ranking else None
        options = objects.RankingOptions(
            score_threshold=ranking.score_threshold if ranking else 0.0,
            hybrid_search=hybrid.model_dump() if hybrid else None,
        )
        return objects.FileSearchSettings(
            max_num_results=self.max_num_results, ranking_options=options
        )


class _FileSearch(Body):
    type: Literal["file_search"]
    file_search: _SearchSettings = _SearchSettings()

    def stored(self) -> objects.ToolSpec:
        return objects.FileSearchTool(file_search=self.file_search.stored())


FunctionName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]


class _Definition(Body):
    name: FunctionName
    description: str | None = None
    parameters: JsonObject = Field(default_factory=lambda: {"type": "object", "properties": {}})
    strict: Flag = False


class _Function(Body):
    type: Literal["function"]
    function: _Definition

    def stored(self) -> objects.ToolSpec:
        return objects.FunctionTool(
            function=objects.FunctionDefinition(**self.function.model_dump())
        )


_TOOLS: Mapping[str, type[Body]] = {
    "code_interpreter": _CodeInterpreter,
    "file_search": _FileSearch,
    "function": _Function,
}


def _tool(value: Any) -> objects.ToolSpec:
    return cast(_CodeInterpreter | _FileSearch | _Function, choose(value, _TOOLS)).stored()


_Tool = Annotated[_CodeInterpreter | _FileSearch | _Function, Field(discriminator="type")]
Tools = Annotated[
    tuple[Annotated[objects.ToolSpec, BeforeValidator(_tool, json_schema_input_type=_Tool)], ...],
    Field(max_length=128),
]
"""Up to 128 tools, in stored form."""

# --- tool choice and response format ---------------------------------------------------------------


class _Name(Body):
    name: FunctionName


class _FunctionChoice(Body):
    type: Literal["function"]
    function: _Name


class _CodeChoice(Body):
    type: Literal["code_interpreter"]


class _SearchChoice(Body):
    type: Literal["file_search"]


_CHOICES: Mapping[str, type[Body]] = {
    "function": _FunctionChoice,
    "code_interpreter": _CodeChoice,
    "file_search": _SearchChoice,
}


def _word_or_object(value: Any, words: tuple[str, ...], kinds: Mapping[str, type[Body]]) -> Any:
    """One of `words` as it is, or an object of one of `kinds` as a plain dict without nulls."""
    if isinstance(value, str):
        if value not in words:
            raise problem("literal_error", (), value, expected=quoted(words))
        return value
    if not isinstance(value, Mapping):
        raise wrong_type("a string or an object")
    return choose(value, kinds).model_dump(exclude_none=True, by_alias=True)


def _tool_choice(value: Any) -> Any:
    return _word_or_object(value, ("none", "auto", "required"), _CHOICES)


ToolChoice = Annotated[
    objects.ToolChoice,
    BeforeValidator(
        _tool_choice,
        json_schema_input_type=Literal["none", "auto", "required"]
        | _FunctionChoice
        | _CodeChoice
        | _SearchChoice,
    ),
]


class _TextFormat(Body):
    type: Literal["text"]


class _JsonFormat(Body):
    type: Literal["json_object"]


class _NamedSchema(Body):
    name: FunctionName
    description: str | None = None
    schema_: JsonObject | None = Field(default=None, alias="schema")
    strict: Flag | None = None


class _SchemaFormat(Body):
    type: Literal["json_schema"]
    json_schema: _NamedSchema


_FORMATS: Mapping[str, type[Body]] = {
    "text": _TextFormat,
    "json_object": _JsonFormat,
    "json_schema": _SchemaFormat,
}


def _response_format(value: Any) -> Any:
    return _word_or_object(value, ("auto",), _FORMATS)


ResponseFormat = Annotated[
    objects.ResponseFormat,
    BeforeValidator(
        _response_format,
        json_schema_input_type=Literal["auto"] | _TextFormat | _JsonFormat | _SchemaFormat,
    ),
]

# --- tool resources --------------------------------------------------------------------------------


MAX_CODE_FILES = 20
"""Files that one assistant, and one thread, may give the code interpreter."""


class FileIds(Body):
    """Files for the code interpreter."""

    file_ids: Annotated[tuple[str, ...], Field(max_length=MAX_CODE_FILES)] = ()


class VectorStoreSeed(Body):
    """A vector store to be made on the way, filled with these files."""

    file_ids: Annotated[tuple[str, ...], Field(max_length=10_000)] = ()
    chunking_strategy: ChunkingBody | None = None
    metadata: Metadata = Field(default_factory=dict)

    def entries(self) -> tuple[CreateStoreFile, ...]:
        """One entry per file."""
        return store_files(self.file_ids, self.chunking_strategy)


class FileSearchResources(Body):
    """At most one vector store, by its id or as a seed, not both."""

    vector_store_ids: Annotated[tuple[str, ...], Field(max_length=1)] = ()
    vector_stores: Annotated[tuple[VectorStoreSeed, ...], Field(max_length=1)] = ()

    @model_validator(mode="after")
    def _ids_or_seeds(self) -> "FileSearchResources":
        if self.vector_store_ids and self.vector_stores:
            message = "Only one of 'vector_store_ids' and 'vector_stores' may be given."
            raise problem(rule(message), ("vector_stores",), None)
        return self


class ToolResourcesBody(Body):
    """What create assistant, create thread and the thread inside create-and-run take."""

    code_interpreter: FileIds | None = None
    file_search: FileSearchResources | None = None


class ToolResourceIds(ToolResourcesBody):
    """The same without the `vector_stores` helper: for modify calls and the top level of create-and-run."""

    @model_validator(mode="before")
    @classmethod
    def _no_seeds(cls, data: Any) -> Any:
        search = as_object((as_object(data) or {}).get("file_search")) or {}
        if (seeds := search.get("vector_stores")) is not None:
            raise problem("extra_forbidden", ("file_search", "vector_stores"), seeds)
        return data
