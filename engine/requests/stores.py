"""Vector stores, their files, batches and searches as a client may send them."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, Union

from pydantic import BeforeValidator, Field, TypeAdapter, model_validator

from ..ports import HybridWeights
from ..sentences import is_blank
from .base import (
    Attributes,
    Body,
    Flag,
    Integer,
    Metadata,
    Number,
    Unit,
    as_array,
    choose,
    finite,
    problem,
    rule,
    wrong_type,
)
from .chunking import ChunkingBody


class ExpiresAfterBody(Body):
    """Days after the last use."""

    anchor: Literal["last_active_at"]
    days: Annotated[Integer, Field(ge=1, le=365)]


class CreateStoreFile(Body):
    """POST /vector_stores/{id}/files, and one entry of a batch."""

    file_id: str
    chunking_strategy: ChunkingBody | None = None
    attributes: Attributes = Field(default_factory=dict)


def store_files(
    file_ids: Iterable[str], chunking: ChunkingBody | None, attributes: Attributes | None = None
) -> tuple[CreateStoreFile, ...]:
    """One entry per file, all alike."""
    shared: dict[str, Any] = {"chunking_strategy": chunking, "attributes": attributes or {}}
    return tuple(CreateStoreFile.model_construct(file_id=id_, **shared) for id_ in file_ids)


class CreateVectorStore(Body):
    """POST /vector_stores. The chunking strategy applies to `file_ids`."""

    file_ids: Annotated[tuple[str, ...], Field(max_length=500)] = ()
    name: str | None = None
    description: str | None = None
    expires_after: ExpiresAfterBody | None = None
    chunking_strategy: ChunkingBody | None = None
    metadata: Metadata = Field(default_factory=dict)

    def entries(self) -> tuple[CreateStoreFile, ...]:
        """One entry per file."""
        return store_files(self.file_ids, self.chunking_strategy)


class ModifyVectorStore(Body):
    """POST /vector_stores/{id}. What is not in `model_fields_set` stays; None in it means clear."""

    clearable: ClassVar[frozenset[str]] = frozenset({"name", "expires_after"})

    name: str | None = None
    expires_after: ExpiresAfterBody | None = None
    metadata: Metadata | None = None


class ModifyStoreFile(Body):
    """POST /vector_stores/{id}/files/{id}. The key must be there; null means no attributes."""

    clearable: ClassVar[frozenset[str]] = frozenset({"attributes"})

    attributes: Attributes | None


class CreateBatch(Body):
    """POST /vector_stores/{id}/file_batches: exactly one of `file_ids` and `files`."""

    max_bytes: ClassVar[int | None] = None  # its files are objects of their own

    file_ids: Annotated[tuple[str, ...], Field(min_length=1, max_length=2000)] | None = None
    files: Annotated[tuple[CreateStoreFile, ...], Field(min_length=1, max_length=2000)] | None = (
        None
    )
    chunking_strategy: ChunkingBody | None = None
    attributes: Attributes = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_of_the_two(self) -> "CreateBatch":
        if self.file_ids is None and self.files is None:
            raise problem("missing", ("file_ids",), None)
        if self.file_ids is not None and self.files is not None:
            message = "Only one of 'file_ids' and 'files' may be given."
            raise problem(rule(message), ("files",), None)
        return self

    def entries(self) -> tuple[CreateStoreFile, ...]:
        """One entry per file; the batch's own attributes and chunking apply to `file_ids` only."""
        if self.files is not None:
            return self.files
        return store_files(self.file_ids or (), self.chunking_strategy, self.attributes)


# --- search ----------------------------------------------------------------------------------------


_Scalar = str | int | float | bool


def _scalar(value: Any) -> Any:
    if not isinstance(value, str | int | float | bool):
        raise wrong_type("a string, number or boolean")
    return finite(value)


def _list_of_scalars(value: Any) -> Any:
    items = as_array(value)
    if items is None:
        raise wrong_type("an array")
    for index, item in enumerate(items):
        if not isinstance(item, str | int | float | bool):
            raise problem(wrong_type("a string, number or boolean"), (index,), item)
    return finite(list(items))


