"""The library's part of a transaction: text, vectors and words of indexed files, and what their storage costs.

The truth of file search. It holds no status of a file, knows no embedding model and ranks nothing but words.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .library import Chunk


@dataclass(frozen=True, slots=True)
class Extract:
    """What was made of a file in a vector store; one for each indexed file.

    Attributes:
        vector_store_id: the store that holds the file.
        file_id: the file.
        content: SHA-256 of the file's bytes, in hexadecimal.
        recipe: everything else that its chunks and vectors depend on; equal contents and recipes have equal ones.
        filename: as its chunks' headings begin.
        text_bytes: UTF-8 bytes of the parsed text.
        chunks: how many there are, with or without a vector.
        opening: the beginning of the text, by which the file as a whole is found.
        complete: whether all chunks have their vectors.
    """

    vector_store_id: str
    file_id: str
    content: str
    recipe: str
    filename: str
    text_bytes: int
    chunks: int
    opening: str = ""
    complete: bool = False


@dataclass(frozen=True, slots=True)
class StoragePeriod:
    """A stretch of time in which a vector store took `usage_bytes`, for the bill (Unix seconds; None: it still does).

    It stays when the store is deleted.
    """

    project: str
    vector_store_id: str
    usage_bytes: int
    since: int
    until: int | None = None


class Texts(Protocol):
    """Chunks are keyed by their id, which is "<vector_store_id>/<file_id>/<index>" wherever a file is indexed.

    `file_ids` narrows to these files of the named stores; None: all, an empty collection: none.
    """

    # chunks and vectors
    def put_chunks(self, chunks: Iterable[Chunk]) -> None:
        """Insert or replace, text and vector; one without a vector is found by its words only."""
        ...

    def put_vectors(self, vectors: Iterable[tuple[str, bytes]]) -> None:
        """Give chunks their vectors: (chunk id, vector). Ids of chunks that are gone are ignored."""
        ...

    def chunks_to_embed(self, vector_store_id: str, file_id: str, limit: int) -> list[Chunk]:
        """The first chunks of a file that have no vector, in order."""
        ...

    def chunks(self, ids: Sequence[str]) -> list[Chunk]:
        """In the order asked for; unknown ids are left out."""
        ...

    def file_chunks(self, vector_store_id: str, file_id: str | None = None) -> list[Chunk]:
        """In order of file and index; of the whole store when file_id is None."""
        ...

    def chunk_span(self, vector_store_id: str, file_id: str, start: int, end: int) -> list[Chunk]:
        """The chunks that overlap the characters from `start` to `end` of a file's text, in order, without vectors."""
        ...

    def delete_chunks(self, vector_store_id: str, file_id: str | None = None) -> list[str]:
        """Erase chunks, vectors, words and extract of a file, or of the whole store when file_id is None.

        Returns:
            Ids of the chunks deleted.
        """
        ...

    def vectors(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Vectors by chunk id; chunks without one are left out."""
        ...

    def store_vectors(
        self, vector_store_id: str, file_ids: Collection[str] | None = None
    ) -> list[tuple[str, bytes]]:
        """(chunk id, vector) in order of file and index. Reads no text."""
        ...

    def count_vectors(self, vector_store_id: str, file_ids: Collection[str] | None = None) -> int:
        """How many `store_vectors` returns."""
        ...

    # search
    def match_chunks(
        self,
        vector_store_ids: Sequence[str],
        text: str,
        limit: int,
        file_ids: Collection[str] | None = None,
        *,
        also: Collection[str] = (),
    ) -> list[tuple[str, float]]:
        """Keyword search: (chunk id, relevance > 0), best first. `text` is any user text, never query syntax.

        Beside the best `limit` come those of the chunks `also` that have any of the words: what was found otherwise is
        to be judged by its words too.
        """
        ...

    def match_files(
        self,
        vector_store_ids: Sequence[str],
        text: str,
        limit: int,
        file_ids: Collection[str] | None = None,
        *,
        also: Collection[str] = (),
    ) -> list[tuple[str, float]]:
        """Keyword search over file names and openings: ("<vector_store_id>/<file_id>", relevance > 0), best first.

        `also`: such keys, as in `match_chunks`.
        """
        ...

    def matching_files(
        self, vector_store_ids: Sequence[str], filters: Mapping[str, Any]
    ) -> set[tuple[str, str]]:
        """(vector store id, file id) of the files whose attributes pass one of the contract's filter objects (1.12).

        A file that lacks the key passes `ne` and `nin` only. Strings, numbers and booleans are never converted into
        each other; order is for numbers only.

        Raises:
            StorageFault: it is no filter; the caller has checked that.
        """
        ...

    # extracts
    def put_extract(self, extract: Extract) -> None:
        """Insert or replace."""
        ...

    def extract(self, vector_store_id: str, file_id: str) -> Extract | None: ...

    def find_extract(self, content: str, recipe: str, vector_store_id: str) -> Extract | None:
        """A complete one of this content and recipe in a vector store of the same project; None when there is none.

        Not in another project's: how long indexing takes would tell what others have.
        """
        ...

    def copy_chunks(self, source: Extract, target: Extract) -> int:
        """Give `target`'s file the text and vectors of `source`'s, in place of what it had; how many chunks.

        Headings begin with the target's file name. Writes no extract.
        """
        ...

    # ledger
    def add_storage(self, vector_store_id: str, usage_bytes: int, at: int) -> None:
        """Note what a store takes from `at` on, 0 when it is gone. A size that has not changed is noted once."""
        ...

    def storage_since(self, since: int, until: int) -> list[StoragePeriod]:
        """The periods that overlap the time from `since` up to `until`, oldest first; also those of deleted stores."""
        ...
