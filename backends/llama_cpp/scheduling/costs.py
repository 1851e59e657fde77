"""How long steps take, learned while they are taken, and how many prompt tokens a step can bear.

A step in which some turns generate may take `stretch` times as long as it would without prompt tokens. What it would
take is known from steps that had none; what a prompt token adds, from steps that had some. Both change: contexts grow,
other programs want the cores. So every now and then a step goes without prompt tokens, to measure again.

Seconds come from the caller; nothing here looks at a clock.
"""

from collections.abc import Mapping

_WEIGHT = 0.25  # of the newest measurement
_OUTLIER = (
    4.0  # a measurement counts for at most so many times what was known, or the same part of it
)
_FIRST_CHUNK = 4  # prompt tokens beside others' while nothing is known
_SMALLEST_MEASURED = 16  # prompt tokens in a step; fewer say little about the rate
_MEASURE_AGAIN = 16  # steps with prompt tokens
_PATIENCE = 10.0  # seconds that a prompt waits at most for the others to be silent
_IMPATIENT_STRETCH = 2.0


class StepCosts:
    """What steps have cost of late.

    Attributes:
        prefill_rate: prompt tokens per second of steps with one prompt and nothing else; None before the first.
    """

    def __init__(
        self, *, stretch: float, most: int, by_width: Mapping[int, float] | None = None
    ) -> None:
        """`most`: prompt tokens that a step takes when nobody generates; `by_width`: known seconds of steps."""
        self._stretch = stretch
        self._most = most
        self._by_width = dict(by_width or {})
        self._per_token: float | None = None  # seconds that a prompt token adds to others' step
        self._mixed_in_a_row = 0
        self.prefill_rate: float | None = None

    def chunk(self, width: int, waited: float = 0.0) -> int:
        """Prompt tokens for a step in which `width` turns generate; the oldest prompt has waited so many seconds."""
        if width == 0:
            return self._most
        stretch = self._stretch
        if stretch <= 1:
            if waited < _PATIENCE:
                return 0
            stretch = _IMPATIENT_STRETCH
        if self._mixed_in_a_row >= _MEASURE_AGAIN:
            return 0
        alone, added = self._alone(width), self._added()
        if alone is None or added is None:
            return min(_FIRST_CHUNK, self._most)
        # At least one: prompts get on always.
        return max(1, min(int((stretch - 1) * alone / added), self._most))

    def observe(self, width: int, prompt_tokens: int, seconds: float, *, prompts: int = 1) -> None:
        """Learn from a step of `width` generating turns and tokens of so many prompts."""
        if seconds <= 0:
            return
        if prompt_tokens == 0:
            self._mixed_in_a_row = 0
            self._by_width[width] = _blended(self._by_width.get(width), seconds)
        elif width > 0:
            self._mixed_in_a_row += 1
            alone = self._alone(width)
            if alone is not None:
                added = max(seconds - alone, seconds / 100) / prompt_tokens
                self._per_token = _blended(self._added(), added)
        elif prompts == 1 and prompt_tokens >= _SMALLEST_MEASURED:
            self.prefill_rate = _blended(self.prefill_rate, prompt_tokens / seconds)

    def _added(self) -> float | None:
        if self._per_token is not None:
            return self._per_token
        return None if self.prefill_rate is None else 1 / self.prefill_rate

    def _alone(self, width: int) -> float | None:
        """Seconds of a step of `width` turns alone, rather too few than too many where it was never seen."""
        known = self._by_width.get(width)
        if known is not None or not self._by_width:
            return known
        narrower = [each for each in self._by_width if each < width]
        if narrower:
            return self._by_width[max(narrower)]
        nearest = min(self._by_width)
        return self._by_width[nearest] * width / nearest


def _blended(before: float | None, now: float) -> float:
    if before is None:
        return now
    now = min(max(now, before / _OUTLIER), before * _OUTLIER)
    return before + _WEIGHT * (now - before)
