"""From what a person asks to what is looked for: by rules, without a model, the same each time.

A text of several questions is looked for as a whole and question by question, so that each finds its own passages,
whether they stand behind each other, on lines of their own, in a list or joined by "and"; a name in quotation marks is
looked for by itself too. Courtesies are left out: they have words, and those would be found.
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
    r"(?<![\s,-])[\s,-]*+(?:\b(?:please|thanks|thank you)\b[\s,.!-]*+)++$", re.IGNORECASE
)
# Where sentences end, and where points are counted on one line: (1) ... 2) ... • ...
_SENTENCES = re.compile(
    r"""(?<=[?;])\s+|(?<=[.!])\s+(?=[A-Z0-9\"“])|(?<=[^\s\d]\))\s+(?=[A-Z])|\n
    |\s\(?\d{1,2}\)\s|\s[•‣▪]\s""",
    re.VERBOSE,
)
_POINT = re.compile(r"(?:[-*•‣▪–]|\(?(?:\d{1,2}|[A-Za-z])\)|\d{1,2}\.)\s+")  # in front of a line
_ASKS = r"(?:what|who|whom|whose|which|where|when|why|how)"
_ASKING = re.compile(rf"{_ASKS}\b", re.IGNORECASE)
_ALSO = re.compile(rf",? (?:and|or)(?: also)? (?={_ASKS}\b)", re.IGNORECASE)
_WHOLE = re.compile(
    rf"(?:{_ASKS}|is|are|was|were|do|does|did|has|have|had|can|could|will|would|should|may|must)\b",
    re.IGNORECASE,
)
_REFERS = re.compile(
    r"\b(?:it|its|they|them|their|he|him|his|she|her|this|these|those)\b", re.IGNORECASE
)
_QUOTED = re.compile(r"[\"“”„]([^\"“”„]{3,100})[\"“”]")
_LONGEST = 2000  # code points; what is longer is a text to find the like of, no question
_LEAST_WORDS = 3  # a part with fewer says too little to be looked for without the rest


def rewritten(queries: Sequence[str]) -> tuple[str, ...]:
    """What to look for in place of `queries`, each once and in order; rewriting again changes nothing."""
    return tuple(dict.fromkeys(part for query in queries for part in _parts(query)))


def _parts(query: str) -> list[str]:
    if len(query) > _LONGEST:
        return [query]
    plain = _plain(_lines(query))
    questions = list(_questions(plain))
    # Names first: a question that is kept then holds no name that was not, and rewriting it again finds nothing new.
    names = [name for text in (plain, *questions) for name in _names(text)]
    return list(dict.fromkeys([plain, *names, *questions]))[:MOST_PARTS]


def _lines(query: str) -> str:
    """The query with blanks evened out; lines that begin something new stay lines, points get a "- "."""
    lines: list[str] = []
    for line in (" ".join(line.split()) for line in query.splitlines()):
        point = _POINT.match(line + " ")
        if point:
            lines += ["- " + line[point.end() :]] if point.end() < len(line) else []
        elif line and lines and line[0].islower() and not _ASKING.match(line):
            lines[-1] += " " + line  # the line before was too long for whoever wrote it
        elif line:
            lines.append(line)
    return "\n".join(lines) or " ".join(query.split())


def _names(text: str) -> Iterator[str]:
    """What stands in quotation marks, if it is no text of several sentences itself."""
    for name in _QUOTED.findall(text):
        if name == _plain(name) and set(_questions(name)) <= {name}:
            yield name


def _questions(text: str) -> Iterator[str]:
    """The questions and sentences of a text of several, without courtesies."""
    for sentence in _SENTENCES.split(text):
        for part in _apart(_plain(sentence)):
            plain = _plain(part)
            if len(plain.split()) >= _LEAST_WORDS:
                yield plain


def _apart(sentence: str) -> list[str]:
    """Questions that are joined by "and", if each can be asked by itself."""
    parts = _ALSO.split(sentence)
    return parts if len(parts) > 1 and all(_is_whole(part) for part in parts) else [sentence]


def _is_whole(question: str) -> bool:
    """Whether it begins as a question, has words enough, and speaks of nothing that was named before it."""
    enough = len(question.split()) >= _LEAST_WORDS
    return enough and bool(_WHOLE.match(question)) and not _REFERS.search(question)


def _plain(text: str) -> str:
    """A text without courtesies around it, or a point in front; the text itself when there is nothing else."""
    short = text = _pointless(text.strip())
    while match := _COURTESIES.match(short):
        short = _pointless(short[match.end() :])
    if match := _ENDING.search(short):
        short = short[: match.start()]
    return short or text


def _pointless(text: str) -> str:
    while match := _POINT.match(text):
        text = text[match.end() :]
    return text
