"""Mending what PDF text extraction tears apart."""

import pytest

from local_assistants.tools.file_search.parsing.pdf_pypdf import is_scattered, keeps_words, mend
from local_assistants.tools.file_search.parsing.pdf_text import tidy


def test_torn_words_are_joined() -> None:
    """Pieces that make a word of the plain text, and are none there by themselves, become that word."""
    plain = "We have a Five-Year Facility of 5 offices and a Total"

    assert mend("W  e have a Five-Y  ear Facility of 5 of fices a nd a T otal", plain) == (
        "We have a Five-Year Facility of 5 offices and a Total"
    )


def test_whole_words_are_not_joined() -> None:
    """Two words of the plain text stay two, also when together they are a third one."""
    assert mend("in to the store", "in to into the store") == "in to the store"


@pytest.mark.parametrize(
    ("text", "scattered"),
    [
        ("Net sales\n" + "$\n3,226.8\n2,729.4\n" * 5, True),
        ("Net sales  3,226.8  2,729.4\n" * 15, False),
        ("A sentence that goes on.\n" * 15 + "12\n", False),
        ("Net sales\n\n$10.95 billion to $11.05 billion\nNew stores\n\n25-30\n" * 4, True),
        ("A heading\n\nA paragraph that is longer than any cell of a table is.\n\n" * 8, False),
        ("1\n2\n3", False),
    ],
)
def test_scattered_tables_are_recognised(text: str, scattered: bool) -> None:
    """Many lines with a lone figure are a table that lost its rows; one page number is not."""
    assert is_scattered(text) is scattered


def test_lost_words_are_noticed() -> None:
    """A layout that drops a part of the page is not taken."""
    plain = " ".join(f"word{number}" for number in range(100))

    assert keeps_words(plain.replace(" ", "   "), plain)
    assert not keeps_words(plain.partition("word90")[0], plain)
    assert not keeps_words("", plain)


def test_tidying_keeps_columns_apart() -> None:
    """Runs of blanks become two, runs of empty lines one; the rest stays."""
    assert tidy("  Net sales      3.2   \r\n \n\n \n b\u00a0c\x00 ") == "Net sales  3.2\n\nb c"
