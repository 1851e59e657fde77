"""From the best chunks to passages: what repeats is left out, what touches is joined. Pure functions."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ....engine.ports import Passage

JOINED_CHARACTERS = 1600  # two short chunks: the model pays for each character of a passage, and reads the best first
_JOIN_SHARE = 0.9  # of the better one's score: a weaker neighbour does not lengthen a good passage
_ALIKE = 0.9  # share of common word triples from which two texts are one
_SAMPLED = 8
_WORD = re.compile(r"\w+")


def joined(found: Sequence[Passage], most: int) -> list[Passage]:
    """The best `most` passages of `found` (best first), neighbours made one, repeated texts left out.

    A passage is a stretch of one page of its file: its text is the file's from its start to its end.
    """
    kept: list[Passage] = []
    seen: defaultdict[frozenset[str], list[_Words]] = defaultdict(list)  # by their figures
    for passage in found:
        words = _words(passage.chunk.text)
        if any(words.repeats(other) for other in seen[words.figures]):
            continue
        seen[words.figures].append(words)
        if not _absorbed(kept, passage):
            if len(kept) == most:
                break
            kept.append(passage)
    return sorted(kept, key=lambda passage: -passage.score)


@dataclass(frozen=True, slots=True)
class _Words:
    """What two texts are compared by: words in threes, a few of those, and all that are not of letters only."""

    triples: frozenset[tuple[str, ...]]
    sample: tuple[tuple[str, ...], ...]
    figures: frozenset[str]

    def repeats(self, other: "_Words") -> bool:
        """Whether one text is the other but for a few words.

        Another figure makes another text: tables and forms differ in nothing else. That is not asked here.
        """
        few, many = sorted((len(self.triples), len(other.triples)))
        if few < _ALIKE * many:
            return False
        if other.triples.isdisjoint(self.sample):
            return False  # most are told apart by this, which is quick
        common = len(self.triples & other.triples)
        return common >= _ALIKE * (few + many - common)


def _words(text: str) -> _Words:
    words = _WORD.findall(text.casefold())
    triples = list(zip(words, words[1:], words[2:], strict=False)) or [tuple(words) or (text,)]
    sample = tuple(triples[:: max(1, len(triples) // _SAMPLED)])
    return _Words(
        frozenset(triples), sample, frozenset(word for word in words if not word.isalpha())
    )


def _absorbed(kept: list[Passage], passage: Passage) -> bool:
    """Whether `passage` was joined to one of `kept`; what then touches is joined too."""
    for at, other in enumerate(kept):
        union = _union(other, passage)
        if union is not None:
            del kept[at]
            if not _absorbed(kept, union):
                kept.insert(at, union)
            return True
    return False


def _union(best: Passage, other: Passage) -> Passage | None:
    """Both as one passage when they touch on one page of one file and neither is much weaker."""
    first, second = sorted((best.chunk, other.chunk), key=lambda chunk: chunk.start)
    touch = (
        first.vector_store_id == second.vector_store_id
        and first.file_id == second.file_id
        and first.page == second.page
        and second.start <= first.end
        and max(first.end, second.end) - first.start <= JOINED_CHARACTERS
    )
    strong, weak = max(best.score, other.score), min(best.score, other.score)
    if not touch or weak < _JOIN_SHARE * strong:
        return None
    leader = best if best.score >= other.score else other
    text = first.text + second.text[first.end - second.start :]
    end = max(first.end, second.end)
    chunk = replace(leader.chunk, text=text, start=first.start, end=end)
    return replace(leader, chunk=chunk)
