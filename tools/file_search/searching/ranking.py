"""Which passages answer best: fusing two rankings, joining what belongs together. Pure functions.

Scores are relative to one search: 1 is the best that both ways of searching could find, not a probability that it
answers the question.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from ....engine.ports import Passage

Ranking = Sequence[tuple[str, float]]
"""(chunk id, score), best first; scores of different rankings need not be comparable."""

JOINED_CHARACTERS = 2400  # a joined passage grows no longer: the model pays for each of them
_JOIN_SHARE = 0.6  # a weaker neighbour does not lengthen a good passage


def scaled(ranking: Ranking) -> dict[str, float]:
    """The scores from 0 (the last) to 1 (the best); all 1 when they are equal."""
    if not ranking:
        return {}
    scores = [score for _, score in ranking]
    low, high = min(scores), max(scores)
    if high == low:
        return dict.fromkeys((id_ for id_, _ in ranking), 1.0)
    return {id_: (score - low) / (high - low) for id_, score in ranking}


def fused(dense: Ranking, sparse: Ranking, dense_weight: float) -> dict[str, float]:
    """The weighted sum of both scaled rankings; one that found nothing has no say."""
    if not sparse:
        return scaled(dense)
    if not dense:
        return scaled(sparse)
    left, right = scaled(dense), scaled(sparse)
    return {
        id_: dense_weight * left.get(id_, 0.0) + (1 - dense_weight) * right.get(id_, 0.0)
        for id_ in left | right
    }


def best_of(rankings: Iterable[Mapping[str, float]]) -> Ranking:
    """One ranking out of those of several queries: each id by its best score."""
    best: dict[str, float] = {}
    for ranking in rankings:
        for id_, score in ranking.items():
            best[id_] = max(score, best.get(id_, 0.0))
    return sorted(best.items(), key=lambda item: (-item[1], item[0]))


def joined(found: Sequence[Passage], most: int) -> list[Passage]:
    """The best `most` passages of `found` (best first), neighbours made one, repeated texts left out."""
    kept: list[Passage] = []
    seen: set[str] = set()
    for passage in found:
        words = _words(passage.chunk.text)
        if words in seen:
            continue
        seen.add(words)
        if not _absorbed(kept, passage):
            if len(kept) == most:
                break
            kept.append(passage)
    return sorted(kept, key=lambda passage: -passage.score)


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold())) or text


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
        first.file_id == second.file_id
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
