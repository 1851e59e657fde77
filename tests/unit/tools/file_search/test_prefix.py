"""The line that is embedded before a chunk's text."""

import pytest

from local_assistants.tools.file_search.embedding.prefix import heading_line


@pytest.mark.parametrize(
    ("filename", "line"),
    [
        ("AMCOR_2023Q4_EARNINGS.pdf", "AMCOR 2023 Q 4 EARNINGS"),
        ("state_of_the_union.md", "state of the union"),
        ("Jahresabschluss 2023 (Entwurf).docx", "Jahresabschluss 2023 Entwurf"),
        ("рапорт-7.txt", "рапорт 7"),
        ("Makefile", "Makefile"),
    ],
)
def test_a_name_is_read_as_words(filename: str, line: str) -> None:
    """Signs between words and the extension are no part of it, in any script."""
    assert heading_line(filename, "") == line


@pytest.mark.parametrize(
    "filename", ["4983.txt", "IMG_0001.pdf", "scan (2).pdf", "a1.md", "final_draft.docx", ""]
)
def test_a_name_that_says_nothing_is_left_out(filename: str) -> None:
    """Numbers and words that any file may have would only pull unlike texts together."""
    assert heading_line(filename, "") == ""
    assert heading_line(filename, "Results") == "Results"


def test_headings_follow_the_name() -> None:
    """The path of headings comes as it is."""
    assert heading_line("report.pdf", "Part I > Risks") == "report > Part I > Risks"
