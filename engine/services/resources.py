"""Tool resources: what bodies ask for becomes ids on assistants, threads and runs.

The `vector_stores` helper makes a store; an attachment brings its file into the thread's store (made on first need,
expiring seven days after its last use) or the thread's code interpreter files. All inside the caller's transaction.
"""

from collections.abc import Iterable, Sequence

from ..core import Core
from ..errors import InvalidRequest
from ..ingestion import recount
from ..objects import (
    Attachment,
    ChunkingStrategy,
    ExpiresAfter,
    FileIds,
    StaticChunking,
    Thread,
    ToolResources,
    VectorStore,
    VectorStoreFile,
    VectorStoreIds,
)
from ..ports import Transaction
from ..requests import ChunkingBody, ToolResourceIds, ToolResourcesBody
from ..states import STORE_FILE, VECTOR_STORE, StoreFileStatus, StoreStatus
from .lookup import require_files

THREAD_STORE_DAYS = 7


def realise(
    tx: Transaction, core: Core, body: ToolResourcesBody | ToolResourceIds | None, days: int | None
) -> ToolResources:
    """The resources a body asks for, stores of the helper made. `days`: inactivity after which such a store expires.

    Raises:
        InvalidRequest: a file or store named does not exist.
    """
    if body is None:
        return ToolResources()
    code, search = body.code_interpreter, body.file_search
    if code is not None:
        require_files(tx, code.file_ids, "tool_resources.code_interpreter.file_ids")
    store_ids = list(search.vector_store_ids) if search is not None else []
    for store_id in store_ids:
        if tx.get(VectorStore, store_id) is None:
            raise InvalidRequest(
                f"No vector store found with id '{store_id}'.",
                param="tool_resources.file_search.vector_store_ids",
            )
    for seed in getattr(search, "vector_stores", ()):
        param = "tool_resources.file_search.vector_stores[0].file_ids"
        require_files(tx, seed.file_ids, param)
        store = make_store(tx, core, metadata=seed.metadata, days=days)
        add_files(tx, core, store.id, seed.file_ids, chunking=seed.chunking_strategy)
        store_ids.append(store.id)
    return ToolResources(
        code_interpreter=None if code is None else FileIds(file_ids=tuple(code.file_ids)),
        file_search=None if search is None else VectorStoreIds(vector_store_ids=tuple(store_ids)),
    )


def merged(old: ToolResources, new: ToolResources) -> ToolResources:
    """What a modify leaves: tool keys that were sent replace theirs, the others stay."""
    return ToolResources(
        code_interpreter=new.code_interpreter or old.code_interpreter,
        file_search=new.file_search or old.file_search,
    )


def make_store(
    tx: Transaction,
    core: Core,
    *,
    name: str | None = None,
    description: str | None = None,
    metadata: dict[str, str] | None = None,
    days: int | None = None,
) -> VectorStore:
    """A new, empty vector store."""
    now = core.now()
    store = VectorStore(
        id=core.ids.new("vector_store"),
        created_at=now,
        name=name,
        description=description,
        status=StoreStatus(VECTOR_STORE.initial),
        expires_after=None if days is None else ExpiresAfter(days=days),
        expires_at=None if days is None else now + days * 86_400,
        last_active_at=now,
        metadata=metadata or {},
    )
    tx.put(store)
    return store


def add_files(
    tx: Transaction,
    core: Core,
    store_id: str,
    file_ids: Iterable[str],
    *,
    chunking: ChunkingBody | None = None,
    attributes: dict[str, str | float | bool] | None = None,
) -> list[VectorStoreFile]:
    """Put files into a store, to be indexed; a file that is there already stays as it is."""
    static = chunking.resolved() if chunking is not None else None
    added: list[VectorStoreFile] = []
    for file_id in dict.fromkeys(file_ids):
        known = tx.get(VectorStoreFile, f"{store_id}/{file_id}")
        item = known or VectorStoreFile(
            id=file_id,
            created_at=core.now(),
            vector_store_id=store_id,
            status=StoreFileStatus(STORE_FILE.initial),
            chunking_strategy=ChunkingStrategy(static=static or StaticChunking()),
            attributes=attributes or {},
        )
        if known is None:
            tx.put(item)
        added.append(item)
    recount(tx, store_id, core.now())
    return added


def attach(
    tx: Transaction, core: Core, thread: Thread, attachments: Sequence[Attachment]
) -> Thread:
    """Bring a message's attachments into the thread's resources (contract, 4.3).

    Raises:
        InvalidRequest: a file does not exist.
    """
    if not attachments:
        return thread
    require_files(tx, [a.file_id for a in attachments], "attachments")
    wanted = {
        kind: [a.file_id for a in attachments if any(tool.type == kind for tool in a.tools)]
        for kind in ("code_interpreter", "file_search")
    }
    resources = thread.tool_resources
    if wanted["code_interpreter"]:
        ids = tuple(dict.fromkeys([*resources.file_ids, *wanted["code_interpreter"]]))
        resources = resources.model_copy(update={"code_interpreter": FileIds(file_ids=ids)})
    if wanted["file_search"]:
        store_ids = resources.vector_store_ids
        if not store_ids:
            store_ids = (make_store(tx, core, days=THREAD_STORE_DAYS).id,)
            found = VectorStoreIds(vector_store_ids=store_ids)
            resources = resources.model_copy(update={"file_search": found})
        add_files(tx, core, store_ids[0], wanted["file_search"])
    if resources is thread.tool_resources:
        return thread
    thread = thread.model_copy(update={"tool_resources": resources})
    tx.put(thread)
    return thread
