"""The library's part of a transaction: the `Texts` port over a connection.

Text and vectors lie in tables of their own, so that either is read without the other; words and the lists of attributes
follow by triggers, whatever changes a row.
"""

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from ..engine.ports import Chunk, Extract, StoragePeriod
from . import keywords, matching, records, rows, statements
from .filters import condition


class SQLiteTexts:
    """See the port for what each method promises."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._statements = statements.named()

    def _named(self, statement: str, /, **values: Any) -> sqlite3.Cursor:
        clean = {
            key: rows.clean(value) if isinstance(value, str) else value
            for key, value in values.items()
        }
        return self.connection.execute(self._statements[statement], clean)

    # --- chunks and vectors ------------------------------------------------------------------------

    def put_chunks(self, chunks: Iterable[Chunk]) -> None:
        """Insert or replace by id; their words are searchable in the same transaction."""
        new = [records.chunk_row(chunk) for chunk in chunks]
        for vector_store_id in {row["vector_store_id"] for row in new}:
            self._named("add_text_store", vector_store_id=vector_store_id)
        for vector_store_id, file_id in {(row["vector_store_id"], row["file_id"]) for row in new}:
            self._finish_erasing(vector_store_id, file_id)
        self.connection.executemany(self._statements["drop_hidden_chunk"], new)
        self.connection.executemany(self._statements["put_chunk"], new)
        for name, wanted in (("put_vector", True), ("drop_vector", False)):
            some = [row for row in new if (row["vector"] is not None) is wanted]
            self.connection.executemany(self._statements[name], some)

    def put_vectors(self, vectors: Iterable[tuple[str, bytes]]) -> None:
        """Give chunks their vectors; ids of chunks that are gone are ignored."""
        found = ({"id": rows.clean(id_), "vector": vector} for id_, vector in vectors)
        self.connection.executemany(self._statements["put_vector"], found)

    def chunks_to_embed(self, vector_store_id: str, file_id: str, limit: int) -> list[Chunk]:
        """The first chunks of a file that have no vector, in order."""
        key = {"vector_store_id": vector_store_id, "file_id": file_id}
        return [Chunk(*row) for row in self._named("chunks_to_embed", limit=limit, **key)]

    def chunks(self, ids: Sequence[str]) -> list[Chunk]:
        """The chunks with these ids, in the order asked for; unknown ids are left out."""
        return [Chunk(*row) for row in self._named("chunks", ids=rows.encode(list(ids)))]

    def file_chunks(self, vector_store_id: str, file_id: str | None = None) -> list[Chunk]:
        """In order of file and index; of the whole store when file_id is None."""
        return [Chunk(*row) for row in self._of_file("{}_chunks", vector_store_id, file_id)]

    def chunk_span(self, vector_store_id: str, file_id: str, start: int, end: int) -> list[Chunk]:
        """The chunks that overlap a stretch of a file's text, in order, without vectors."""
        key = {"vector_store_id": vector_store_id, "file_id": file_id}
        return [Chunk(*row) for row in self._named("chunk_span", start=start, end=end, **key)]

    def delete_chunks(self, vector_store_id: str, file_id: str | None = None) -> list[str]:
        """Ids of the chunks deleted; of the whole store when file_id is None."""
        if file_id is None:
            return self._forget(vector_store_id)
        key = {"vector_store_id": vector_store_id, "file_id": file_id}
        ids = self._named("file_chunk_ids", **key).fetchall()
        self._named("hide_file", **key)  # the eraser deletes them: others cannot wait for so many
        self._named("delete_file_extracts", **key)
        return [row[0] for row in ids]

    def _finish_erasing(self, vector_store_id: str, file_id: str) -> None:
        """Make way for a file's new chunks."""
        key = {"vector_store_id": vector_store_id, "file_id": file_id}
        self._named("drop_hidden_file", **key)
        self._named("file_is_erased", **key)

    def _forget(self, vector_store_id: str) -> list[str]:
        """Hide all texts of a store, whose rows the eraser deletes: others cannot wait for so many."""
        ids = self._named("store_chunk_ids", vector_store_id=vector_store_id).fetchall()
        self._named("hide_texts", vector_store_id=vector_store_id)
        self._named("show_files", vector_store_id=vector_store_id)
        return [row[0] for row in ids]

    def _of_file(self, name: str, vector_store_id: str, file_id: str | None) -> sqlite3.Cursor:
        if file_id is None:
            return self._named(name.format("store"), vector_store_id=vector_store_id)
        return self._named(name.format("file"), vector_store_id=vector_store_id, file_id=file_id)

    def vectors(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Vectors by chunk id; chunks without one are left out."""
        return dict(self._named("vectors", ids=rows.encode(list(ids))).fetchall())

    def store_vectors(
        self, vector_store_id: str, file_ids: Collection[str] | None = None
    ) -> list[tuple[str, bytes]]:
        """(chunk id, vector) in order of file and index; reads no text."""
        return self._of_files("{}_vectors", vector_store_id, file_ids).fetchall()

    def count_vectors(self, vector_store_id: str, file_ids: Collection[str] | None = None) -> int:
        """How many `store_vectors` returns."""
        return int(self._of_files("count_{}_vectors", vector_store_id, file_ids).fetchone()[0])

    def _of_files(
        self, name: str, vector_store_id: str, file_ids: Collection[str] | None
    ) -> sqlite3.Cursor:
        if file_ids is None:
            return self._named(name.format("store"), vector_store_id=vector_store_id)
        wanted = rows.encode(sorted(set(file_ids)))
        return self._named(name.format("files"), vector_store_id=vector_store_id, file_ids=wanted)

    # --- search ------------------------------------------------------------------------------------

    def match_chunks(
        self,
        vector_store_ids: Sequence[str],
        text: str,
        limit: int,
        file_ids: Collection[str] | None = None,
        *,
        also: Collection[str] = (),
    ) -> list[tuple[str, float]]:
        """Keyword search over heading and text: (chunk id, relevance > 0), best first."""
        words = keywords.quoted_words(rows.clean_search_text(text))
        scope = self._search_scope(vector_store_ids, file_ids, 0)
        scope = replace(scope, also=self._rows("chunk_rows", also))
        return matching.best(self.connection, matching.CHUNKS, scope, words, limit)

    def match_files(
        self,
        vector_store_ids: Sequence[str],
        text: str,
        limit: int,
        file_ids: Collection[str] | None = None,
        *,
        also: Collection[str] = (),
    ) -> list[tuple[str, float]]:
        """Keyword search over names and openings: ("store/file", relevance > 0), best first."""
        words = keywords.quoted_words(rows.clean_search_text(text))
        scope = self._search_scope(vector_store_ids, file_ids, 1)
        scope = replace(scope, also=self._rows("extract_rows", also))
        return matching.best(self.connection, matching.FILES, scope, words, limit)

    def _rows(self, name: str, keys: Collection[str]) -> list[int]:
        """The rows of these keys, as far as they are known."""
        if not keys:
            return []
        return [row[0] for row in self._named(name, keys=rows.encode(list(keys)))]

    def _search_scope(
        self, vector_store_ids: Sequence[str], file_ids: Collection[str] | None, which: int
    ) -> matching.Scope:
        """Where to search; `which`: 0 for chunks, 1 for files."""
        stores = sorted(set(vector_store_ids))
        found = self._named("text_stores", vector_store_ids=rows.encode(stores)).fetchall()
        everywhere = self._named("count_texts").fetchone()
        wanted = None if file_ids is None else sorted(set(file_ids))
        files = max(1, sum(row[2] for row in found))
        return matching.Scope(
            ranges=[row[0] for row in found],
            texts=sum(row[1 + which] for row in found),
            all_texts=everywhere[which],
            stores=stores,
            file_ids=wanted,
            dead=which == 0 and any(row[3] for row in found),
            share=1.0 if wanted is None else min(1.0, len(wanted) / files),
        )

    def matching_files(
        self, vector_store_ids: Sequence[str], filters: Mapping[str, Any]
    ) -> set[tuple[str, str]]:
        """The files whose attributes pass a filter.

        Raises:
            StorageFault: it is no filter.
        """
        passes, values = condition(filters)
        values["stores"] = rows.encode(list(vector_store_ids))
        found = self.connection.execute(
            "SELECT f.vector_store_id, f.file_id FROM vector_store_files AS f "
            f"WHERE f.vector_store_id IN (SELECT value FROM json_each(:stores)) AND {passes}",
            values,
        )
        return set(found.fetchall())

    # --- extracts ----------------------------------------------------------------------------------

    def put_extract(self, extract: Extract) -> None:
        """Insert or replace; the words of name and opening are searchable in the same transaction."""
        texts = {"filename": extract.filename, "opening": extract.opening}
        cleaned = {name: rows.clean_search_text(text) for name, text in texts.items()}
        self._named("add_text_store", vector_store_id=extract.vector_store_id)
        key = {"vector_store_id": extract.vector_store_id, "file_id": extract.file_id}
        self._named("drop_hidden_extract", **key)
        self._named("put_extract", **asdict(extract) | cleaned)

    def extract(self, vector_store_id: str, file_id: str) -> Extract | None:
        """What was made of a file; None when it is not indexed."""
        return extract_of(self._named("extract", vector_store_id=vector_store_id, file_id=file_id))

    def find_extract(self, content: str, recipe: str, vector_store_id: str) -> Extract | None:
        """The oldest complete one of the same content and recipe in a store of the same project."""
        return extract_of(
            self._named(
                "find_extract", content=content, recipe=recipe, vector_store_id=vector_store_id
            )
        )

    def copy_chunks(self, source: Extract, target: Extract) -> int:
        """Give `target`'s file the text and vectors of `source`'s, in place of what it had; how many chunks."""
        self.delete_chunks(target.vector_store_id, target.file_id)
        self._finish_erasing(target.vector_store_id, target.file_id)
        keys = {
            "from_store": source.vector_store_id,
            "from_file": source.file_id,
            "to_store": target.vector_store_id,
            "to_file": target.file_id,
        }
        names = {
            "old_name": rows.clean_search_text(source.filename),
            "new_name": rows.clean_search_text(target.filename),
        }
        self._named("add_text_store", vector_store_id=target.vector_store_id)
        copied = self._named("copy_chunks", **keys, **names).rowcount
        self._named("copy_vectors", **keys)
        return copied

    # --- ledger ------------------------------------------------------------------------------------

    def add_storage(self, vector_store_id: str, usage_bytes: int, at: int) -> None:
        """Note what a store takes from `at` on, 0 when it is gone; nothing when that has not changed."""
        values = {"vector_store_id": vector_store_id, "usage_bytes": usage_bytes, "at": at}
        self._named("end_storage", **values)
        self._named("begin_storage", **values)

    def storage_since(self, since: int, until: int) -> list[StoragePeriod]:
        """The periods that overlap the time from `since` up to `until`, oldest first."""
        found = self._named("storage_since", since=since, until=until)
        return [StoragePeriod(*row) for row in found]


def extract_of(found: sqlite3.Cursor) -> Extract | None:
    """The extract in the row found, if there is one."""
    row = found.fetchone()
    return None if row is None else replace(Extract(*row), complete=bool(row[-1]))
