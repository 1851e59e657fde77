"""From what a person asks to what is looked for: by rules, without a model, the same each time.

A text of several questions is looked for as a whole and question by question, so that each finds its own passages; a
name in quotation marks is looked for by itself too. Courtesies are left out: they have words, and those would be found.
It does not resolve pronouns and knows no synonyms.
"""

import re
from collections.abc import Iterator, Sequence

MOST_PARTS = 4
"""Queries that one becomes, itself included; each is embedded and searched by itself."""

_COURTESIES = re.compile(
    r"""(?:hello|hi|hey|dear\ \w+|please|thanks|thank\ you|kindly
    |(?:can|could|would|will)\ you(?:\ please)?(?:\ (?:tell|show|give|explain\ to)\ (?:me|us))?
    |(?:tell|show|give)\ (?:me|us)
    |(?:i|we)(?:\ would|'d|\ want|\ need)(?:\ like)?\ to\ (?:know|learn|find\ out|see)
    |(?:i|we)(?:\ am|'m|\ are|'re)\ (?:looking\ for|interested\ in|wondering)
    |do\ you\ know
    |(?:according\ to|based\ on|from|in|using)\ (?:the|these|this|my|our)\ (?:\w+\ )?(?:documents?|files?|pdfs?|texts?)
    )\b[\s,.:;!]*""",
    re.VERBOSE | re.IGNORECASE,
)
# Where blanks or commas begin, not at each of them: anything else takes a time that grows with their number squared.
_ENDING = re.compile(
    r"(?<![\s,])[\s,]*+(?:\b(?:please|thanks|thank you)\b[\s,.!]*+)++$", re.IGNORECASE
)
_QUESTIONS = re.compile(r"(?<=[?;])\s+|(?<=[.!])\s+(?=[A-Z0-9\"“])|(?<=[^\s\d]\))\s+(?=[A-Z])")
_QUOTED = re.compile(r"[\"“”„]([^\"“”„]{3,100})[\"“”]")
_LONGEST = 2000  # code points; what is longer is a text to find the like of, no question
_LEAST_WORDS = 3  # a part with fewer says too little to be looked for without the rest


def rewritten(queries: Sequence[str]) -> tuple[str, ...]:
    """What to look for in place of `queries`, each once and in order; rewriting again changes nothing."""
    return tuple(dict.fromkeys(part for query in queries for part in _parts(query)))


def _parts(query: str) -> list[str]:
    if len(query) > _LONGEST:
        return [query]
    plain = _plain(query)
    # Names first: a question that is kept then holds no name that was not, and rewriting it again finds nothing new.
    found = dict.fromkeys([plain, *_names(plain), *_questions(plain)])
    return list(found)[:MOST_PARTS]


def _names(text: str) -> Iterator[str]:
    """What stands in quotation marks, if it is no text of several sentences itself."""
    for name in _QUOTED.findall(text):
        if name == _plain(name) and len(_QUESTIONS.split(name)) == 1:
            yield name


def _questions(text: str) -> Iterator[str]:
    """The questions and sentences of a text of several, without courtesies."""
    for part in _QUESTIONS.split(text):
        plain = _plain(part)
        if len(plain.split()) >= _LEAST_WORDS:
            yield plain


def _plain(query: str) -> str:
    """One line without courtesies around it; the query itself when there is nothing else."""
    line = " ".join(query.split())
    short = line
    while match := _COURTESIES.match(short):
        short = short[match.end() :]
    if match := _ENDING.search(short):
        short = short[: match.start()]
    return short or line
