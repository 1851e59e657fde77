"""From any user's text to a safe full-text query.

A text is cut into words, words that carry no meaning are dropped, and each of the rest is quoted, so that nothing a
user types is query syntax. What is a match and how it is ranked is the index's business (porter, bm25).
"""

import re

_WORD = re.compile(r"[\w\u0300-\u036f]+")  # combining accents belong to their letter
_MOST = 64  # words of a query; more would only cost time

_ENGLISH = """
a about after again all also am an and any are as at be because been before being between both but
by can could did do does doing down during each few for from further had has have having he her here
hers him his how i if in into is it its just me more most my no nor not now of off on once only or
other our out over own please s same she should so some such t tell than that the their them then
there these they this those through to too under until up us very was we were what when where which
while who whom why will with would you your
"""
_STOP_WORDS = frozenset(_ENGLISH.split())


def quoted_words(text: str) -> list[str]:
    """The words of `text` that say something, each once, as FTS5 strings.

    Stop words are kept when there is nothing else.
    """
    words = list(dict.fromkeys(_WORD.findall(text.casefold())))
    meaning = [word for word in words if word not in _STOP_WORDS] or words
    return [f'"{word}"' for word in meaning[:_MOST]]
