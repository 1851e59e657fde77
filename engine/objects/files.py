"""Files, uploads with their parts, vector stores with their files and batches, models."""

from typing import Literal

from pydantic import Field

from ..states import BatchStatus, StoreFileStatus, StoreStatus, UploadStatus
from .base import Wire
from .runs import LastError


class File(Wire):
    object: Literal["file"] = "file"
    id: str
    purpose: str
    filename: str
    bytes: int
    created_at: int
    expires_at: int | None = None
    status: Literal["uploaded", "processed", "error"] = "processed"
    status_details: str | None = None


class Upload(Wire):
    id: str
    object: Literal["upload"] = "upload"
    bytes: int
    created_at: int
    filename: str
    purpose: str
    status: UploadStatus
    expires_at: int
    file: File | None = None


class UploadRecord(Upload):
    """An upload as it is kept: what clients are not shown stands here, too.

    `lifetime`: seconds its file will live; `parts` and `received`: how many parts and bytes have come.
    """

    mime_type: str
    lifetime: int | None = None
    parts: int = 0
    received: int = 0

    def public(self) -> Upload:
        """What clients see."""
        return Upload(**{name: getattr(self, name) for name in Upload.model_fields})


class UploadPart(Wire):
    id: str
    object: Literal["upload.part"] = "upload.part"
    created_at: int
    upload_id: str


class UploadPartRecord(UploadPart):
    """A part as it is kept; its bytes lie in the blob store under its id. `size` in bytes."""

    size: int

    def public(self) -> UploadPart:
        """What clients see."""
        return UploadPart(**{name: getattr(self, name) for name in UploadPart.model_fields})


class FileCounts(Wire):
    in_progress: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    total: int = 0


class ExpiresAfter(Wire):
    anchor: Literal["last_active_at"] = "last_active_at"
    days: int


class VectorStore(Wire):
    id: str
    object: Literal["vector_store"] = "vector_store"
    created_at: int
    name: str | None = None
    description: str | None = None
    usage_bytes: int = 0
    file_counts: FileCounts = FileCounts()
    status: StoreStatus
    expires_after: ExpiresAfter | None = None
    expires_at: int | None = None
    last_active_at: int | None = None
    metadata: dict[str, str] = Field(default_factory=dict)


class StaticChunking(Wire):
    max_chunk_size_tokens: int = 800
    chunk_overlap_tokens: int = 400


class ChunkingStrategy(Wire):
    """As the API reports it: `auto` reads as static 800/400."""

    type: Literal["static"] = "static"
    static: StaticChunking = StaticChunking()


class VectorStoreFile(Wire):
    id: str  # the file's own id
    object: Literal["vector_store.file"] = "vector_store.file"
    usage_bytes: int = 0
    created_at: int
    vector_store_id: str
    status: StoreFileStatus
    last_error: LastError | None = None
    chunking_strategy: ChunkingStrategy = ChunkingStrategy()
    attributes: dict[str, str | int | float | bool] = Field(default_factory=dict)


class FileBatch(Wire):
    id: str
    object: Literal["vector_store.files_batch"] = "vector_store.files_batch"
    created_at: int
    status: BatchStatus
    vector_store_id: str
    file_counts: FileCounts = FileCounts()


class Model(Wire):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
