"""What the core needs from the outside world, as protocols. Adapters live in the other rooms.

Structural: a user's class needs no base class of ours. All coroutines may be cancelled at any await.
`tests/contract` runs one suite per port over every adapter.
"""

from .library import (
    Chunk,
    HybridWeights,
    Indexed,
    Library,
    Opened,
    Passage,
    SearchQuery,
    VectorIndex,
)
from .retrieval import Retriever
from .storage import (
    BlobStore,
    CodeSession,
    Lease,
    PageQuery,
    Store,
    Transaction,
    TranscriptEntry,
)
from .texts import Extract, StoragePeriod, Texts
from .work import (
    Backend,
    Citation,
    Clock,
    Emit,
    HasKernels,
    Ids,
    Kernels,
    MadeFile,
    Models,
    ModelStatus,
    SaveFile,
    SessionStarted,
    Tool,
    ToolFile,
    ToolResult,
    ToolSession,
)

__all__ = [
    "Backend",
    "BlobStore",
    "Chunk",
    "Citation",
    "Clock",
    "CodeSession",
    "Emit",
    "Extract",
    "HasKernels",
    "HybridWeights",
    "Ids",
    "Indexed",
    "Kernels",
    "Lease",
    "Library",
    "MadeFile",
    "ModelStatus",
    "Models",
    "Opened",
    "PageQuery",
    "Passage",
    "Retriever",
    "SaveFile",
    "SearchQuery",
    "SessionStarted",
    "StoragePeriod",
    "Store",
    "Texts",
    "Tool",
    "ToolFile",
    "ToolResult",
    "ToolSession",
    "Transaction",
    "TranscriptEntry",
    "VectorIndex",
]
