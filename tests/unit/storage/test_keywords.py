"""From a question to a full-text query."""

import pytest

from local_assistants.storage.keywords import match_expression


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What was the revenue of Nike?", '"revenue" OR "nike"'),
        ("Revenue, REVENUE & revenue", '"revenue"'),
        ('say "hello" AND (world)', '"say" OR "hello" OR "world"'),
        ("to be or not to be", '"to" OR "be" OR "or" OR "not"'),
        ("10-K for FY2019", '"10" OR "k" OR "fy2019"'),
        ("Umsatz für Zürich", '"umsatz" OR "für" OR "zürich"'),
        ("", None),
        (" \n\t?!*\"'()", None),
    ],
)
def test_a_question_becomes_its_quoted_words(text: str, expected: str | None) -> None:
    """Each word once, stop words left out where others remain."""
    assert expected == match_expression(text)


def test_a_very_long_text_is_cut() -> None:
    """A pasted page does not become a query of thousands of words."""
    expression = match_expression(" ".join(f"word{number}" for number in range(5000)))
    assert expression is not None
    assert expression.count(" OR ") == 63
