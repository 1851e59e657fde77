"""Holds an answer in words against the truth, by words and numbers.

It does not understand an answer: who names the right state and the right count is right, whatever else is said. An
answer that lists more numbers than a sentence has room for is none: the truth would be in it by chance.
"""

import re
from collections.abc import Iterator

from analyst_parts.questions import Question

_MOST_NUMBERS = 12
_NUMBER = re.compile(r"(?<![\w.])-?(?:\d{1,3}(?:[, \u202f]\d{3})+|\d+)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_SCALES = {"thousand": 1e3, "million": 1e6, "billion": 1e9}
_SHORT = 3  # letters; such a word, like GA, must stand alone and in capitals


def right(question: Question, answer: str) -> bool:
    """Whether the answer holds every part of the truth."""
    said = list(numbers(answer))
    if len(set(said)) > _MOST_NUMBERS:
        return False
    return all(
        _named(part, answer)
        if isinstance(part, str)
        else any(abs(abs(number) - abs(part)) <= question.within + 1e-9 for number in said)
        for part in question.answer
    )


def numbers(text: str) -> Iterator[float]:
    """The numbers of a text as they are written; 3.8 billion is one number."""
    for found in _NUMBER.finditer(text):
        scale = re.match(r"\s*(thousand|million|billion)\b", text[found.end() :])
        yield float(re.sub(r"[, \u202f]", "", found.group())) * (
            _SCALES[scale.group(1)] if scale else 1
        )


def _named(part: str, answer: str) -> bool:
    return any(
        re.search(rf"\b{re.escape(name)}\b", answer, 0 if len(name) <= _SHORT else re.IGNORECASE)
        for name in part.split("|")
    )
