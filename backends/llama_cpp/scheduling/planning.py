"""What each turn at work gets of the next step. Pure functions of what they need and of two limits."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Demand:
    """What a turn could do next.

    Attributes:
        pending: its tokens that are not evaluated: 1 for a turn that generates, more for a prompt.
        served: its place in the round, the lowest first: see `after`.
    """

    pending: int
    served: int


def plan(demands: Sequence[Demand], *, width: int, chunk: int) -> list[int]:
    """How many tokens of each turn the next step evaluates, in the order of `demands`.

    Of those that generate, the first `width` in the round have a token each: with more of them than that, all come
    round in turn. Prompts share `chunk` tokens, the first in order first.
    """
    counts = [0] * len(demands)
    generating = [index for index, demand in enumerate(demands) if demand.pending == 1]
    for index in sorted(generating, key=lambda each: demands[each].served)[:width]:
        counts[index] = 1
    for index, demand in enumerate(demands):
        if demand.pending > 1:
            counts[index] = min(demand.pending, chunk)
            chunk -= counts[index]
    return counts


def after(demands: Sequence[Demand], counts: Sequence[int]) -> list[int]:
    """The places in the round once a step was taken: those that took part go to its end, in the order they had."""
    places = [demand.served for demand in demands]
    end = max(places, default=0)
    part = [index for index, count in enumerate(counts) if count]
    for place, index in enumerate(sorted(part, key=lambda each: places[each]), start=end + 1):
        places[index] = place
    return places
