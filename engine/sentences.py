"""Sentences of a text, and the one of them that says what is looked for or claimed. Pure functions.

Offsets count code points of the text. What is long for a sentence (tables, lists) goes by lines.
"""

import re
from collections import Counter
from collections.abc import Sequence

QUOTE_CHARACTERS = 300
_TELLS_SOMETHING = 0.5  # a sentence with less in common with a claim has been met by chance
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+(?=[\"'“‘(\[]*[A-Z0-9])|\n\s*\n")
_ABBREVIATION = re.compile(
    r"(?:\b\w\.\w|\b(?:inc|corp|co|ltd|no|nos|mr|mrs|ms|dr|vs|st|fig|approx))\.\Z", re.I
)
_LINE = re.compile(r"\n")
_WORD = re.compile(r"\w+")
_FIGURE = re.compile(r"\d[\d.,]*")
_STEM = 6  # words with the same first letters count as one word: stores, stored
_EMPTY = """
and are did does during for from had has have how many much that the their this was were what when where which who with
"""
_EMPTY_WORDS = frozenset(_EMPTY.split())
_DATES = "january february march april may june july august september october november december"
_MONTHS = frozenset(month[:_STEM] for month in _DATES.split())


def is_blank(text: str) -> bool:
    """Whether there is nothing to be seen in a text: no character but blanks and invisible ones."""
    return not any(char.isprintable() and not char.isspace() for char in text)


def sentences(text: str) -> list[tuple[int, int]]:
    """(start, end) of the sentences of `text`; what is long for one (tables, lists) goes by lines."""
    spans: list[tuple[int, int]] = []
    for start, end in _between(_ends(text), 0, len(text)):
        if end - start <= QUOTE_CHARACTERS:
            spans.append((start, end))
        else:
            spans += _between(
                [match.span() for match in _LINE.finditer(text, start, end)], start, end
            )
    return [span for span in spans if text[span[0] : span[1]].strip()]


def _ends(text: str) -> list[tuple[int, int]]:
    """The blanks between sentences; a full stop of an abbreviation ends none."""
    spans = (match.span() for match in _SENTENCE_END.finditer(text))
    return [span for span in spans if not _ABBREVIATION.search(text[max(0, span[0] - 8) : span[0]])]


def _between(cuts: list[tuple[int, int]], start: int, end: int) -> list[tuple[int, int]]:
    starts = [start, *(stop for _, stop in cuts)]
    ends = [*(begin for begin, _ in cuts), end]
    return list(zip(starts, ends, strict=True))


def best_sentence(text: str, queries: Sequence[str]) -> tuple[int, int]:
    """The sentence of `text` that shares the most telling words with one of the queries.

    A word tells the more the fewer sentences of the text have it; figures and months tell half.
    """
    spans = sentences(text)
    found = [_stems(text[start:end]) for start, end in spans]
    spread = Counter(stem for stems in found for stem in stems)
    wanted = [_stems(query) for query in queries]

    def worth(at: int) -> tuple[float, bool, int]:
        shared = (
            sum(_weight(stem) / spread[stem] for stem in found[at] & words) for words in wanted
        )
        start, end = spans[at]
        # Among equals a sentence says more than a heading, and a shorter one more at a glance.
        return max(shared, default=0.0), _is_whole(text, spans[at]), start - end

    if not spans:
        return 0, len(text)
    best = max(range(len(spans)), key=worth)
    if worth(best)[0]:
        return spans[best]
    return next((span for span in spans if _is_whole(text, span)), spans[0])


def _is_whole(text: str, span: tuple[int, int]) -> bool:
    """Whether it ends as a sentence does; headings and cells of tables do not."""
    return text[span[0] : span[1]].rstrip("\"'”’)] \n").endswith((".", "!", "?", "。"))


def _weight(stem: str) -> float:
    return 0.5 if stem[0].isdigit() or stem in _MONTHS else 1.0


def _stems(text: str) -> set[str]:
    words = _WORD.findall(text.casefold())
    return {word[:_STEM] for word in words if len(word) > 2 and word not in _EMPTY_WORDS}


def proof(text: str, claim: str, before: str = "") -> tuple[int, int] | None:
    """The sentence of `text` that bears a claim out best; None when none shares anything telling with it.

    Figures tell most. What was said `before` the claim counts a little: it may name what the claim is about.
    """
    spans = sentences(text)
    found = [_evidence(text[start:end]) for start, end in spans]
    spread = Counter(word for words in found for word in words)
    claimed, said = _evidence(claim), _evidence(before)

    def worth(at: int) -> tuple[float, bool, int]:
        told = sum(_telling(word) / spread[word] for word in found[at] & claimed)
        hinted = sum(_telling(word) / spread[word] for word in found[at] & said)
        start, end = spans[at]
        return told + hinted / 4, _is_whole(text, spans[at]), start - end

    best = max(range(len(spans)), key=worth, default=None)
    return spans[best] if best is not None and worth(best)[0] >= _TELLS_SOMETHING else None


def _evidence(text: str) -> set[str]:
    """Figures without separators, and the stems of words."""
    figures = {figure.rstrip(".,").replace(",", "") for figure in _FIGURE.findall(text)}
    return figures | {stem for stem in _stems(text) if not stem[0].isdigit()}


def _telling(word: str) -> float:
    if not word[0].isdigit():
        return _weight(word)
    return 3.0 if len(word) > 1 else 0.5


def quoted(text: str) -> str:
    """`text` on one line, blanks evened out, at most 300 characters."""
    line = " ".join(text.split())
    if len(line) <= QUOTE_CHARACTERS:
        return line
    return line[: QUOTE_CHARACTERS - 1].rsplit(" ", 1)[0] + "…"


def quote(text: str, queries: Sequence[str]) -> str:
    """The best sentence for the queries, as `quoted`."""
    start, end = best_sentence(text, queries)
    return quoted(text[start:end])
