"""Opens a citation: the page that a stretch of an indexed file stands on, put together from its chunks.

Chunks overlap and leave only blanks between them, so the page's text is the parsed one but for such blanks. It reads
what is indexed and never the file itself: a file whose bytes are gone can still be looked up in.
"""

from collections.abc import Sequence

from ...engine.ports import Chunk, Opened, Texts

AROUND = 2000  # characters shown before and behind, in a file without pages
_LARGEST_PAGE = (
    60_000  # characters of a page looked for to each side; what is farther away is left out
)


def opened(texts: Texts, source: str, file_id: str, start: int, end: int) -> Opened | None:
    """What the port promises; None when nothing of the file stands between `start` and `end`."""
    found = texts.chunk_span(source, file_id, start, end)
    if not found:
        return None
    page = next((one for one in found if one.start <= start), found[0]).page
    reach = AROUND if page is None else _LARGEST_PAGE
    near = texts.chunk_span(source, file_id, max(0, start - reach), end + reach)
    text_start, text = joined([one for one in near if one.page == page])
    text_end = text_start + len(text)
    start = min(max(start, text_start), text_end)
    return Opened(text, text_start, start, max(start, min(end, text_end)), page)


def joined(chunks: Sequence[Chunk]) -> tuple[int, str]:
    """(where it starts, the text) of chunks in order; what lies between two is blank and becomes line breaks."""
    start = chunks[0].start
    text = ""
    for one in chunks:
        reached = start + len(text)
        text += "\n" * (one.start - reached) + one.text[max(0, reached - one.start) :]
    return start, text
