"""The port of whatever finds passages for a model: the library of uploaded files, and other sources beside it."""

from typing import Protocol

from .library import Opened, Passage, SearchQuery


class Retriever(Protocol):
    """A source of passages. What it serves is shown as material, numbered, cited and opened like any other."""

    @property
    def name(self) -> str:
        """What people call it, in logs and errors."""
        ...

    async def search(self, query: SearchQuery) -> list[Passage]:
        """Best first, at most `max_results`, with scores of 0..1 that are relative to this search.

        A source that keeps no vector stores looks at everything it has. A passage's text is the stretch of its file's
        text from `start` to `end`, on one page: citations are opened by that. `vector_store_id` and `file_id` name the
        file to `open`.

        Raises:
            InvalidRequest: the filters are none (param filters).
        """
        ...

    async def open(self, source: str, file_id: str, start: int, end: int) -> Opened | None:
        """A stretch of a file where it stands; None when this source has no such text (any more).

        `source` and `file_id` are a passage's `vector_store_id` and `file_id`; the stretch ends before `end`.
        """
        ...
