"""The port of the searchable library, and the one of the vector index it may stand on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Protocol

from ..errors import InvalidRequest
from ..objects import StaticChunking
from .work import ToolFile


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of a file's text. `start` and `end` count code points in the file's parsed text."""

    id: str
    vector_store_id: str
    file_id: str
    index: int
    text: str
    start: int
    end: int
    page: int | None = None  # 1-based
    heading: str = ""  # file name and heading path, indexed with the text
    vector: bytes | None = None  # float32, little endian, L2-normalised


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk found by a search, with the name and attributes of its file. `score` is 0..1, best first."""

    chunk: Chunk
    filename: str
    score: float
    attributes: Mapping[str, str | int | float | bool] = field(
        default_factory=dict[str, str | int | float | bool]
    )


@dataclass(frozen=True, slots=True)
class Opened:
    """Where a passage stands. Offsets count code points of the file's text; `text` begins at `text_start`.

    Attributes:
        text: the page that holds the passage, or what is around it in a file without pages.
        start: where the passage begins, and `end` where it ends.
        page: 1-based; None when the file has no pages.
    """

    text: str
    text_start: int
    start: int
    end: int
    page: int | None = None


@dataclass(frozen=True, slots=True)
class HybridWeights:
    """A client's weights for meaning (vectors) and words (keywords) in reciprocal rank fusion.

    Raises:
        InvalidRequest: one is below 0 or no finite number, or both are 0.
    """

    embedding_weight: float
    text_weight: float

    def __post_init__(self) -> None:
        both = (self.embedding_weight, self.text_weight)
        if not all(isfinite(weight) and weight >= 0 for weight in both) or not any(both):
            raise InvalidRequest(
                "The weights of a hybrid search have to be finite, 0 or more, and one of them more than 0.",
                param="ranking_options.hybrid_search",
            )


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What to look for, in which stores; several queries are answered by one merged list.

    Attributes:
        vector_store_ids: the stores, each searched once.
        queries: questions or key words, one or more.
        max_results: most passages that come back.
        score_threshold: passages with a lower score are left out.
        filters: one of the contract's filter objects (1.12), over the files' attributes.
        ranker: the contract's name for the way of ranking; "none" neither fuses nor joins more than it must.
        hybrid: weights for fusing by rank; None: the library's own way.
        rewrite: whether questions may be split and shortened first, see `Library.rewritten`.
    """

    vector_store_ids: tuple[str, ...]
    queries: tuple[str, ...]
    max_results: int = 20
    score_threshold: float = 0.0
    filters: Mapping[str, Any] | None = None
    ranker: str = "auto"
    hybrid: HybridWeights | None = None
    rewrite: bool = False


@dataclass(frozen=True, slots=True)
class Indexed:
    """What indexing a file came to: number of chunks and the API's usage_bytes."""

    chunks: int
    usage_bytes: int


class Library(Protocol):
    """Files made searchable. Holds no status: the core moves those. It is a `Retriever` as well."""

    @property
    def name(self) -> str: ...

    async def add(
        self, vector_store_id: str, source: ToolFile, chunking: StaticChunking | None
    ) -> Indexed:
        """Parse, chunk, embed and store a file; repeatable (a second add replaces the first). `chunking` None: auto.

        Raises:
            UnsupportedFile: no parser for its type.
            InvalidRequest: the file cannot be parsed; the message says why.
        """
        ...

    async def remove(self, vector_store_id: str, file_id: str) -> None: ...

    async def drop(self, vector_store_id: str) -> None: ...

    async def search(self, query: SearchQuery) -> list[Passage]:
        """Best first, with scores of 0..1 that are relative to this search.

        Raises:
            InvalidRequest: the filters are none (param filters).
        """
        ...

    def rewritten(self, queries: Sequence[str]) -> tuple[str, ...]:
        """What `search` looks for in place of `queries` when the query says `rewrite`.

        Rewriting again changes nothing.
        """
        ...

    async def text(self, vector_store_id: str, file_id: str) -> str:
        """The parsed text of an indexed file ("" when it has none)."""
        ...

    async def open(self, source: str, file_id: str, start: int, end: int) -> Opened | None:
        """See `Retriever.open`; `source` is a vector store."""
        ...

    async def close(self) -> None: ...


class VectorIndex(Protocol):
    """Nearest neighbours. Keeps ids and vectors only; the text's truth is the Store."""

    async def upsert(self, collection: str, vectors: Sequence[tuple[str, bytes]]) -> None:
        """Insert or replace (id, vector); vectors as in `Chunk.vector`, all of one length."""
        ...

    async def query(
        self, collection: str, vectors: Sequence[bytes], limit: int
    ) -> list[list[tuple[str, float]]]:
        """For each vector (id, cosine similarity -1..1), best first; an unknown collection is empty."""
        ...

    async def delete(self, collection: str, ids: Sequence[str]) -> None: ...

    async def drop(self, collection: str) -> None:
        """Remove a collection and erase its vectors."""
        ...

    async def count(self, collection: str) -> int: ...

    async def names(self) -> list[str]:
        """Names of all collections."""
        ...

    async def close(self) -> None: ...
