"""What tests of parsing share: one call that reads bytes under a name."""

from io import BytesIO

from local_assistants.tools.file_search.parsing.documents import Document
from local_assistants.tools.file_search.parsing.limits import ParseLimits
from local_assistants.tools.file_search.parsing.reading import read_document

LIMITS = ParseLimits()


def read(name: str, data: bytes, limits: ParseLimits = LIMITS) -> Document:
    """What `data` becomes when it was uploaded as `name`; in this process."""
    return read_document(BytesIO(data), name, limits)


def headings(document: Document) -> list[tuple[int, str]]:
    """Levels and titles."""
    return [(heading.level, heading.title) for heading in document.headings]
