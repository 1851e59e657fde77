"""Finds objects or says, in the API's words, that they are not there."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from ..core import Core
from ..errors import InvalidRequest, NotFound
from ..expiry import find_file, find_store
from ..objects import (
    Assistant,
    File,
    FileBatch,
    Message,
    Page,
    Run,
    RunStep,
    Thread,
    UploadRecord,
    VectorStore,
    VectorStoreFile,
    Wire,
)
from ..ports import PageQuery, Transaction

ObjectT = TypeVar("ObjectT", bound=Wire)

_NAMED = 20  # ids that an error message spells out

_NOUNS: dict[type[Wire], str] = {
    Assistant: "assistant",
    Thread: "thread",
    Message: "message",
    Run: "run",
    RunStep: "run step",
    VectorStore: "vector store",
    FileBatch: "file batch",
    UploadRecord: "upload",
}


def must(tx: Transaction, kind: type[ObjectT], key: str, **parents: str) -> ObjectT:
    """The object with this id, below these parents.

    Raises:
        NotFound: there is none, or it belongs to another parent.
    """
    found = tx.get(kind, key)
    if found is None or any(getattr(found, name) != value for name, value in parents.items()):
        raise missing(kind, key)
    return found


def missing(kind: type[Wire], key: str) -> NotFound:
    """The API's answer to an id that names nothing (contract, 5.3)."""
    if kind is File:
        return NotFound(f"No such File object: {key}", param="id")
    if kind is VectorStoreFile:
        store_id, _, file_id = key.partition("/")
        return NotFound(f"No file found with id '{file_id}' in vector store '{store_id}'.")
    return NotFound(f"No {_NOUNS[kind]} found with id '{key}'.")


def must_find_file(tx: Transaction, file_id: str, now: int) -> File:
    """The file with this id.

    Raises:
        NotFound: there is none, or its time has come.
    """
    found = find_file(tx, file_id, now)
    if found is None:
        raise missing(File, file_id)
    return found


def must_find_store(tx: Transaction, store_id: str, now: int) -> VectorStore:
    """The vector store with this id, as it is at `now`.

    Raises:
        NotFound: there is none.
    """
    found = find_store(tx, store_id, now)
    if found is None:
        raise missing(VectorStore, store_id)
    return found


def require_files(tx: Transaction, file_ids: Iterable[str], param: str, now: int) -> None:
    """Every file named in a body has to exist.

    Raises:
        InvalidRequest: names those that do not.
    """
    unknown = [id_ for id_ in dict.fromkeys(file_ids) if find_file(tx, id_, now) is None]
    if unknown:
        named = ", ".join(id_[:100] for id_ in unknown[:_NAMED])
        more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
        raise InvalidRequest(f"No file found with id(s): {named}{more}.", param=param)


async def list_page(
    core: Core,
    kind: type[ObjectT],
    query: PageQuery,
    *,
    where: Mapping[str, str],
    before_reading: Callable[[Transaction], object] | None = None,
    shown: Callable[[ObjectT], ObjectT] = lambda item: item,
) -> Page:
    """One page of a list; `where` as in PageQuery, `before_reading` may check the parents, `shown` change the items."""
    narrowed = replace(query, where=where)

    def read(tx: Transaction) -> tuple[list[ObjectT], bool]:
        if before_reading is not None:
            before_reading(tx)
        return tx.page(kind, narrowed)

    items, more = await core.store.read(read)
    ids = [str(getattr(item, "id")) for item in items]  # noqa: B009 - every listed kind has an id
    return Page(
        data=tuple(shown(item) for item in items),
        first_id=ids[0] if ids else None,
        last_id=ids[-1] if ids else None,
        has_more=more,
    )