class _Comparison(Body):
    type: Literal["eq", "ne", "gt", "gte", "lt", "lte"]
    key: str
    value: Annotated[Any, BeforeValidator(_scalar, json_schema_input_type=_Scalar)]


class _Membership(Body):
    type: Literal["in", "nin"]
    key: str
    value: Annotated[Any, BeforeValidator(_list_of_scalars, json_schema_input_type=list[_Scalar])]


class _Compound(Body):
    type: Literal["and", "or"]
    filters: Annotated[
        tuple[
            Annotated[
                dict[str, Any],
                BeforeValidator(
                    lambda value: search_filter(value),
                    json_schema_input_type=Union["_Comparison", "_Membership", "_Compound"],
                ),
            ],
            ...,
        ],
        Field(min_length=1),
    ]


_FILTERS: Mapping[str, type[Body]] = {
    **dict.fromkeys(("eq", "ne", "gt", "gte", "lt", "lte"), _Comparison),
    **dict.fromkeys(("in", "nin"), _Membership),
    **dict.fromkeys(("and", "or"), _Compound),
}


def search_filter(value: Any) -> dict[str, Any]:
    """A comparison or compound filter, checked, as a plain dict (contract, 1.12)."""
    return choose(value, _FILTERS).model_dump(mode="json")


class HybridBody(Body):
    """Weights of meaning and words in reciprocal rank fusion."""

    embedding_weight: Annotated[Number, Field(ge=0)]
    text_weight: Annotated[Number, Field(ge=0)]

    @model_validator(mode="after")
    def _one_counts(self) -> "HybridBody":
        if not self.embedding_weight and not self.text_weight:
            message = "One of 'embedding_weight' and 'text_weight' has to be greater than 0."
            raise problem(rule(message), ("text_weight",), self.text_weight)
        return self

    def weights(self) -> HybridWeights:
        """As the library takes them."""
        return HybridWeights(self.embedding_weight, self.text_weight)


Ranker = Literal["none", "auto", "default-2024-11-15", "default_2024_08_21"]


class RankingBody(Body):
    """`score_threshold` cuts off worse results; scores are 0..1."""

    ranker: Ranker = "auto"
    score_threshold: Unit = 0.0
    hybrid_search: HybridBody | None = None


MOST_QUERIES = 100
"""Queries of one search: each is embedded and ranked by itself."""

_SeveralQueries = Field(min_length=1, max_length=MOST_QUERIES)
_QUERIES: TypeAdapter[tuple[str, ...]] = TypeAdapter(Annotated[tuple[str, ...], _SeveralQueries])


def _query(value: Any) -> Any:
    if isinstance(value, str):
        _check_query("query", (), value)
        return value
    if not isinstance(value, list | tuple):
        raise wrong_type("a string or an array of strings")
    queries = _QUERIES.validate_python(value)
    for index, query in enumerate(queries):
        _check_query(f"query[{index}]", (index,), query)
    return queries


def _check_query(name: str, loc: tuple[int, ...], query: str) -> None:
    if is_blank(query):  # everything would be as near to it as anything else
        raise problem(rule(f"Invalid '{name}': there is nothing to look for in it."), loc, query)


class SearchStore(Body):
    """POST /vector_stores/{id}/search."""

    query: Annotated[
        str | tuple[str, ...],
        BeforeValidator(_query, json_schema_input_type=str | Annotated[list[str], _SeveralQueries]),
    ]
    rewrite_query: Flag = False
    max_num_results: Annotated[Integer, Field(ge=1, le=50)] = 10
    filters: (
        Annotated[
            dict[str, Any],
            BeforeValidator(
                search_filter, json_schema_input_type=_Comparison | _Membership | _Compound
            ),
        ]
        | None
    ) = None
    ranking_options: RankingBody = RankingBody()

    @property
    def queries(self) -> tuple[str, ...]:
        """The query or queries, always as a tuple."""
        return (self.query,) if isinstance(self.query, str) else self.query
