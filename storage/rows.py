"""How an object becomes a row and back, and how a page of a list is asked for.

One `Table` per kind of object. The body column holds the whole object as JSON; the other columns are copies of what
lists and locks look for. Round trips are exact, with one exception: a lone surrogate (half a character, which no
client could be sent) is stored as U+FFFD.

Statements on one object are made here, from names that only this module writes; values always travel as parameters.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from ..engine import objects
from ..engine.errors import StorageFault
from ..engine.ports import PageQuery

ModelT = TypeVar("ModelT", bound=BaseModel)

_SURROGATE = re.compile("[\ud800-\udfff]")
_UNSEARCHABLE = re.compile("[\x00\ud800-\udfff]")


def clean(text: str) -> str:
    """`text` with every lone surrogate replaced; the length stays."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def clean_search_text(text: str) -> str:
    """As `clean`, NUL too: the word index would end a text there. The length stays, so do offsets."""
    return _UNSEARCHABLE.sub("\ufffd", text)


def encode(value: Any) -> str:
    """JSON text of a wire value. NaN and the infinities are kept, as words."""
    try:
        return to_json(value, inf_nan_mode="constants").decode()
    except ValueError:  # half a character, which UTF-8 has no form for
        return clean(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def encode_model(model: BaseModel) -> str:
    """JSON text of an object. Not model_dump_json: that one turns NaN into null and refuses surrogates."""
    return encode(model.model_dump())


def decode_model(kind: type[ModelT], body: str) -> ModelT:
    """The object that `encode_model` wrote.

    Raises:
        StorageFault: the text is no such object.
    """
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise StorageFault(
            f"A stored {kind.__name__} cannot be read ({error.error_count()} errors): it is damaged or was written "
            "by another version. Restore the database from a backup."
        ) from error


@dataclass(frozen=True)
class Table:
    """Where a kind of object is kept. `columns` maps filter columns to the object's attributes.

    `cursor` is the column that a client's cursor names; `members` maps further names a list may be filtered by to the
    condition that says so; those in `few` pick a bounded number of rows, so that no other filter's index is worth
    looking at beside them. `parent` is the column that names the root object which a child belongs to, and `root` that
    one's table; both are empty for root objects. The statements of a `scoped` table touch the rows of :project only.
    """

    name: str
    kind: type[objects.Wire]
    columns: Mapping[str, str]
    parent: str = ""
    root: str = ""
    cursor: str = "id"
    members: Mapping[str, str] = field(default_factory=dict[str, str])
    few: frozenset[str] = frozenset()
    scoped: bool = False

    def key(self, obj: Any) -> str:
        """The key of an object of this kind."""
        if self.kind is objects.VectorStoreFile:
            return f"{obj.vector_store_id}/{obj.id}"
        return str(obj.id)

    def row(self, obj: objects.Wire) -> dict[str, Any]:
        """The parameters of `put`."""
        row: dict[str, Any] = {
            column: getattr(obj, attribute) for column, attribute in self.columns.items()
        }
        row = {
            name: clean(value) if isinstance(value, str) else value for name, value in row.items()
        }
        return row | {"id": clean(self.key(obj)), "body": encode_model(obj)}

    @cached_property
    def put(self) -> str:
        """Insert, or replace in place; scoped, it touches no row when the old or the new one is another project's."""
        changing = ["id", *self.columns, "body"]
        names = [*changing, "project"] if self.scoped and not self.root else changing
        values = ", ".join(f":{name}" for name in names)
        changes = ", ".join(f"{name} = excluded.{name}" for name in changing[1:])
        return (
            f"INSERT INTO {self.name} ({', '.join(names)}) SELECT {values} WHERE {self._belongs_to_root()} "
            f"ON CONFLICT (id) DO UPDATE SET {changes} WHERE {self._scope()}"
        )

    @cached_property
    def get(self) -> str:
        """The body under :id."""
        return f"SELECT body FROM {self.name} WHERE id = :id AND {self._scope()}"

    @cached_property
    def delete(self) -> str:
        """Drop the row under :id."""
        return f"DELETE FROM {self.name} WHERE id = :id AND {self._scope()}"

    def delete_where(self, where: Mapping[str, str]) -> str:
        """Drop the rows that match all of `where`."""
        return f"DELETE FROM {self.name} WHERE {self._condition(where)}"

    def find(self, where: Mapping[str, str], cursor: str) -> str:
        """The place of the object that a cursor names, if it is in the list of `where`."""
        column = "id" if "/" in cursor else self.cursor
        condition = self._condition(where, led=True)
        return f"SELECT seq FROM {self.name} WHERE {column} = :cursor AND {condition}"

    def page(self, query: PageQuery, *, after: bool, before: bool) -> str:
        """The bodies of a page, nearest to its cursor first; `after` and `before`: which cursors are set."""
        descending = (query.order == "desc") != backwards(query)
        over, under = ("<", ">") if query.order == "desc" else (">", "<")
        conditions = [self._condition(query.where)]
        conditions += [f"seq {over} :after"] if after else []
        conditions += [f"seq {under} :before"] if before else []
        conditions += [self._has_metadata()] if query.metadata else []
        conditions += ["created_at >= :created_from"] if query.created_from is not None else []
        conditions += ["created_at < :created_before"] if query.created_before is not None else []
        return (
            f"SELECT body FROM {self.name} WHERE {' AND '.join(conditions)} "
            f"ORDER BY seq {'DESC' if descending else 'ASC'} LIMIT :limit"
        )

    def count(self, where: Mapping[str, str]) -> str:
        """How many rows match all of `where`."""
        return f"SELECT count(*) FROM {self.name} WHERE {self._condition(where)}"

    def _has_metadata(self) -> str:
        """Whether none of the pairs in :metadata (a JSON object) is missing from the body's own."""
        return (
            "NOT EXISTS (SELECT 1 FROM json_each(:metadata) AS wanted WHERE NOT EXISTS (SELECT 1 FROM "
            f"json_each({self.name}.body, '$.metadata') AS had "
            "WHERE had.key = wanted.key AND had.value = wanted.value))"
        )

    def _condition(self, where: Mapping[str, str], *, led: bool = False) -> str:
        """What rows have to satisfy; `led`: the caller's own condition leads to the few rows there are."""
        # With the parent given, whose it is needs to be asked only once, not for each of its rows.
        scope = self._belongs_to_root() if self.parent in where else self._scope()
        led = led or not self.few.isdisjoint(where)
        sign = "+" if led else ""  # a plus keeps SQLite from looking into the column's index
        return " AND ".join([*(self._one_condition(column, sign) for column in where), scope])

    def _scope(self) -> str:
        """Whether a row belongs to :project."""
        if not self.scoped:
            return "TRUE"
        return self._root_of(f"{self.name}.{self.parent}") if self.root else "project = :project"

    def _belongs_to_root(self) -> str:
        """Whether the parent among the parameters belongs to :project."""
        return self._root_of(f":{self.parent}") if self.scoped and self.root else "TRUE"

    def _root_of(self, key: str) -> str:
        return f"EXISTS (SELECT 1 FROM {self.root} AS root WHERE root.id = {key} AND root.project = :project)"

    def _one_condition(self, column: str, sign: str) -> str:
        if column in self.members:
            return self.members[column]
        if column in self.columns:
            return f"{sign}{column} = :{column}"
        raise StorageFault(f"A list of {self.name} cannot be filtered by {column}.")


def backwards(query: PageQuery) -> bool:
    """With `before` alone the page lies right ahead of the cursor, so it is read from there."""
    return query.before is not None and query.after is None


def _root(name: str, kind: type[objects.Wire], *columns: str) -> Table:
    return Table(name, kind, {column: column for column in (*columns, "created_at")})


def _child(name: str, kind: type[objects.Wire], root: str, *columns: str) -> Table:
    """`columns` begins with the one that names the root object."""
    return replace(_root(name, kind, *columns), root=root, parent=columns[0])


_STORE_FILES = Table(
    "vector_store_files",
    objects.VectorStoreFile,
    {
        "vector_store_id": "vector_store_id",
        "file_id": "id",
        "status": "status",
        "usage_bytes": "usage_bytes",
        "created_at": "created_at",
    },
    parent="vector_store_id",
    root="vector_stores",
    cursor="file_id",
    # by seq and not by id, since the list is in its order
    members={
        "batch_id": "seq IN (SELECT f.seq FROM batch_files AS b CROSS JOIN vector_store_files AS f "
        "ON f.id = b.store_file WHERE b.batch_id = :batch_id)"
    },
    few=frozenset({"batch_id"}),
)

_OF_PROJECTS = (
    _root("assistants", objects.Assistant),
    _root("threads", objects.Thread),
    _child("messages", objects.Message, "threads", "thread_id", "run_id", "status"),
    _child("runs", objects.Run, "threads", "thread_id", "status", "expires_at"),
    _child("run_steps", objects.RunStep, "threads", "thread_id", "run_id", "status"),
    replace(
        _root("files", objects.File, "purpose", "expires_at"),
        members={"alive_at": "(expires_at IS NULL OR expires_at > CAST(:alive_at AS INTEGER))"},
    ),
    _root("uploads", objects.UploadRecord, "status", "expires_at"),
    _child("upload_parts", objects.UploadPartRecord, "uploads", "upload_id"),
    _root("vector_stores", objects.VectorStore, "status", "expires_at"),
    _STORE_FILES,
    _child("file_batches", objects.FileBatch, "vector_stores", "vector_store_id", "status"),
)

Tables = Mapping[type[objects.Wire], Table]

WHOLE: Tables = {table.kind: table for table in (*_OF_PROJECTS, _root("api_keys", objects.ApiKey))}
"""Everything, whosever it is."""

SCOPED: Tables = {table.kind: replace(table, scoped=True) for table in _OF_PROJECTS}
"""What belongs to one project. Keys do not: they open projects."""


def table_of(kind: type[objects.Wire], tables: Tables = WHOLE) -> Table:
    """Where objects of `kind` are kept.

    Raises:
        StorageFault: nowhere; it is no object with a life of its own, or none of a project's.
    """
    try:
        return tables[kind]
    except KeyError:
        raise StorageFault(f"Objects of the type {kind.__name__} are not stored here.") from None
