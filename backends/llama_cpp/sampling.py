"""Choosing the next token: llama.cpp's sampler chain, and a grammar beside it.

A grammar at the head of the chain would filter the whole vocabulary at every token and cost a third of the speed. Here
the chain chooses first and the grammar checks that one token. Only when it refuses are the 256 likeliest filtered, and
only when none of them fits the whole vocabulary.

The grammar is only ever told of a token it has just let through: anything else ends the process.
"""

import ctypes
import math
from typing import Any

from ...engine.errors import BackendFault
from .context import NativeContext
from .library import Vocabulary, bindings

_FIRST_TRY = 256  # candidates


class Grammar:
    """A GBNF grammar and how far into it the text has come.

    Raises:
        BackendFault: the library cannot parse the grammar.
    """

    def __init__(self, vocabulary: Vocabulary, text: str) -> None:
        self._native = bindings()
        self._vocabulary = vocabulary
        self._handle: Any = self._native.llama_sampler_init_grammar(
            vocabulary.handle, text.encode("utf-8"), b"root"
        )
        if not self._handle:
            raise BackendFault("llama.cpp cannot use the grammar made for this request.")

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._native.llama_sampler_free(self._handle)

    def allows(self, token: int) -> bool:
        """Whether the text may go on with `token`."""
        entry = (self._native.llama_token_data * 1)()
        entry[0].id = token
        candidates = self._native.llama_token_data_array(entry, 1, -1, False)
        self.filter(candidates)
        return not math.isinf(entry[0].logit)

    def accept(self, token: int) -> bool:
        """Go on with `token`; False, and nothing changed, if the grammar does not allow it."""
        if not self.allows(token):
            return False
        self._native.llama_sampler_accept(self._handle, token)
        return True

    def filter(self, candidates: Any) -> None:
        """Set the scores of tokens that do not fit to minus infinity."""
        self._native.llama_sampler_apply(self._handle, ctypes.byref(candidates))

    @property
    def complete(self) -> bool:
        """Whether the text so far is a whole sentence of the grammar."""
        end = self._vocabulary.end_token
        return end >= 0 and self.allows(end)


class Sampler:
    """The chain of one turn: top-p, min-p, temperature, seed; greedy at temperature 0. No penalties.

    Each token has random numbers of its own, made from the seed and the token's place in the answer: a turn that is
    replayed goes on as it would have, however often a grammar refused the chain's first choice.

    Raises:
        BackendFault: the library cannot make the chain.
    """

    def __init__(self, *, temperature: float, top_p: float, min_p: float, seed: int) -> None:
        native = self._native = bindings()
        self._chain: Any = native.llama_sampler_chain_init(
            native.llama_sampler_chain_default_params()
        )
        if not self._chain:
            raise BackendFault("llama.cpp cannot make a sampler.")
        self._seed: int | None = seed if temperature > 0 else None
        self._place = 0  # in the answer
        if self._seed is None:
            stages = [native.llama_sampler_init_greedy()]
        else:
            stages = [
                native.llama_sampler_init_top_p(top_p, 1),
                native.llama_sampler_init_min_p(min_p, 1),
                native.llama_sampler_init_temp(temperature),
                native.llama_sampler_init_dist(0),
            ]
        for stage in stages:
            native.llama_sampler_chain_add(self._chain, stage)

    def __del__(self) -> None:
        if getattr(self, "_chain", None):
            self._native.llama_sampler_free(self._chain)

    def choose(self, context: NativeContext, index: int) -> int:
        """A token for row `index`, unconstrained."""
        self._seed_place()
        return context.sample(self._chain, index)

    def replay(self, _token: int) -> None:
        """Go on as if the token had been chosen."""
        self._place += 1

    def _seed_place(self) -> None:
        """Put fresh random numbers at the chain's end."""
        place, self._place = self._place, self._place + 1
        if self._seed is None:
            return
        native = self._native
        last = native.llama_sampler_chain_n(self._chain) - 1
        native.llama_sampler_free(native.llama_sampler_chain_remove(self._chain, last))
        fresh = native.llama_sampler_init_dist(_mixed(self._seed, place))
        native.llama_sampler_chain_add(self._chain, fresh)

    def choose_within(self, grammar: Grammar, context: NativeContext, index: int) -> int:
        """A token for row `index` that the grammar allows and has accepted.

        Raises:
            BackendFault: the grammar allows no token of this vocabulary.
        """
        token = self.choose(context, index)
        if grammar.accept(token):
            return token
        for count in (_FIRST_TRY, 0):
            chosen = self._among_best(grammar, context.logits(index), count)
            if chosen is not None and grammar.accept(chosen):
                return chosen
        raise BackendFault("No token of this model fits what the request allows here.")

    def _among_best(self, grammar: Grammar, logits: Any, count: int) -> int | None:
        """The chain's choice among the `count` likeliest tokens (0: all) that fit, None if none does."""
        import numpy as np

        ids = (
            np.arange(len(logits))
            if not 0 < count < len(logits)
            else (np.argpartition(logits, -count)[-count:])
        )
        entries: Any = np.zeros(len(ids), dtype=_entry_type(np))
        entries["id"], entries["logit"] = ids, logits[ids]
        grammar.filter(self._array(entries))
        fitting: Any = entries[~np.isinf(entries["logit"])]
        if not len(fitting):
            return None
        candidates = self._array(fitting)
        self._native.llama_sampler_apply(self._chain, ctypes.byref(candidates))
        return int(candidates.data[candidates.selected].id)

    def _array(self, entries: Any) -> Any:
        pointer = entries.ctypes.data_as(ctypes.POINTER(self._native.llama_token_data))
        return self._native.llama_token_data_array(pointer, len(entries), -1, False)


def _mixed(seed: int, place: int) -> int:
    """A seed in which every bit depends on both (31 bits: 2**32 - 1 means "any" to the library)."""
    mixed = (seed + place * 0x9E3779B9) & 0xFFFFFFFF
    for factor in (0x85EBCA6B, 0xC2B2AE35):
        mixed = ((mixed ^ (mixed >> 16)) * factor) & 0xFFFFFFFF
    return (mixed ^ (mixed >> 16)) >> 1


def _entry_type(np: Any) -> Any:
    """The layout of llama_token_data."""
    return np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
