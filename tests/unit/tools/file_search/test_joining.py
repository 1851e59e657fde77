"""From the best chunks to passages."""

import pytest

from local_assistants.engine.ports import Chunk, Passage
from local_assistants.tools.file_search.searching.joining import JOINED_CHARACTERS, joined

TEXT = "".join(f"{number:04d} " for number in range(1000))
PROSE = (
    "The committee met in the spring and agreed on most of what the members had proposed before. "
    * 4
)


def passage(start: int, end: int, score: float, *, file: str = "f", page: int = 1) -> Passage:
    """A passage that is TEXT[start:end]."""
    chunk = Chunk(f"vs/{file}/{start}", "vs", file, start, TEXT[start:end], start, end, page)
    return Passage(chunk, f"{file}.pdf", score)


def spans(passages: list[Passage]) -> list[tuple[int, int, float]]:
    """(start, end, score) of each."""
    return [(one.chunk.start, one.chunk.end, one.score) for one in passages]


def said(text: str, score: float, file: str) -> Passage:
    """A passage of another file that says `text`."""
    return Passage(Chunk(f"vs/{file}/0", "vs", file, 0, text, 0, len(text)), f"{file}.txt", score)


def test_overlapping_chunks_become_one() -> None:
    """Neighbours are one passage with the text between their ends, once, under the better's name and score."""
    found = joined([passage(100, 200, 0.9), passage(150, 260, 0.85)], 5)

    assert spans(found) == [(100, 260, 0.9)]
    assert found[0].chunk.text == TEXT[100:260]
    assert found[0].chunk.id == "vs/f/100"


def test_a_bridge_joins_both_sides() -> None:
    """A chunk between two passages makes one of all three."""
    found = joined([passage(0, 100, 0.9), passage(180, 300, 0.88), passage(90, 190, 0.85)], 5)

    assert spans(found) == [(0, 300, 0.9)]
    assert found[0].chunk.text == TEXT[:300]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(passage(150, 260, 0.88, file="g"), id="another file"),
        pytest.param(passage(150, 260, 0.88, page=2), id="another page"),
        pytest.param(passage(201, 300, 0.88), id="a gap"),
        pytest.param(passage(150, 260, 0.5), id="weaker"),
        pytest.param(passage(150, 101 + JOINED_CHARACTERS, 0.88), id="too long together"),
    ],
)
def test_what_does_not_belong_together_stays_apart(other: Passage) -> None:
    """Only near equals that touch on one page are joined, up to a length."""
    assert len(joined([passage(100, 200, 0.9), other], 5)) == 2


def test_repeated_texts_are_left_out() -> None:
    """The same words in another store or file, differently set, come once."""
    copy = said(TEXT[100:200].replace(" ", "\n"), 0.8, "g")

    assert spans(joined([passage(100, 200, 0.9), copy], 5)) == [(100, 200, 0.9)]


def test_near_duplicates_are_left_out() -> None:
    """A version with another word here and there says nothing new."""
    other = PROSE.replace("al", "autumn", 1)

    found = joined([said(PROSE, 0.9, "f"), said(other, 0.8, "g")], 5)

    assert [one.chunk.file_id for one in found] == ["f"]


def test_another_figure_is_no_duplicate() -> None:
    """Two tables may differ in their numbers alone."""
    found = joined([said(f"{PROSE}In 2021.", 0.9, "f"), said(f"{PROSE}In 2022.", 0.8, "g")], 5)

    assert [one.chunk.file_id for one in found] == ["f", "g"]


@pytest.mark.parametrize("texts", [("No.", "Yes."), ("—", "…"), ("a b", "b a")])
def test_short_texts_are_compared_whole(texts: tuple[str, str]) -> None:
    """Texts of less than three words have no triples."""
    first, second = texts

    assert len(joined([said(first, 0.9, "f"), said(second, 0.8, "g")], 5)) == 2
    assert len(joined([said(first, 0.9, "f"), said(first, 0.8, "g")], 5)) == 1


def test_no_more_than_asked_for() -> None:
    """The best remain, best first."""
    found = [passage(at, at + 50, 1 - at / 1000) for at in (0, 100, 200, 300)]

    assert spans(joined(found, 2)) == [(0, 50, 1.0), (100, 150, 0.9)]
