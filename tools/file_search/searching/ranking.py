"""Which chunks answer best: fusing what vectors, words and files say. Pure functions.

Scores are relative to one search: 1 is the best that all ways of searching could find, not a probability that it
answers the question.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ....engine.ports import HybridWeights

Ranking = Sequence[tuple[str, float]]
"""(chunk id, score), best first; scores of different rankings need not be comparable."""

Scores = Mapping[str, float]
"""By chunk id, or by file key: the chunk id without its number."""

_RANK_CONSTANT = 60  # of reciprocal rank fusion: Cormack, Clarke and Büttcher, SIGIR 2009


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for the candidates of one query.

    Attributes:
        cosines: of every candidate that has a vector, whichever way it was found.
        words: relevance of every candidate that shares words with the query.
        openings: cosines of the first chunks of the candidates' files, by file key.
        files: relevance of these files by their names and opening texts, by file key.
    """

    cosines: Scores
    words: Scores
    openings: Scores = field(default_factory=dict[str, float])
    files: Scores = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class Weights:
    """What counts how much.

    Attributes:
        dense: share of vectors against words, 0..1.
        file: say of the whole file; that of the chunk is 1.
    """

    dense: float
    file: float


def file_key(chunk_id: str) -> str:
    """The key of the file that a chunk belongs to."""
    return chunk_id.rpartition("/")[0]


def shares(scores: Scores) -> dict[str, float]:
    """As shares of the best, 0..1. Both kinds have a zero of their own: nothing in common with the query.

    Stretching each kind from its worst candidate to its best would say more of the worst one than of the others.
    """
    best = max(scores.values(), default=0.0)
    return {id_: max(0.0, score) / best for id_, score in scores.items()} if best > 0 else {}


def fused(found: Evidence, weights: Weights) -> dict[str, float]:
    """The weighted sum of what is known of each candidate; a way that found nothing has no say."""
    chunks = _mixed(found.cosines, found.words, weights.dense)
    files = _mixed(found.openings, found.files, weights.dense) if weights.file else {}
    if not any(files.values()):
        return chunks
    return {
        id_: (score + weights.file * files.get(file_key(id_), 0.0)) / (1 + weights.file)
        for id_, score in chunks.items()
    }


def _mixed(cosines: Scores, relevance: Scores, share: float) -> dict[str, float]:
    dense, sparse = shares(cosines), shares(relevance)
    ids = dict.fromkeys([*cosines, *relevance])
    if (
        not dense or not sparse
    ):  # who has nothing in common with the query comes last, and is not lost
        return {id_: (dense or sparse).get(id_, 0.0) for id_ in ids}
    return {id_: share * dense.get(id_, 0.0) + (1 - share) * sparse.get(id_, 0.0) for id_ in ids}


def fused_by_rank(found: Evidence, weights: HybridWeights) -> dict[str, float]:
    """Reciprocal rank fusion with a client's weights; 1 is the first of both. A way that found nothing has no say."""
    ways = [(found.cosines, weights.embedding_weight), (found.words, weights.text_weight)]
    heard = [(scores, weight) for scores, weight in ways if scores and weight > 0]
    # As shares of the greatest first: huge ones have a sum that no float holds.
    greatest = max((weight for _, weight in heard), default=1.0)
    heard = [(scores, weight / greatest) for scores, weight in heard]
    total = sum(weight for _, weight in heard)
    sums: dict[str, float] = {}
    for scores, weight in heard:
        ordered = sorted(scores, key=lambda id_: (-scores[id_], id_))
        for place, id_ in enumerate(ordered):
            part = weight / total * (_RANK_CONSTANT + 1) / (_RANK_CONSTANT + 1 + place)
            sums[id_] = sums.get(id_, 0.0) + part
    return sums


def best_of(rankings: Iterable[Scores]) -> Ranking:
    """One ranking out of those of several queries: each id by its best score."""
    best: dict[str, float] = {}
    for ranking in rankings:
        for id_, score in ranking.items():
            best[id_] = max(score, best.get(id_, 0.0))
    return sorted(best.items(), key=lambda item: (-item[1], item[0]))
