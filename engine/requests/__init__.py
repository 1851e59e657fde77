"""The bodies a client may send, checked against the contract's limits.

Frozen; unknown keys are refused; null means "not given" (in Modify* bodies null of a nullable field means
"clear", see `Body.clearable`). What passed here is well-formed, no more: whether ids exist and statuses allow it is
for the services. Stored objects are in `objects`; texts of errors are made where errors leave the process.
"""

from .base import Body
from .chunking import ChunkingBody, StaticChunkingBody
from .runs import (
    CreateRun,
    CreateThreadAndRun,
    RunSettings,
    SubmitOutputs,
    ToolOutput,
    TruncationBody,
)
from .stores import (
    CreateBatch,
    CreateStoreFile,
    CreateVectorStore,
    ExpiresAfterBody,
    ModifyStoreFile,
    ModifyVectorStore,
    RankingBody,
    SearchStore,
)
from .threads import (
    CreateAssistant,
    CreateMessage,
    CreateThread,
    ModifyAssistant,
    ModifyMetadata,
    ModifyThread,
)
from .tools import (
    FileIds,
    FileSearchResources,
    ToolResourceIds,
    ToolResourcesBody,
    VectorStoreSeed,
)
from .uploads import CompleteUpload, CreateUpload, FileExpiryBody

__all__ = [
    "Body",
    "ChunkingBody",
    "CompleteUpload",
    "CreateAssistant",
    "CreateBatch",
    "CreateMessage",
    "CreateRun",
    "CreateStoreFile",
    "CreateThread",
    "CreateThreadAndRun",
    "CreateUpload",
    "CreateVectorStore",
    "ExpiresAfterBody",
    "FileExpiryBody",
    "FileIds",
    "FileSearchResources",
    "ModifyAssistant",
    "ModifyMetadata",
    "ModifyStoreFile",
    "ModifyThread",
    "ModifyVectorStore",
    "RankingBody",
    "RunSettings",
    "SearchStore",
    "StaticChunkingBody",
    "SubmitOutputs",
    "ToolOutput",
    "ToolResourceIds",
    "ToolResourcesBody",
    "TruncationBody",
    "VectorStoreSeed",
]
