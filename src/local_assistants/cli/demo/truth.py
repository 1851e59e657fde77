"""The known truth, and how an answer in words is held against it.

The facts are those of the files themselves (examples/data): counted with the csv module and read by eye. They are used
after the fact only; nothing here ever reaches a prompt. Matching is by name and number: it does not understand an
answer, so "not GA 93" would pass for right.
"""

import csv
import re
from collections import Counter
from pathlib import Path

BANKS = "failed_banks.csv"
FILING = "ulta-beauty-q4-fiscal-2022.pdf"

MOST_FAILURES = ("Georgia", "GA", 93)
SECOND_MOST = ("Florida", "FL", 76)
SHARES_REPURCHASED = "722,457"
SHARES_PAGE = 3

_NUMBER = re.compile(r"(?<![\w.,])-?\d+(?:,\d{3})*(?:\.\d+)?")


def failures_by_state(path: Path) -> dict[str, int]:
    """State code → number of failures, most first."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [{key.strip(): value for key, value in row.items()} for row in csv.DictReader(file)]
    return dict(Counter(row["State"].strip() for row in rows).most_common())


def numbers(text: str) -> set[float]:
    """The numbers of a text; thousands commas are read, ranges and dates come apart."""
    return {float(found.replace(",", "")) for found in _NUMBER.findall(text)}


def names_state(text: str, state: tuple[str, str, int]) -> bool:
    """Whether an answer names the state, by name or code, and its count."""
    name, code, count = state
    named = name.lower() in text.lower() or re.search(rf"\b{code}\b", text) is not None
    return named and count in numbers(text)


def shown(state: tuple[str, str, int]) -> str:
    """For people."""
    name, code, count = state
    return f"{name} ({code}), {count}"
