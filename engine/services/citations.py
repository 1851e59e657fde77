"""Opens citations: the page and the sentence that stand behind a marker in a message (an extension).

What a marker stands for is in the transcript, as the model was given it; the sentence is found again by what the
message says before the marker, as when it was written, or after a marker at the head of a line. Answers are made from
the text that is indexed, so a citation can be opened for as long as its file is in its vector store.
"""

import re
from collections.abc import Sequence
from typing import Any

from ..annotations import cited_span
from ..core import Core
from ..errors import InvalidRequest, NotFound
from ..expiry import find_file
from ..objects import Annotation, Message, TextContent, Thread, VectorStore, VectorStoreFile
from ..ports import Citation, Opened, Transaction
from ..sentences import quoted, sentences
from .lookup import must

_MARKER = re.compile(r"【\d+:(\d+)†")
_MOST_CHARACTERS = 100_000


class Citations:
    """Where citations stand."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def of_message(self, thread_id: str, message_id: str) -> list[dict[str, Any]]:
        """The message's citations in order, in wire form; `passage` is null when its text is gone.

        Raises:
            NotFound: no such message in this thread.
        """

        def read(tx: Transaction) -> tuple[Message, dict[int, Citation]]:
            must(tx, Thread, thread_id)
            message = must(tx, Message, message_id, thread_id=thread_id)
            given = [
                citation
                for entry in tx.transcript(thread_id)
                if entry.run_id is not None and entry.run_id == message.run_id
                for citation in entry.citations
            ]
            return message, {citation.number: citation for citation in given}

        message, given = await self._core.store.read(read)
        return [
            await self._shown(index, value, mark, given)
            for index, (value, mark) in enumerate(_marks(message))
        ]

    async def _shown(
        self, index: int, value: str, mark: Annotation, given: dict[int, Citation]
    ) -> dict[str, Any]:
        found = _MARKER.match(mark.text)
        citation = given.get(int(found[1]) + 1) if found else None
        return {
            "index": index,
            "text": mark.text,
            "start_index": mark.start_index,
            "end_index": mark.end_index,
            "passage": citation and await self._cited(citation, value, mark),
        }

    async def _cited(
        self, citation: Citation, value: str, mark: Annotation
    ) -> dict[str, Any] | None:
        start, end = _sentence(citation, value, mark)
        span = (citation.start + start, citation.start + end)
        try:
            return await self.opened(citation.source, citation.file_id, *span)
        except NotFound:
            return await self._elsewhere(citation, *span)

    async def _elsewhere(self, citation: Citation, start: int, end: int) -> dict[str, Any] | None:
        """The passage in the first source beside the library that knows it."""
        for source in self._core.retrievers:
            found = await source.open(citation.source, citation.file_id, start, end)
            if found is not None:
                return _passage(citation.source, citation.file_id, citation.filename, found)
        return None

    async def opened(
        self, vector_store_id: str, file_id: str, start: int, end: int
    ) -> dict[str, Any]:
        """A stretch of a file of a vector store where it stands, in wire form.

        Raises:
            InvalidRequest: no such stretch can be.
            NotFound: no such store, file of it, or text.
        """
        _check_stretch(start, end)
        now = self._core.now()

        def name(tx: Transaction) -> str | None:
            must(tx, VectorStore, vector_store_id)
            must(tx, VectorStoreFile, f"{vector_store_id}/{file_id}")
            file = find_file(tx, file_id, now)
            return file.filename if file else None

        filename = await self._core.store.read(name)
        found = await self._core.library.open(vector_store_id, file_id, start, end)
        if found is None:
            raise NotFound(
                f"File '{file_id}' has no text from {start} to {end}: its text ends before, or it is not read yet."
            )
        return _passage(vector_store_id, file_id, filename, found)


def _check_stretch(start: int, end: int) -> None:
    """Refuse what no stretch can be.

    Raises:
        InvalidRequest: names what is wrong with it.
    """
    if start < 0:
        raise InvalidRequest(f"'start' counts from 0, and {start} is below.", param="start")
    if end <= start:
        message = f"'end' has to be greater than 'start', and {end} is not greater than {start}."
        raise InvalidRequest(message, param="end")
    if end - start > _MOST_CHARACTERS:
        message = (
            f"At most {_MOST_CHARACTERS} characters can be opened at once, "
            f"and from {start} to {end} are {end - start}."
        )
        raise InvalidRequest(message, param="end")


def _sentence(citation: Citation, value: str, mark: Annotation) -> tuple[int, int]:
    """The stretch of the passage that is cited: by what the answer says, by the quote, else all of it."""
    said = cited_span(citation, value[: mark.start_index], value[mark.end_index :] or "\n")
    if said is not None:
        return said
    quote = mark.file_citation.quote if mark.file_citation else None
    spans = sentences(citation.text)
    told = (span for span in spans if quoted(citation.text[span[0] : span[1]]) == quote)
    return next(told, (0, len(citation.text)))


def _marks(message: Message) -> Sequence[tuple[str, Annotation]]:
    """The citations of a message, each with the whole text that it stands in."""
    return [
        (part.text.value, mark)
        for part in message.content
        if isinstance(part, TextContent)
        for mark in part.text.annotations
        if mark.file_citation is not None
    ]


def _passage(store_id: str, file_id: str, filename: str | None, found: Opened) -> dict[str, Any]:
    start, end = found.start - found.text_start, found.end - found.text_start
    return {
        "object": "vector_store.file.passage",
        "vector_store_id": store_id,
        "file_id": file_id,
        "filename": filename,
        "page": found.page,
        "text": found.text,
        "text_start": found.text_start,
        "start": start,
        "end": end,
        "quote": found.text[start:end],
    }
