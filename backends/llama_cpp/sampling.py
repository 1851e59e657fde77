"""Choosing the next token: llama.cpp's samplers, and a grammar beside them.

The samplers cost time by the token they look at, and a vocabulary has 150,000. So they only see those that can be
chosen: numpy finds the ones that min-p leaves in a tenth of a millisecond.

A grammar at the head of the chain would filter the whole vocabulary at every token and cost a third of the speed. Here
a token is chosen first and the grammar checks that one. Only when it refuses are some hundred of the likeliest
filtered, and only when none of them fits the whole vocabulary.

The grammar is only ever told of a token it has just let through: anything else ends the process.
"""

import ctypes
import math
from collections import deque
from dataclasses import dataclass
from typing import Any

from ...engine.errors import BackendFault
from .calls.call_openings import MARKERS
from .context import NativeContext
from .native import Vocabulary, bindings

_TRIES = (8.0, 16.0, math.inf)  # how far below the best score a grammar's candidates may lie
_FIRST_TRY = 256  # of them, about
_TAIL = 9.0  # tokens that far below another one are not missed
_REMEMBERED = 64  # tokens that penalties look back on


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
        self._marks: Any = None  # control tokens that are no text, once they are needed
        self._one: Any = (self._native.llama_token_data * 1)()

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self._native.llama_sampler_free(self._handle)

    def allows(self, token: int) -> bool:
        """Whether the text may go on with `token`."""
        if not self.writes(token):
            return False
        entry = self._one[0]
        entry.id, entry.logit = token, 0.0
        self.filter(self._native.llama_token_data_array(self._one, 1, -1, False))
        return not math.isinf(entry.logit)

    def writes(self, token: int) -> bool:
        """Whether the token is text, the end, or a tag; the library takes other control tokens for their names."""
        written = self._vocabulary.written(token)
        return not written or written in MARKERS or self._vocabulary.is_end(token)

    def without_marks(self, entries: Any) -> Any:
        """The candidates that `writes` holds for."""
        import numpy as np

        if self._marks is None:
            controls = self._vocabulary.control_ids
            marks = [token for token in controls if not self.writes(token)]
            self._marks = np.array(marks, dtype=np.int32)
        return entries[~np.isin(entries["id"], self._marks)]

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


@dataclass(frozen=True, slots=True)
class Penalties:
    """What makes tokens less likely that are among the last 64 of the answer: a factor, and two amounts.

    `frequency` counts for every time that the token is there, `presence` once. Only the answer counts: a prompt ends
    with the very tokens of the template that an answer needs to end.
    """

    repeat: float = 1.0
    frequency: float = 0.0
    presence: float = 0.0

    def __bool__(self) -> bool:
        return (self.repeat, self.frequency, self.presence) != (1.0, 0.0, 0.0)


