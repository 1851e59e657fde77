"""What of a passage the model reads and a citation quotes: the best sentence, and the stretch around it that fits.

Token counts here are estimates for any language model: such models split figures into digits, so digits and signs
count one each and other characters a quarter, which errs on the safe side for prose.
"""

import re
from collections import Counter
from collections.abc import Sequence

QUOTE_CHARACTERS = 300
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"'”’)\]]*\s+(?=[\"'“‘(\[]*[A-Z0-9])|\n\s*\n")
_ABBREVIATION = re.compile(
    r"(?:\b\w\.\w|\b(?:inc|corp|co|ltd|no|nos|mr|mrs|ms|dr|vs|st|fig|approx))\.\Z", re.I
)
_LINE = re.compile(r"\n")
_WORD = re.compile(r"\w+")
_STEM = 6  # words with the same first letters count as one word: stores, stored
_EMPTY = """
and are did does during for from had has have how many much that the their this was were what when where which who with
"""
_EMPTY_WORDS = frozenset(_EMPTY.split())
_DATES = "january february march april may june july august september october november december"
_MONTHS = frozenset(month[:_STEM] for month in _DATES.split())


def estimated_tokens(text: str) -> int:
    """About how many tokens a language model makes of `text`, rather too many than too few."""
    letters = sum(1 for character in text if character.isalpha() or character.isspace())
    return letters // 4 + len(text) - letters


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

    def worth(at: int) -> tuple[float, int]:
        shared = (
            sum(_weight(stem) / spread[stem] for stem in found[at] & words) for words in wanted
        )
        start, end = spans[at]
        return max(shared, default=0.0), start - end  # among equals the shorter

    if not spans:
        return 0, len(text)
    best = max(range(len(spans)), key=worth)
    return spans[best if worth(best)[0] else 0]


def _weight(stem: str) -> float:
    return 0.5 if stem[0].isdigit() or stem in _MONTHS else 1.0


def _stems(text: str) -> set[str]:
    words = _WORD.findall(text.casefold())
    return {word[:_STEM] for word in words if len(word) > 2 and word not in _EMPTY_WORDS}


def quote(text: str, queries: Sequence[str]) -> str:
    """The best sentence for the queries, blanks evened out, at most 300 characters."""
    start, end = best_sentence(text, queries)
    line = " ".join(text[start:end].split())
    if len(line) <= QUOTE_CHARACTERS:
        return line
    return line[: QUOTE_CHARACTERS - 1].rsplit(" ", 1)[0] + "…"


def excerpt(text: str, queries: Sequence[str], tokens: int) -> str:
    """`text`, or as many whole sentences around the best one as fit into `tokens`; at least its beginning."""
    text = text.strip()
    if estimated_tokens(text) <= tokens:
        return text
    spans = sentences(text)
    best = spans.index(best_sentence(text, queries))
    first, last = best, best
    while True:
        after = last + 1 < len(spans) and _fits(text, spans[first][0], spans[last + 1][1], tokens)
        last += after
        before = first > 0 and _fits(text, spans[first - 1][0], spans[last][1], tokens)
        first -= before
        if not after and not before:
            break
    found = text[spans[first][0] : spans[last][1]].strip()
    while estimated_tokens(found) > tokens:
        found = found[: len(found) * 9 // 10].rstrip()
    return found


def _fits(text: str, start: int, end: int, tokens: int) -> bool:
    return estimated_tokens(text[start:end]) <= tokens
