"""Random text within a grammar: what the worst of models would write under it."""

import random
from typing import Any

import numpy as np

from local_assistants.backends.llama_cpp.native import Vocabulary, bindings
from local_assistants.backends.llama_cpp.sampling import Grammar

_ENTRY = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


def babble(vocabulary: Vocabulary, grammar: str, seed: int, *, most: int = 1500) -> str | None:
    """A random text of the grammar, byte by byte as the tokens allow; None if it does not end in `most` tokens.

    The further it gets the more it favours tokens that end strings, lists, objects and numbers.
    """
    native = Grammar(vocabulary, grammar)
    dice = random.Random(seed)
    said = b""
    for length in range(most):
        allowed = _allowed(native, vocabulary)
        if vocabulary.end_token in allowed and dice.random() < 0.1 + length / 100:
            return said.decode()
        tokens = [token for token in allowed if not vocabulary.is_end(token)]
        if not tokens:
            return said.decode() if vocabulary.end_token in allowed else None
        closing = [token for token in tokens if vocabulary.piece(token) in (b'"', b"}", b"]")]
        favoured = closing if closing and dice.random() < length / 200 else tokens
        token = dice.choice(favoured)
        assert native.accept(token)
        said += vocabulary.piece(token)
    return None


def _allowed(grammar: Grammar, vocabulary: Vocabulary) -> list[int]:
    entries: Any = np.zeros(vocabulary.size, dtype=_ENTRY)
    entries["id"] = np.arange(vocabulary.size)
    native = bindings()
    pointer = entries.ctypes.data_as(native.llama_token_data_p)
    grammar.filter(native.llama_token_data_array(pointer, len(entries), -1, False))
    fitting = [int(token) for token in entries["id"][~np.isinf(entries["logit"])]]
    return [token for token in fitting if _is_text(vocabulary, token)]


def _is_text(vocabulary: Vocabulary, token: int) -> bool:
    """Whole characters only: the library lets bytes follow one another that are no UTF-8."""
    try:
        return bool(vocabulary.piece(token).decode()) or vocabulary.is_end(token)
    except UnicodeDecodeError:
        return False
