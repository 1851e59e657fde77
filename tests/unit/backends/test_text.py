"""Stop strings and what is held back for them."""

import pytest

from local_assistants.backends.text import StopStrings, held_back


@pytest.mark.parametrize(
    ("text", "markers", "held"),
    [
        ("abc", ["cd"], 1),
        ("abc", ["bcd", "cd"], 2),
        ("abc", ["abc"], 0),
        ("", ["a"], 0),
        ("a", [], 0),
        ("aab", ["aabaa"], 3),
    ],
)
def test_longest_possible_beginning_is_held(text: str, markers: list[str], held: int) -> None:
    """Only an end that may become a marker is held back."""
    assert held_back(text, markers) == held


@pytest.mark.parametrize(
    ("stops", "text", "expected", "hit"),
    [
        (["END"], "one END two", "one ", True),
        (["END"], "one EN two", "one EN two", False),
        (["END"], "one EN", "one EN", False),
        (["b", "ab"], "xab", "x", True),
        ([""], "abc", "abc", False),
        ([], "abc", "abc", False),
        (["🌧"], "Oslo 🌧!", "Oslo ", True),
    ],
)
def test_every_split_stops_at_the_same_place(
    stops: list[str], text: str, expected: str, hit: bool
) -> None:
    """Cutting the text elsewhere changes nothing."""
    for at in range(len(text) + 1):
        filter_ = StopStrings(stops)
        shown = filter_.feed(text[:at]) + filter_.feed(text[at:])
        shown += "" if filter_.hit else filter_.flush()
        assert (shown, filter_.hit) == (expected, hit)
