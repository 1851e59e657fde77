"""Finds objects or says, in the API's words, that they are not there."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from ..core import Core
from ..errors import InvalidRequest, NotFound
from ..objects import (
    Assistant,
    File,
    FileBatch,
    Message,
    Page,
    Run,
    RunStep,
    Thread,
    VectorStore,
    VectorStoreFile,
    Wire,
)
from ..ports import PageQuery, Transaction

ObjectT = TypeVar("ObjectT", bound=Wire)

_NOUNS: dict[type[Wire], str] = {
    Assistant: "assistant",
    Thread: "thread",
    Message: "message",
    Run: "run",
    RunStep: "run step",
    VectorStore: "vector store",
    FileBatch: "file batch",
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


def require_files(tx: Transaction, file_ids: Iterable[str], param: str) -> None:
    """Every file named in a body has to exist.

    Raises:
        InvalidRequest: names those that do not.
    """
    unknown = [file_id for file_id in file_ids if tx.get(File, file_id) is None]
    if unknown:
        raise InvalidRequest(f"No file found with id(s): {', '.join(unknown)}.", param=param)


async def list_page(
    core: Core,
    kind: type[ObjectT],
    query: PageQuery,
    *,
    where: Mapping[str, str],
    before_reading: Callable[[Transaction], object] | None = None,
) -> Page:
    """One page of a list; `where` as in PageQuery, `before_reading` may check the parents."""
    narrowed = replace(query, where=where)

    def read(tx: Transaction) -> tuple[list[ObjectT], bool]:
        if before_reading is not None:
            before_reading(tx)
        return tx.page(kind, narrowed)

    items, more = await core.store.read(read)
    ids = [str(getattr(item, "id")) for item in items]  # noqa: B009 - every listed kind has an id
    return Page(
        data=tuple(items),
        first_id=ids[0] if ids else None,
        last_id=ids[-1] if ids else None,
        has_more=more,
    )
