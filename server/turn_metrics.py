"""Counts turns of models and calls of tools, for `/metrics`.

Labels are names of configured models and of the engine's own tools, never what a client or a model wrote.
"""

from prometheus_client import CollectorRegistry, Counter, Histogram

from ..engine.observer import CallSeen, Observer, TurnSeen
from .buckets import SLOW

_RATES = (1, 2.5, 5, 7.5, 10, 15, 20, 30, 50, 75, 100, 150, 250, 500, 1000)
_LEAST_TOKENS = 2  # after the first one there must be another, or there is no rate
_LEAST_SECONDS = (
    0.1  # what comes at once, as a kept answer or a script's does, tells nothing of a rate
)


class TurnMetrics(Observer):
    """What models and tools take."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.turns = Histogram(
            "local_assistants_turn_seconds",
            "A turn of the model, from its prompt to its last word, by why it ended.",
            ["model", "outcome"],
            buckets=SLOW,
            registry=registry,
        )
        self.first_token = Histogram(
            "local_assistants_turn_first_token_seconds",
            "From a turn's prompt to its first fragment of text or of a call: waiting for a place, reading the prompt.",
            ["model"],
            buckets=SLOW,
            registry=registry,
        )
        self.rate = Histogram(
            "local_assistants_turn_tokens_per_second",
            "How fast a turn's answer came, after its first token.",
            ["model"],
            buckets=_RATES,
            registry=registry,
        )
        self.tokens = Counter(
            "local_assistants_turn_tokens",
            "Tokens of turns; those of a prompt that were kept from before are counted as cached, too.",
            ["model", "kind"],
            registry=registry,
        )
        self.calls = Histogram(
            "local_assistants_tool_call_seconds",
            "A call of an engine-side tool, by how it ended.",
            ["tool", "outcome"],
            buckets=SLOW,
            registry=registry,
        )

    def turn_ended(self, turn: TurnSeen) -> None:
        """Count it."""
        model = turn.model
        self.turns.labels(model, turn.reason or "broken_off").observe(turn.seconds)
        if turn.usage is not None:
            cached = turn.usage.cached_tokens
            for kind, count in (
                ("prompt", turn.usage.prompt_tokens),
                ("cached", cached),
                ("completion", turn.usage.completion_tokens),
            ):
                self.tokens.labels(model, kind).inc(count)
        if turn.first is None:
            return
        self.first_token.labels(model).observe(turn.first)
        rate = _rate(turn, turn.first)
        if rate is not None:
            self.rate.labels(model).observe(rate)

    def call_ended(self, call: CallSeen) -> None:
        """Count it."""
        self.calls.labels(call.call.name, _outcome(call)).observe(call.seconds)


def _rate(turn: TurnSeen, first: float) -> float | None:
    tokens = 0 if turn.usage is None else turn.usage.completion_tokens
    seconds = turn.seconds - first
    return (tokens - 1) / seconds if tokens >= _LEAST_TOKENS and seconds >= _LEAST_SECONDS else None


def _outcome(call: CallSeen) -> str:
    if call.result is None:
        return "broken_off"
    return "failed" if call.result.failed else "completed"
