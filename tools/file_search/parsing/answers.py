"""What the parsing child says of a file, as bytes: the document, or the error that it met.

Whoever reads an answer trusts nobody: a parser that a file has taken over can write what it likes. It may lie about
the file's text, not about the answer's form.
"""

import json
from itertools import pairwise
from typing import Any

from ....engine.errors import AssistantsError, InvalidRequest, UnsupportedFile
from .documents import Document, Heading, PageSpan


class FalseAnswerError(Exception):
    """What was read is no answer."""


def of_document(document: Document) -> bytes:
    """The answer that carries a document."""
    return _bytes(
        {
            "text": document.text,
            "pages": [[page.number, page.start, page.end] for page in document.pages],
            "headings": [[each.start, each.level, each.title] for each in document.headings],
            "unreadable": document.unreadable,
        }
    )


def of_error(error: AssistantsError) -> bytes:
    """The answer that carries an error."""
    return _bytes({"error": error.code or "invalid_file", "message": error.message})


def _bytes(answer: dict[str, Any]) -> bytes:
    return json.dumps(answer, ensure_ascii=False).encode("utf-8", "replace")


def document_of(answer: bytes) -> Document:
    """The document that an answer carries.

    Raises:
        UnsupportedFile, InvalidRequest: the error that it carries.
        FalseAnswerError: it is no answer.
    """
    try:
        said: dict[str, Any] = json.loads(answer)
        if "error" in said:
            kind = UnsupportedFile if said["error"] == "unsupported_file" else InvalidRequest
            raise kind(str(said["message"]), code=str(said["error"]))
        document = Document(
            str(said["text"]),
            tuple(PageSpan(_number(number), int(a), int(b)) for number, a, b in said["pages"]),
            tuple(int(page) for page in said["unreadable"]),
            tuple(Heading(int(at), int(level), str(t)) for at, level, t in said["headings"]),
        )
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise FalseAnswerError("not the form of an answer") from error
    _check(document)
    return document


def _number(page: object) -> int | None:
    return None if page is None else int(str(page))


def _check(document: Document) -> None:
    edges = [edge for page in document.pages for edge in (page.start, page.end)]
    starts = [heading.start for heading in document.headings]
    inside = all(0 <= offset <= len(document.text) for offset in (*edges, *starts))
    if not inside or any(a > b for row in (edges, starts) for a, b in pairwise(row)):
        raise FalseAnswerError("offsets that are not in the text")
