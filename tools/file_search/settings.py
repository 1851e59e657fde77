"""How a library works: limits, parallel work, the weights of its two ways of searching."""

from dataclasses import dataclass, field
from typing import ClassVar

from .embedding.batches import BATCH
from .parsing.limits import ParseLimits


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How the worker process is run and watched; it parses, cuts and embeds files.

    Attributes:
        threads: that the embedding model computes on; beside a language model more make it slower.
        batch: texts that the model reads at once; a query may have to wait for one batch.
        niceness: how far it steps back behind the server when there is not enough processor for both.
        idle_seconds: without a call, then the process is ended and its memory free; the next call starts it again.
        patience: seconds that it may do nothing while something is wanted of it; then it is killed.
    """

    BOUNDS: ClassVar[dict[str, tuple[float, float]]] = {
        "threads": (1, 256),
        "batch": (1, 256),
        "niceness": (0, 19),
        "idle_seconds": (1, float("inf")),
        "patience": (1, float("inf")),
    }

    threads: int = 1
    batch: int = BATCH
    niceness: int = 5
    idle_seconds: float = 900.0
    patience: float = 300.0


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """How the vectors of a vector store are searched.

    Attributes:
        server: address of a Chroma server (`http://127.0.0.1:8000`) that indexes large stores; None: a folder of the
            data folder does.
        exact_vectors: stores of so many vectors or fewer are searched exactly, in memory; larger ones by Chroma.
        collection_from: vectors from which a store has a collection in Chroma; at most one more than `exact_vectors`.
        cache_bytes: vectors kept in memory for exact search.
        quiet_seconds: without a removal, before a collection that was erased for one is filled again.
    """

    BOUNDS: ClassVar[dict[str, tuple[float, float]]] = {"collection_from": (1, float("inf"))}

    server: str | None = None
    exact_vectors: int = 10_000
    collection_from: int = 5_000
    cache_bytes: int = 256 << 20
    quiet_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class LibrarySettings:
    """How a library works.

    Attributes:
        model: the embedding model, a GGUF or a model folder, by path or name; None: the catalogue's.
        query_prompt: what the model wants in front of a query; None: what its folder says.
        passage_prompt: what it wants in front of a passage; None: what its folder says.
        worker: how the worker process is run.
        index: how vectors are kept for searching.
        limits: what parsing a file may take.
        adds: files parsed and embedded at the same time.
        candidates: how many hits of each way of searching are fused.
        dense_weight: share of the vectors' say in the fusion, 0..1; the keywords have the rest.
        file_weight: say of a chunk's whole file (its name and its beginning) beside the chunk's own, which is 1.
        reranker: a cross-encoder's model folder, by path, that reads the best passages once more; None: none does.
    """

    BOUNDS: ClassVar[dict[str, tuple[float, float]]] = {
        "adds": (1, 64),
        "candidates": (1, 1000),
        "dense_weight": (0, 1),
        "file_weight": (0, 10),
    }

    model: str | None = None
    query_prompt: str | None = None
    passage_prompt: str | None = None
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    index: IndexSettings = field(default_factory=IndexSettings)
    limits: ParseLimits = field(default_factory=ParseLimits)
    adds: int = 2
    candidates: int = 100
    dense_weight: float = 0.5
    file_weight: float = 0.3
    reranker: str | None = None