class Sampler:
    """The chain of one turn: penalties, min-p, top-p, temperature, seed; greedy at temperature 0.

    min-p comes first of those that cut the tail, since it can be done without sorting.

    Each token has random numbers of its own, made from the seed and the token's place in the answer: a turn that is
    replayed goes on as it would have, however often a grammar refused the chain's first choice.

    Raises:
        BackendFault: the library cannot make the chain.
    """

    def __init__(
        self,
        *,
        temperature: float,
        top_p: float,
        min_p: float,
        seed: int,
        vocabulary_size: int,
        penalties: Penalties | None = None,
    ) -> None:
        self._native = bindings()
        self._seed = seed
        self._place = 0  # in the answer
        self._depth = -math.log(min_p) if 0 < min_p <= 1 else math.inf  # of scores below the best
        self._recent: deque[int] = deque(maxlen=_REMEMBERED)
        self._chain = self._penalty = None
        if temperature > 0:
            self._chain = self._make_chain(temperature, top_p)
        if penalties:
            self._penalty = self._make_penalty(penalties, vocabulary_size)

    def _make_chain(self, temperature: float, top_p: float) -> Any:
        native = self._native
        chain: Any = native.llama_sampler_chain_init(native.llama_sampler_chain_default_params())
        if not chain:
            raise BackendFault("llama.cpp cannot make a sampler.")
        for stage in (
            native.llama_sampler_init_top_p(top_p, 1),
            native.llama_sampler_init_temp(temperature),
            native.llama_sampler_init_dist(0),
        ):
            native.llama_sampler_chain_add(chain, stage)
        return chain

    def _make_penalty(self, given: Penalties, vocabulary_size: int) -> Any:
        sampler: Any = self._native.llama_sampler_init_penalties(
            vocabulary_size, _REMEMBERED, given.repeat, given.frequency, given.presence
        )
        if not sampler:
            raise BackendFault("llama.cpp cannot use these penalties.")
        return sampler

    def __del__(self) -> None:
        for handle in (getattr(self, "_chain", None), getattr(self, "_penalty", None)):
            if handle:
                self._native.llama_sampler_free(handle)

    def choose(self, context: NativeContext, row: int) -> int:
        """A token for a row of the context's last step, unconstrained. Changes nothing: see `accept`."""
        scores = self._scores(context, row)
        best = _best_of(scores)
        if self._chain is None:
            return best
        return self._draw(_entries(scores, self._likely(scores, scores[best])))

    def choose_within(self, grammar: Grammar, context: NativeContext, row: int) -> int:
        """A token that the grammar allows and has accepted.

        Raises:
            BackendFault: the grammar allows no token of this vocabulary.
        """
        token = self.choose(context, row)
        if grammar.accept(token):
            return token
        scores = self._scores(context, row)
        for depth in _TRIES:
            ids, reach = _down_to(scores, depth)
            entries = _entries(scores, ids)
            grammar.filter(self._array(entries))
            fitting = grammar.without_marks(entries[entries["logit"] > -math.inf])
            if len(fitting) and self._sees_all(scores.max() - fitting["logit"].max(), reach):
                chosen = self._among(fitting)
                if grammar.accept(chosen):
                    return chosen
        raise BackendFault("No token of this model fits what the request allows here.")

    def accept(self, token: int) -> None:
        """Go on after `token`, whoever chose it."""
        self._place += 1
        if self._penalty is not None:
            self._recent.append(token)
            self._native.llama_sampler_accept(self._penalty, token)

    def _scores(self, context: NativeContext, row: int) -> Any:
        """The row's scores, less the penalties."""
        import numpy as np

        scores = context.logits(row)
        if self._penalty is None or not self._recent:
            return scores
        said = np.unique(np.fromiter(self._recent, dtype=np.int32))
        entries = _entries(scores, said)
        array = self._array(entries)
        self._native.llama_sampler_apply(self._penalty, ctypes.byref(array))
        changed = scores.copy()
        changed[entries["id"]] = entries["logit"]
        return changed

    def _sees_all(self, gap: float, reach: float) -> bool:
        """Whether candidates down to `reach` hold all that may be chosen, the best that fits lying at `gap`."""
        return self._chain is None or gap + min(self._depth, _TAIL) <= reach

    def _likely(self, scores: Any, best: Any) -> Any:
        """The tokens that min-p leaves; None: all."""
        return None if self._depth == math.inf else (scores >= best - self._depth).nonzero()[0]

    def _among(self, entries: Any) -> int:
        """The choice among tokens of which all may be chosen."""
        if self._chain is None:
            return int(entries["id"][entries["logit"].argmax()])
        if self._depth < math.inf:
            entries = entries[entries["logit"] >= entries["logit"].max() - self._depth]
        return self._draw(entries)

    def _draw(self, entries: Any) -> int:
        """What the chain picks, with the random numbers of this place in the answer."""
        native = self._native
        last = native.llama_sampler_chain_n(self._chain) - 1
        native.llama_sampler_free(native.llama_sampler_chain_remove(self._chain, last))
        fresh = native.llama_sampler_init_dist(_mixed(self._seed, self._place))
        native.llama_sampler_chain_add(self._chain, fresh)
        candidates = self._array(entries)
        native.llama_sampler_apply(self._chain, ctypes.byref(candidates))
        if not 0 <= candidates.selected < candidates.size:
            raise BackendFault("llama.cpp's sampler chose nothing.")
        return int(candidates.data[candidates.selected].id)

    def _array(self, entries: Any) -> Any:
        pointer = entries.ctypes.data_as(ctypes.POINTER(self._native.llama_token_data))
        return self._native.llama_token_data_array(pointer, len(entries), -1, False)


def _entries(scores: Any, ids: Any) -> Any:
    """Candidates as the library lays them out; `ids` None: the whole vocabulary."""
    import numpy as np

    if ids is None:
        ids = np.arange(len(scores), dtype=np.int32)
    layout = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
    entries: Any = np.zeros(len(ids), dtype=layout)
    entries["id"], entries["logit"] = ids, scores[ids]
    return entries


def _best_of(scores: Any) -> int:
    """The likeliest token.

    Raises:
        BackendFault: some score is no number; the library would end the process over that.
    """
    best = int(scores.argmax())
    if not math.isfinite(scores[best]):
        raise BackendFault("The model's scores are not numbers: its file may be damaged.")
    return best


def _down_to(scores: Any, depth: float) -> tuple[Any, float]:
    """The tokens down to `depth` below the best (None: all), without sorting; how far they reach.

    At the first depth, of many only some 256: it is to be quick.
    """
    import numpy as np

    if depth == math.inf:
        return None, depth
    best = scores.max()
    ids = (scores >= best - depth).nonzero()[0]
    if depth > _TRIES[0] or len(ids) <= 2 * _FIRST_TRY:
        return ids, depth
    ids = ids[np.argpartition(scores[ids], -_FIRST_TRY)[-_FIRST_TRY:]]
    return ids, float(best - scores[ids].min())


def _mixed(seed: int, place: int) -> int:
    """A seed in which every bit depends on both (31 bits: 2**32 - 1 means "any" to the library)."""
    mixed = (seed + place * 0x9E3779B9) & 0xFFFFFFFF
    for factor in (0x85EBCA6B, 0xC2B2AE35):
        mixed = ((mixed ^ (mixed >> 16)) * factor) & 0xFFFFFFFF
    return (mixed ^ (mixed >> 16)) >> 1
