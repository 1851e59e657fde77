"""The library's part of one project's view: texts of another project's vector stores are as if they were not there."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ..engine.ports import Chunk, Extract, StoragePeriod
from . import rows
from .transaction import SQLiteTransaction, misplaced


class ScopedTexts(SQLiteTransaction):
    """`whole`'s texts, narrowed to `project`."""

    def __init__(self, whole: SQLiteTransaction, project: str) -> None:
        super().__init__(whole.connection)
        self._project = project

    def _owned_stores(self, store_ids: Iterable[str]) -> set[str]:
        ids = rows.encode(list(store_ids))
        return {row[0] for row in self._named("stores_of_project", ids=ids, project=self._project)}

    def _owns_store(self, vector_store_id: str) -> bool:
        return bool(self._owned_stores([vector_store_id]))

    def _own(self, *vector_store_ids: str) -> None:
        """Check where something is to be written.

        Raises:
            StorageFault: there is no such store.
        """
        wanted = set(vector_store_ids)
        if self._owned_stores(wanted) != wanted:
            raise misplaced()

    # --- chunks and vectors ------------------------------------------------------------------------

    def put_chunks(self, chunks: Iterable[Chunk]) -> None:
        """Only into vector stores of the project.

        Raises:
            StorageFault: there is no such store.
        """
        new = list(chunks)
        replaced = super().chunks([chunk.id for chunk in new])
        self._own(*(chunk.vector_store_id for chunk in (*new, *replaced)))
        super().put_chunks(new)

    def put_vectors(self, vectors: Iterable[tuple[str, bytes]]) -> None:
        """Chunks of other projects are ignored."""
        new = list(vectors)
        owned = {chunk.id for chunk in self.chunks([id_ for id_, _ in new])}
        super().put_vectors(pair for pair in new if pair[0] in owned)

    def chunks_to_embed(self, vector_store_id: str, file_id: str, limit: int) -> list[Chunk]:
        """None of another project's vector store."""
        owned = self._owns_store(vector_store_id)
        return super().chunks_to_embed(vector_store_id, file_id, limit) if owned else []

    def chunks(self, ids: Sequence[str]) -> list[Chunk]:
        """Those of the project's vector stores."""
        found = super().chunks(ids)
        owned = self._owned_stores({chunk.vector_store_id for chunk in found})
        return [chunk for chunk in found if chunk.vector_store_id in owned]

    def file_chunks(self, vector_store_id: str, file_id: str | None = None) -> list[Chunk]:
        """None of another project's vector store."""
        owned = self._owns_store(vector_store_id)
        return super().file_chunks(vector_store_id, file_id) if owned else []

    def chunk_span(self, vector_store_id: str, file_id: str, start: int, end: int) -> list[Chunk]:
        """None of another project's vector store."""
        owned = self._owns_store(vector_store_id)
        return super().chunk_span(vector_store_id, file_id, start, end) if owned else []

    def delete_chunks(self, vector_store_id: str, file_id: str | None = None) -> list[str]:
        """None of another project's vector store."""
        owned = self._owns_store(vector_store_id)
        return super().delete_chunks(vector_store_id, file_id) if owned else []

    def vectors(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Those of the project's vector stores."""
        owned = {chunk.id for chunk in self.chunks(ids)}
        return super().vectors([id_ for id_ in ids if id_ in owned])

    def store_vectors(
        self, vector_store_id: str, file_ids: Collection[str] | None = None
    ) -> list[tuple[str, bytes]]:
        """None of another project's vector store."""
        owned = self._owns_store(vector_store_id)
        return super().store_vectors(vector_store_id, file_ids) if owned else []

    def count_vectors(self, vector_store_id: str, file_ids: Collection[str] | None = None) -> int:
        """0 for another project's vector store."""
        owned = self._owns_store(vector_store_id)
        return super().count_vectors(vector_store_id, file_ids) if owned else 0

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
        """Within the project's vector stores."""
        owned = sorted(self._owned_stores(vector_store_ids))
        return super().match_chunks(owned, text, limit, file_ids, also=also)

    def match_files(
        self,
        vector_store_ids: Sequence[str],
        text: str,
        limit: int,
        file_ids: Collection[str] | None = None,
        *,
        also: Collection[str] = (),
    ) -> list[tuple[str, float]]:
        """Within the project's vector stores."""
        owned = sorted(self._owned_stores(vector_store_ids))
        return super().match_files(owned, text, limit, file_ids, also=also)

    def matching_files(
        self, vector_store_ids: Sequence[str], filters: Mapping[str, Any]
    ) -> set[tuple[str, str]]:
        """Within the project's vector stores."""
        return super().matching_files(sorted(self._owned_stores(vector_store_ids)), filters)

    # --- extracts ----------------------------------------------------------------------------------

    def put_extract(self, extract: Extract) -> None:
        """Only into vector stores of the project.

        Raises:
            StorageFault: there is no such store.
        """
        self._own(extract.vector_store_id)
        super().put_extract(extract)

    def extract(self, vector_store_id: str, file_id: str) -> Extract | None:
        """None of another project's vector store."""
        owned = self._owns_store(vector_store_id)
        return super().extract(vector_store_id, file_id) if owned else None

    def find_extract(self, content: str, recipe: str, vector_store_id: str) -> Extract | None:
        """None for another project's vector store."""
        owned = self._owns_store(vector_store_id)
        return super().find_extract(content, recipe, vector_store_id) if owned else None

    def copy_chunks(self, source: Extract, target: Extract) -> int:
        """Only between vector stores of the project.

        Raises:
            StorageFault: there is no such store.
        """
        self._own(source.vector_store_id, target.vector_store_id)
        return super().copy_chunks(source, target)

    # --- ledger ------------------------------------------------------------------------------------

    def add_storage(self, vector_store_id: str, usage_bytes: int, at: int) -> None:
        """Only for vector stores of the project."""
        if self._owns_store(vector_store_id):
            super().add_storage(vector_store_id, usage_bytes, at)

    def storage_since(self, since: int, until: int) -> list[StoragePeriod]:
        """The project's."""
        values = {"project": self._project, "since": since, "until": until}
        return [StoragePeriod(*row) for row in self._named("storage_of_project_since", **values)]
