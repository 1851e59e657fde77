"""Rewriting questions before a search."""

from random import Random
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


@pytest.mark.parametrize(
    ("query", "questions"),
    [
        ("How many stores\nWho is the auditor", ["How many stores", "Who is the auditor"]),
        ("Net sales of 2022\n\nNew stores of 2022", ["Net sales of 2022", "New stores of 2022"]),
        (
            "1. What is a quorum?\n2. Who calls meetings?",
            ["What is a quorum?", "Who calls meetings?"],
        ),
        ("- net sales of 2022\n* share price today", ["net sales of 2022", "share price today"]),
        ("a) Who is the auditor\nb) Who is the chair", ["Who is the auditor", "Who is the chair"]),
        ("See: 1) what is a quorum 2) who calls it off", ["what is a quorum", "who calls it off"]),
        ("What is a quorum and who calls a meeting?", ["What is a quorum", "who calls a meeting?"]),
        ("Is there a fee, and also how much is due?", ["Is there a fee", "how much is due?"]),
    ],
)
def test_questions_are_told_apart_however_they_are_joined(query: str, questions: list[str]) -> None:
    """By lines, by points of a list, by "and" between two that can each be asked alone."""
    whole, *parts = rewritten([query])

    assert questions == parts
    assert len(" ".join(parts)) <= len(whole)


@pytest.mark.parametrize(
    "query",
    [
        "What was the revenue that the company told of\nin its report of last year?",
        "What is photosynthesis and how does it work?",
        "Where and when was the meeting held?",
        "Explain the terms and how many there are",
        "Who founded the company and sold the shares?",
        "What is the difference between why and how?",
    ],
)
def test_what_cannot_be_asked_alone_stays_together(query: str) -> None:
    """A line that goes on, a question that speaks of what the other named, half a question."""
    assert rewritten([query]) == (" ".join(query.split()),)


def test_a_query_of_points_alone_is_looked_for() -> None:
    """A query is never empty, and never more than a list has."""
    assert rewritten(["1.\n2."]) == ("2.",)
    assert rewritten(["- "]) == ("-",)


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


def test_rewriting_what_was_rewritten_changes_nothing_whatever_it_is() -> None:
    """Words, marks, points and courtesies in any order."""
    bits = [
        "please",
        "thanks",
        "what",
        "is",
        "the",
        "Revenue",
        "and",
        "who",
        "how",
        "it",
        ",",
        "? ",
    ]
    bits += [
        ". ",
        "! ",
        "\n",
        "\n- ",
        "1. ",
        " 2) ",
        "• ",
        "“",
        "”",
        '"',
        "- ",
        "a)",
        "Hello",
        "or",
    ]
    bits += ["can you tell me", "do you know", "also", "in 2022", "; ", ":", "3.5", "(x)"]
    dice = Random(1)
    for _ in range(5000):
        words = dice.choices(bits, k=dice.randrange(1, 14))
        once = rewritten([dice.choice(("", " ")).join(words)])
        assert once == rewritten(once)
        assert len(once) <= MOST_PARTS


_LISTS = [
    "what is a " + "and what is b " * 130,
    "\n- " * 660,
    "1. " * 660,
    " 1)" * 660,
    "\n" * 1999,
]


@pytest.mark.parametrize(
    "text", ["," * 1990 + "x", "x" + ", " * 900 + "y", "x" + " please." * 240, *_LISTS]
)
def test_hostile_queries_are_rewritten_at_once(text: str) -> None:
    """A hundred of them take less than what one took when time grew with the square of their length."""
    began = process_time()
    rewritten([text] * 100)

    assert process_time() - began < 2
