"""How much of a tool's output a model may be given to read: by how fast it reads and by the room there is.

A model on two cores reads about 60 tokens a second: what a hosted search gives back, 16,000 tokens, would keep its user
waiting for four minutes. So output is measured in seconds of reading, in steps of doubling, that a rate which is
measured anew all the time does not change prompts. What was said before gives way (`context.fit`), so a quarter of
the window is always there to be had.
"""

from dataclasses import dataclass

from .chat import Capabilities
from .objects import Usage
from .settings import CoreSettings

LEAST_OUTPUT = 300  # tokens: one passage, or the end of a traceback
MOST_OUTPUT = 16_000  # what the hosted search gives at most


@dataclass(frozen=True, slots=True)
class Reading:
    """Tokens of one call's output: `usual` is what is read in good time, `most` what there is room for."""

    usual: int
    most: int


def reading(
    settings: CoreSettings,
    capabilities: Capabilities,
    spent: Usage,
    *,
    calls: int = 1,
    prompt_budget: int | None = None,
) -> Reading:
    """What each of `calls` calls of a turn may give back.

    `spent` is the turn so far, which the next prompt begins with; `prompt_budget` is how long that may be by the run's
    own budget (None: as long as it likes).
    """
    quarter = capabilities.context_window // 4
    free = capabilities.context_window // 2 - spent.total_tokens
    limits = [MOST_OUTPUT, max(quarter, free)]
    if prompt_budget is not None:
        limits.append(prompt_budget - spent.total_tokens)
    most = max(LEAST_OUTPUT, min(limits) // max(1, calls))
    usual = max(LEAST_OUTPUT, min(quarter, _in_good_time(settings, capabilities)) // max(1, calls))
    return Reading(min(usual, most), most)


def _in_good_time(settings: CoreSettings, capabilities: Capabilities) -> int:
    tokens = settings.tool_output_tokens
    readable = (capabilities.prefill_rate or 0.0) * settings.reading_seconds
    while 2 * tokens <= min(readable, MOST_OUTPUT):
        tokens *= 2
    return tokens
