"""Fusing rankings and joining neighbours."""

import pytest

from local_assistants.engine.ports import Chunk, Passage
from local_assistants.tools.file_search.searching.ranking import best_of, fused, joined, scaled

TEXT = "".join(f"{number:04d} " for number in range(1000))


def passage(start: int, end: int, score: float, *, file: str = "f", page: int = 1) -> Passage:
    """A passage that is TEXT[start:end]."""
    chunk = Chunk(f"vs/{file}/{start}", "vs", file, start, TEXT[start:end], start, end, page)
    return Passage(chunk, f"{file}.pdf", score)


def spans(passages: list[Passage]) -> list[tuple[int, int, float]]:
    """(start, end, score) of each."""
    return [(one.chunk.start, one.chunk.end, one.score) for one in passages]


def test_scores_are_scaled_to_their_range() -> None:
    """The best becomes 1, the last 0."""
    assert scaled([("a", 9.0), ("b", 5.0), ("c", 1.0)]) == {"a": 1.0, "b": 0.5, "c": 0.0}


def test_equal_scores_are_all_best() -> None:
    """A single hit is no loser."""
    assert scaled([("a", 0.3), ("b", 0.3)]) == {"a": 1.0, "b": 1.0}
    assert scaled([]) == {}


def test_fusion_weighs_both() -> None:
    """A hit's score is the weighted sum; a ranking that lacks it gives nothing."""
    dense, sparse = [("a", 0.9), ("b", 0.7), ("c", 0.5)], [("b", 12.0), ("d", 2.0)]

    assert fused(dense, sparse, 0.5) == pytest.approx({"a": 0.5, "b": 0.75, "c": 0.0, "d": 0.0})
    assert fused(dense, sparse, 1.0)["a"] == 1.0


def test_a_ranking_that_found_nothing_has_no_say() -> None:
    """Without keywords the best vector still has score 1, and the other way round."""
    assert fused([("a", 0.9), ("b", 0.1)], [], 0.5) == {"a": 1.0, "b": 0.0}
    assert fused([], [("a", 9.0), ("b", 1.0)], 0.5) == {"a": 1.0, "b": 0.0}


def test_several_queries_give_one_ranking() -> None:
    """Each id counts by its best query; equal scores are ordered by id."""
    assert best_of([{"a": 0.2, "b": 0.9}, {"a": 0.95, "d": 0.5, "c": 0.5}]) == [
        ("a", 0.95),
        ("b", 0.9),
        ("c", 0.5),
        ("d", 0.5),
    ]


def test_overlapping_chunks_become_one() -> None:
    """Neighbours are one passage with the text between their ends, once, under the better's name and score."""
    found = joined([passage(100, 200, 0.9), passage(150, 260, 0.8)], 5)

    assert spans(found) == [(100, 260, 0.9)]
    assert found[0].chunk.text == TEXT[100:260]
    assert found[0].chunk.id == "vs/f/100"


def test_a_bridge_joins_both_sides() -> None:
    """A chunk between two passages makes one of all three."""
    found = joined([passage(0, 100, 0.9), passage(180, 300, 0.8), passage(90, 190, 0.7)], 5)

    assert spans(found) == [(0, 300, 0.9)]
    assert found[0].chunk.text == TEXT[:300]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(passage(150, 260, 0.8, file="g"), id="another file"),
        pytest.param(passage(150, 260, 0.8, page=2), id="another page"),
        pytest.param(passage(201, 300, 0.8), id="a gap"),
        pytest.param(passage(150, 260, 0.2), id="much weaker"),
        pytest.param(passage(150, 2700, 0.8), id="too long together"),
    ],
)
def test_what_does_not_belong_together_stays_apart(other: Passage) -> None:
    """Only near equals that touch on one page are joined, up to a length."""
    assert len(joined([passage(100, 200, 0.9), other], 5)) == 2


def test_repeated_texts_are_left_out() -> None:
    """The same words in another store or file, differently set, come once."""
    copy = Chunk("vs/g/0", "vs", "g", 0, TEXT[100:200].replace(" ", "\n"), 0, 100)

    assert spans(joined([passage(100, 200, 0.9), Passage(copy, "g.txt", 0.8)], 5)) == [
        (100, 200, 0.9)
    ]


def test_no_more_than_asked_for() -> None:
    """The best remain, best first."""
    found = [passage(at, at + 50, 1 - at / 1000) for at in (0, 100, 200, 300)]

    assert spans(joined(found, 2)) == [(0, 50, 1.0), (100, 150, 0.9)]
