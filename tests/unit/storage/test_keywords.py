"""From a question to the words that are looked for."""

import pytest

from local_assistants.storage.keywords import quoted_words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What was the revenue of Nike?", ['"revenue"', '"nike"']),
        ("Revenue, REVENUE & revenue", ['"revenue"']),
        ('say "hello" AND (world)', ['"say"', '"hello"', '"world"']),
        ("to be or not to be", ['"to"', '"be"', '"or"', '"not"']),
        ("10-K for FY2019", ['"10"', '"k"', '"fy2019"']),
        ("Umsatz für Zürich", ['"umsatz"', '"für"', '"zürich"']),
        ("", []),
        (" \n\t?!*\"'()", []),
    ],
)
def test_a_question_becomes_its_quoted_words(text: str, expected: list[str]) -> None:
    """Each word once, stop words left out where others remain."""
    assert expected == quoted_words(text)


def test_a_very_long_text_is_cut() -> None:
    """A pasted page does not become a query of thousands of words."""
    assert len(quoted_words(" ".join(f"word{number}" for number in range(5000)))) == 64
