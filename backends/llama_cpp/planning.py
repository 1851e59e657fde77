"""What each turn at work gets of the next step. A pure function of what they need and of two limits."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Demand:
    """What a turn could do next.

    Attributes:
        pending: its tokens that are not evaluated: 1 for a turn that generates, more for a prompt.
        served: number of the last step that it took part in.
    """

    pending: int
    served: int


def plan(demands: Sequence[Demand], *, width: int, chunk: int) -> list[int]:
    """How many tokens of each turn the next step evaluates, in the order of `demands`.

    Of those that generate, the `width` that were served longest ago have a token each: with more of them than that,
    all come round in turn. Prompts share `chunk` tokens, the first in order first.
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
