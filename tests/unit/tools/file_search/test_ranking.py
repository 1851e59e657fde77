"""Fusing what vectors, words and files say."""

import pytest

from local_assistants.engine.ports import HybridWeights
from local_assistants.tools.file_search.searching.ranking import (
    Evidence,
    Weights,
    best_of,
    file_key,
    fused,
    fused_by_rank,
    shares,
)

EVEN = Weights(dense=0.5, file=0.0)


def test_scores_are_shares_of_the_best() -> None:
    """What has nothing in common with the query stays at zero, what is opposed to it too."""
    assert shares({"a": 0.8, "b": 0.4, "c": 0.0, "d": -0.2}) == {
        "a": 1.0,
        "b": 0.5,
        "c": 0.0,
        "d": 0.0,
    }


@pytest.mark.parametrize("scores", [{}, {"a": 0.0}, {"a": -0.5}])
def test_nothing_in_common_is_no_evidence(scores: dict[str, float]) -> None:
    """Without a positive score there is nothing to take shares of."""
    assert shares(scores) == {}


def test_candidates_with_nothing_in_common_are_kept() -> None:
    """A filter may leave nothing else: they come last, and score nothing."""
    found = Evidence(cosines={"a": -0.1, "b": -0.2}, words={}, openings={"vs/f": -0.1})

    assert {"a": 0.0, "b": 0.0} == fused(found, Weights(0.5, 0.3))
    assert {"a": 0.0, "b": 1.0} == fused(Evidence({"a": -0.1}, {"b": 2.0}), EVEN)


def test_fusion_weighs_both() -> None:
    """A candidate's score is the weighted sum; words that it lacks give nothing."""
    found = Evidence(cosines={"a": 0.8, "b": 0.4, "c": 0.2}, words={"b": 12.0, "c": 3.0})

    assert fused(found, EVEN) == pytest.approx({"a": 0.5, "b": 0.75, "c": 0.25})
    assert fused(found, Weights(1.0, 0.0)) == pytest.approx({"a": 1.0, "b": 0.5, "c": 0.25})


def test_a_text_without_vector_counts_by_its_words() -> None:
    """So it is found while it is still being embedded."""
    found = Evidence(cosines={"a": 0.8}, words={"b": 12.0})

    assert fused(found, EVEN) == {"a": 0.5, "b": 0.5}


def test_a_way_that_found_nothing_has_no_say() -> None:
    """Without words the best vector still has score 1, and the other way round."""
    assert fused(Evidence({"a": 0.8, "b": 0.4}, {}), EVEN) == {"a": 1.0, "b": 0.5}
    assert fused(Evidence({}, {"a": 9.0, "b": 4.5}), EVEN) == {"a": 1.0, "b": 0.5}


def test_a_file_speaks_for_its_chunks() -> None:
    """Of two equal chunks the one from the file that is about the question comes first."""
    found = Evidence(
        cosines={"vs/f/7": 0.5, "vs/g/7": 0.5},
        words={},
        openings={"vs/f": 0.2, "vs/g": 0.8},
        files={"vs/g": 3.0},
    )

    scores = fused(found, Weights(dense=0.5, file=0.25))

    assert scores == pytest.approx({"vs/f/7": (1 + 0.25 * 0.125) / 1.25, "vs/g/7": 1.0})


def test_files_without_evidence_change_nothing() -> None:
    """Scores are not made smaller by what nobody knows."""
    found = Evidence({"vs/f/7": 0.5}, {})

    assert fused(found, Weights(0.5, 0.3)) == {"vs/f/7": 1.0}


def test_the_file_of_a_chunk_is_in_its_id() -> None:
    """The id without its number."""
    assert file_key("vs_1/file-2/30") == "vs_1/file-2"


def test_fusion_by_rank_follows_the_clients_weights() -> None:
    """Reciprocal ranks with constant 60; first in both ways is 1."""
    found = Evidence(cosines={"a": 0.9, "b": 0.1}, words={"b": 7.0, "a": 2.0, "c": 1.0})

    scores = fused_by_rank(found, HybridWeights(embedding_weight=3.0, text_weight=1.0))

    assert scores == pytest.approx(
        {
            "a": 0.75 + 0.25 * 61 / 62,
            "b": 0.75 * 61 / 62 + 0.25,
            "c": 0.25 * 61 / 63,
        }
    )


def test_a_weight_of_zero_silences_a_way() -> None:
    """What only that way found has no score at all."""
    found = Evidence(cosines={"a": 0.9}, words={"b": 7.0})

    assert fused_by_rank(found, HybridWeights(0.0, 1.0)) == {"b": 1.0}


def test_several_queries_give_one_ranking() -> None:
    """Each id counts by its best query; equal scores are ordered by id."""
    assert best_of([{"a": 0.2, "b": 0.9}, {"a": 0.95, "d": 0.5, "c": 0.5}]) == [
        ("a", 0.95),
        ("b", 0.9),
        ("c", 0.5),
        ("d", 0.5),
    ]
