"""Sentences, quotes and excerpts."""

import pytest

from local_assistants.engine.sentences import best_sentence, proof, quote, sentences
from local_assistants.tools.file_search.quoting import estimated_tokens, excerpt

REPORT = (
    "Net sales rose 5% to $3.2 billion in 2023.\nThe company, Ulta Inc. (NASDAQ: ULTA), repurchased\n"
    "722,457 shares at 4:30 p.m. ET. Stores were opened in Texas. Fiscal 2023 was good."
)


def test_sentences_run_over_lines_and_abbreviations() -> None:
    """A line's end ends no sentence, nor does the full stop of an abbreviation."""
    assert [REPORT[start:end] for start, end in sentences(REPORT)] == [
        "Net sales rose 5% to $3.2 billion in 2023.",
        "The company, Ulta Inc. (NASDAQ: ULTA), repurchased\n722,457 shares at 4:30 p.m. ET.",
        "Stores were opened in Texas.",
        "Fiscal 2023 was good.",
    ]


def test_a_table_goes_by_rows() -> None:
    """What is too long for a sentence is taken line by line."""
    table = "\n".join(f"Row {number}  {number * 37}" for number in range(40))

    assert [table[start:end] for start, end in sentences(table)] == table.split("\n")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("How many shares were repurchased in 2023?", "722,457 shares"),
        ("Where were stores opened?", "in Texas"),
        ("net sales", "$3.2 billion"),
        ("unrelated", "Net sales rose"),
    ],
)
def test_the_quote_is_the_best_sentence(query: str, expected: str) -> None:
    """A quote is the sentence with the query's telling words, on one line; else the first one."""
    found = quote(REPORT, [query])

    assert expected in found
    assert found in " ".join(REPORT.split())


def test_a_heading_is_quoted_only_when_nothing_else_says_as_much() -> None:
    """A citation opens the sentence, not the title above it."""
    page = "Warranty terms\n\nThe warranty lasts 27 months.\n\n# Shipping\n\nParcels leave at noon."

    assert quote(page, ["How long does the warranty last?"]) == "The warranty lasts 27 months."
    assert quote(page, ["unrelated"]) == "The warranty lasts 27 months."
    assert quote(page, ["shipping"]) == "# Shipping"


def test_the_best_of_several_queries() -> None:
    """Any of the queries may find the sentence."""
    start, end = best_sentence(REPORT, ["nothing here", "stores in Texas"])

    assert REPORT[start:end] == "Stores were opened in Texas."


def test_a_long_quote_is_cut_between_words() -> None:
    """A quote has at most 300 characters."""
    found = quote("word " * 200, ["word"])

    assert len(found) <= 300
    assert found.endswith("word…")


def test_an_excerpt_holds_the_answer() -> None:
    """A text too long for the budget is cut around the sentence that answers."""
    filler = "Some other sentence that says nothing. " * 30
    text = f"{filler}The dividend was 17 cents. {filler}"
    start, end = excerpt(text, ["What was the dividend?"], 100)
    found = text[start:end]

    assert "The dividend was 17 cents." in found
    assert found == found.strip()
    assert 60 < estimated_tokens(found) <= 100


def test_a_text_that_fits_stays_whole() -> None:
    """Nothing is cut from what can be read."""
    assert (2, 2 + len(REPORT)) == excerpt(f"  {REPORT}\n", ["shares"], 500)


def test_an_endless_sentence_is_cut() -> None:
    """Even a sentence beyond the budget keeps it."""
    start, end = excerpt("word" * 1000, ["x"], 50)

    assert 0 == start
    assert 0 < estimated_tokens("word" * 1000) * end / 4000 <= 50


def test_figures_cost_more_than_words() -> None:
    """Language models read figures digit by digit."""
    assert estimated_tokens("1,234,567") == 9
    assert estimated_tokens("Ordinary prose of some words") == 7


@pytest.mark.parametrize(
    ("claim", "before", "expected"),
    [
        ("It bought back 722457 shares", "", "722,457 shares"),
        ("Sales went up 5%", "", "Net sales rose 5%"),
        ("New stores opened", "", "Stores were opened in Texas."),
        ("It was a good year", "In fiscal 2023 all went well.", "Fiscal 2023 was good."),
    ],
)
def test_a_claim_is_borne_out_by_the_sentence_with_its_figures(
    claim: str, before: str, expected: str
) -> None:
    """However the figure is written; what was said before helps where the claim itself says little."""
    found = proof(REPORT, claim, before)

    assert found is not None
    assert expected in REPORT[slice(*found)]


def test_a_claim_that_nothing_bears_out_has_no_proof() -> None:
    """Better none than a sentence met by chance."""
    assert proof(REPORT, "Unicorns graze on the moon") is None
    assert proof("", "anything") is None
