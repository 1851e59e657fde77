"""Rewriting questions before a search."""

from time import process_time

import pytest

from local_assistants.tools.file_search.searching.rewriting import MOST_PARTS, rewritten


def test_a_plain_question_stays_as_it_is() -> None:
    """Only blanks are evened out."""
    assert rewritten(["What  was the\nrevenue in 2022?"]) == ("What was the revenue in 2022?",)


@pytest.mark.parametrize(
    "query",
    [
        "Please tell me what the revenue was.",
        "Hello, could you please tell me what the revenue was.",
        "According to the uploaded document, what the revenue was.",
        "I would like to know what the revenue was.",
    ],
)
def test_courtesies_are_left_out(query: str) -> None:
    """Their words would be found in the files."""
    assert rewritten([query]) == ("what the revenue was.",)


def test_several_questions_are_looked_for_one_by_one() -> None:
    """And as a whole, for what they share."""
    query = "What was the revenue in 2022? Please tell me how many stores were opened?"

    assert rewritten([query]) == (
        query,
        "What was the revenue in 2022?",
        "how many stores were opened?",
    )


def test_quoted_names_are_looked_for_by_themselves() -> None:
    """A title in quotation marks is a thing to find."""
    query = "Who wrote “The Waves” according to the critic?"

    assert rewritten([query]) == (query, "The Waves")


def test_abbreviations_and_numbers_do_not_split() -> None:
    """A full stop before a small letter or inside a number ends no sentence."""
    query = "How much did J. smith pay, 3.5 or 4.0 million, e.g. in fees?"

    assert rewritten([query]) == (query,)


def test_one_query_becomes_a_few_at_most() -> None:
    """Each costs an embedding and a search."""
    query = " ".join(f"What happened in the year {year}?" for year in range(1990, 2000))

    assert len(rewritten([query])) == MOST_PARTS


def test_nothing_but_courtesies_is_looked_for_as_it_is() -> None:
    """A query is never empty."""
    assert rewritten(["Please", ""]) == ("Please", "")


@pytest.mark.parametrize(
    "query",
    [
        "Hello! Please tell me: what is a quorum? And who “calls the meeting” then? Thanks!",
        "a; b c d; e f g; h i j; k l m",
        "please please please",
        "“quoted words here” and “other words there”. Next sentence is this one?",
    ],
)
def test_rewriting_again_changes_nothing(query: str) -> None:
    """So it does not matter who does it first."""
    once = rewritten([query])

    assert rewritten(once) == once


def test_a_text_is_no_question() -> None:
    """It is looked for as it is, however many courtesies it begins with."""
    text = "Please " * 400 + "help."

    assert rewritten([text]) == (text,)


@pytest.mark.parametrize("text", ["," * 1990 + "x", "x" + ", " * 900 + "y", "x" + " please." * 240])
def test_hostile_queries_are_rewritten_at_once(text: str) -> None:
    """A hundred of them take less than what one took when time grew with the square of their length."""
    began = process_time()
    rewritten([text] * 100)

    assert process_time() - began < 2
