"""Tool resources: what bodies ask for becomes ids on assistants, threads and runs.

The `vector_stores` helper makes a store; an attachment brings its file into the thread's store (made on first need,
expiring seven days after its last use) or the thread's code interpreter files. All inside the caller's transaction.
"""

from collections.abc import Sequence

from ..core import Core
from ..errors import InvalidRequest
from ..expiry import find_store
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
from ..requests import CreateStoreFile, ToolResourceIds, ToolResourcesBody
from ..requests.tools import MAX_CODE_FILES
from ..states import STORE_FILE, VECTOR_STORE, StoreFileStatus, StoreStatus
from ..tally import Change, account
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
        param = "tool_resources.code_interpreter.file_ids"
        require_files(tx, code.file_ids, param, core.now())
    store_ids = list(search.vector_store_ids) if search is not None else []
    for store_id in store_ids:
        if tx.get(VectorStore, store_id) is None:
            raise InvalidRequest(
                f"No vector store found with id '{store_id}'.",
                param="tool_resources.file_search.vector_store_ids",
            )
    for seed in getattr(search, "vector_stores", ()):
        param = "tool_resources.file_search.vector_stores[0].file_ids"
        require_files(tx, seed.file_ids, param, core.now())
        store = make_store(tx, core, metadata=seed.metadata, days=days)
        add_files(tx, core, store.id, seed.entries())
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
    tx: Transaction, core: Core, store_id: str, entries: Sequence[CreateStoreFile]
) -> list[VectorStoreFile]:
    """Put files into a store, to be indexed; of a file named twice the last entry counts.

    A file that is there stays, with new attributes if any are given. It is indexed anew when that failed or was
    cancelled, or when other chunks are asked for.
    """
    added: list[VectorStoreFile] = []
    changes: list[Change] = []
    for entry in {entry.file_id: entry for entry in entries}.values():
        known = tx.get(VectorStoreFile, f"{store_id}/{entry.file_id}")
        item = _store_file(core, store_id, entry, known)
        if item != known:
            tx.put(item)
            changes.append(Change(known, item))
        added.append(item)
    account(tx, store_id, changes, core.now(), used=True)
    return added


def _store_file(
    core: Core, store_id: str, entry: CreateStoreFile, known: VectorStoreFile | None
) -> VectorStoreFile:
    chunking = entry.chunking_strategy
    static = chunking.resolved() if chunking is not None else None
    new = VectorStoreFile(
        id=entry.file_id,
        created_at=core.now(),
        vector_store_id=store_id,
        status=StoreFileStatus(STORE_FILE.initial),
        chunking_strategy=ChunkingStrategy(static=static or StaticChunking()),
        attributes=entry.attributes,
    )
    if known is None:
        return new
    broken = known.status in (StoreFileStatus.FAILED, StoreFileStatus.CANCELLED)
    other = chunking is not None and new.chunking_strategy != known.chunking_strategy
    attributes = entry.attributes or known.attributes
    return (new if broken or other else known).model_copy(update={"attributes": attributes})


def attach(
    tx: Transaction, core: Core, thread: Thread, attachments: Sequence[Attachment]
) -> Thread:
    """Bring a message's attachments into the thread's resources (contract, 4.3).

    Raises:
        InvalidRequest: a file does not exist, the code interpreter's list is full, or the thread's store has expired.
    """
    if not attachments:
        return thread
    require_files(tx, [a.file_id for a in attachments], "attachments", core.now())
    resources = thread.tool_resources
    if for_code := _attached(attachments, "code_interpreter"):
        ids = tuple(dict.fromkeys([*resources.file_ids, *for_code]))
        if len(ids) > MAX_CODE_FILES:
            raise InvalidRequest(
                f"Thread {thread.id} has room for {MAX_CODE_FILES} files of the code interpreter, and this would make "
                f"{len(ids)}. Take some out of its tool_resources first.",
                code="array_above_max_length",
                param="attachments",
            )
        resources = resources.model_copy(update={"code_interpreter": FileIds(file_ids=ids)})
    if for_search := _attached(attachments, "file_search"):
        store_id = _store_of_thread(tx, core, resources)
        found = VectorStoreIds(vector_store_ids=(store_id,))
        resources = resources.model_copy(update={"file_search": found})
        add_files(tx, core, store_id, [CreateStoreFile(file_id=id_) for id_ in for_search])
    if resources == thread.tool_resources:
        return thread
    thread = thread.model_copy(update={"tool_resources": resources})
    tx.put(thread)
    return thread


def _attached(attachments: Sequence[Attachment], tool: str) -> list[str]:
    """Ids of the files that come with this tool."""
    return [a.file_id for a in attachments if any(wanted.type == tool for wanted in a.tools)]


def _store_of_thread(tx: Transaction, core: Core, resources: ToolResources) -> str:
    """The thread's vector store, made on first need, and anew where it was deleted.

    Raises:
        InvalidRequest: it has expired.
    """
    for store_id in resources.vector_store_ids:
        store = find_store(tx, store_id, core.now())
        if store is not None:
            refuse_expired(store)
            return store_id
    return make_store(tx, core, days=THREAD_STORE_DAYS).id


def refuse_expired(store: VectorStore) -> None:
    """What an expired store is asked for in vain.

    Raises:
        InvalidRequest: this one has expired.
    """
    if store.status is StoreStatus.EXPIRED:
        raise InvalidRequest(f"Vector store '{store.id}' has expired")
