"""What a model needs in memory, and the settings with which it fits: context, second copy of the weights, GPU layers.

Estimates come from the header alone. Against the library's own figures for two models (135M and 1.5B, contexts of
2,048 and 8,192 tokens) they are at most a tenth too high, for the quantisations that it stores a second time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ....engine.errors import BackendFault
from ..settings import LlamaSettings
from .devices import Device, Placement, choose_layers
from .inspection import ModelFacts

MOST_CONTEXT = 16384
"""Tokens of context unless more is asked for; 450 MB of keys and values for a model of 1.5 billion weights."""
LEAST_CONTEXT = 2048
"""Tokens of context below which an assistant with tools is of no use."""

_STEP = 256  # the library rounds contexts up to it
_REPACKED = 0.6  # share of the weights that the second form takes: 0.56 measured for Q4_K_M
_VALUE_BYTES = {"f16": 2.0, "q8_0": 34 / 32, "q4_0": 18 / 32}
_ALL = 1 << 20  # layers


@dataclass(frozen=True, slots=True)
class Plan:
    """How a model will be loaded.

    Attributes:
        settings: with nothing left open that the header decides.
        placement: what goes onto GPUs.
        bytes: of host memory that it will take, about.
        notes: what was chosen differently than asked for or usual, and why; for the log.
    """

    settings: LlamaSettings
    placement: Placement
    bytes: int
    notes: tuple[str, ...] = ()

    @property
    def context(self) -> int:
        """Tokens."""
        return self.settings.context_tokens or 0

    @property
    def text(self) -> str:
        """One line for people."""
        cache = "" if self.settings.kv_type == "f16" else f" ({self.settings.kv_type})"
        return f"context {self.context} tokens{cache}, {self.placement.text}, {_gb(self.bytes)} of memory"


def plan(
    facts: ModelFacts, settings: LlamaSettings, memory: int, devices: Sequence[Device] = ()
) -> Plan:
    """Settings with which the model fits into `memory` bytes of the host.

    What was said explicitly is kept. Else the second form of the weights goes first, then context down to
    `LEAST_CONTEXT`.

    Raises:
        BackendFault: it does not fit, or settings contradict each other; names what would work.
    """
    settings.check()
    _check_cache(facts, settings)
    wanted = _wanted_context(facts, settings)
    need = _Need(facts, settings, tuple(devices))
    least = wanted if settings.context_tokens else min(wanted, LEAST_CONTEXT)
    for repack in dict.fromkeys((settings.repack, False)):
        if need.host(wanted, repack=repack) <= memory:
            return need.plan(wanted, repack=repack, memory=memory)
    largest = need.largest(memory, wanted)
    if largest < least:
        raise _too_large(facts, need, least, largest, memory)
    return need.plan(largest, repack=False, memory=memory)


def _check_cache(facts: ModelFacts, settings: LlamaSettings) -> None:
    if settings.kv_type == "f16":
        return
    heads = max(facts.heads, 1)
    if facts.width % heads == 0 and facts.width // heads % 32:
        raise BackendFault(
            f"kv_type {settings.kv_type} needs attention heads of a multiple of 32 numbers; those of "
            f"{facts.path.name} have {facts.width // heads}. Take kv_type f16."
        )


def _wanted_context(facts: ModelFacts, settings: LlamaSettings) -> int:
    if settings.context_tokens:
        return _rounded(settings.context_tokens)
    trained = facts.trained_context or MOST_CONTEXT
    return max(_STEP, min(trained, MOST_CONTEXT) // _STEP * _STEP)


def _rounded(tokens: int) -> int:
    return -(-tokens // _STEP) * _STEP


@dataclass(frozen=True, slots=True)
class _Need:
    """The arithmetic."""

    facts: ModelFacts
    settings: LlamaSettings
    devices: tuple[Device, ...]

    def kv_by_layer(self, context: int) -> list[int]:
        each = _VALUE_BYTES[self.settings.kv_type]
        return [int(context * numbers * each) for numbers in self.facts.key_values]

    def buffers(self, context: int) -> int:
        """Bytes for a step: the scores of all its tokens, activations, and what is sampled from."""
        facts, settings = self.facts, self.settings
        sequences = settings.sequences
        rows = settings.prefill_chunk + sequences
        attention = 0 if settings.flash_attention is not False else facts.heads * context
        activations = 4 * max(facts.width, facts.feed_forward // 4)
        numbers = rows * (max(facts.vocabulary, attention) + activations)
        return 4 * (numbers + sequences * facts.vocabulary)

    def placement(self, context: int) -> Placement:
        sizes = (*self.facts.layer_bytes, self.facts.output_bytes)
        kv = self.kv_by_layer(context)
        if self.settings.gpu_layers is None:
            return choose_layers(sizes, kv, self.buffers(context), self.devices)
        if not self.devices or not self.settings.gpu_layers:
            return Placement(0, len(sizes), 0, 0)
        asked = self.settings.gpu_layers if self.settings.gpu_layers > 0 else _ALL
        count = min(asked, len(sizes))
        both = [weights + more for weights, more in zip(sizes, (*kv, 0), strict=True)]
        return Placement(count, len(sizes), sum(both[len(both) - count :]), len(self.devices))

    def host(self, context: int, *, repack: bool) -> int:
        """Bytes of host memory."""
        placed = self.placement(context)
        kv = sum(self.kv_by_layer(context))
        rest = max(0, self.facts.weight_bytes + kv - placed.bytes)
        weights = max(0, rest - kv)
        return rest + self.buffers(context) + (int(weights * _REPACKED) if repack else 0)

    def largest(self, memory: int, most: int) -> int:
        """The largest context that fits without the second form of the weights; 0 if none does."""
        low, high = 0, most // _STEP
        while low < high:
            middle = (low + high + 1) // 2
            if self.host(middle * _STEP, repack=False) <= memory:
                low = middle
            else:
                high = middle - 1
        return low * _STEP

    def plan(self, context: int, *, repack: bool, memory: int) -> Plan:
        facts, settings = self.facts, self.settings
        placed = self.placement(context)
        needed = self.host(context, repack=repack)
        settled = replace(
            settings,
            context_tokens=context,
            gpu_layers=placed.layers,
            repack=repack,
            park_memory=min(settings.park_memory, max(0, memory - needed) // 2),
        )
        return Plan(settled, placed, needed, tuple(_notes(facts, settings, settled, memory)))


def _notes(
    facts: ModelFacts, asked: LlamaSettings, settled: LlamaSettings, memory: int
) -> list[str]:
    notes: list[str] = []
    context, trained = settled.context_tokens or 0, facts.trained_context
    if asked.context_tokens and trained and context > _rounded(trained):
        notes.append(
            f"a context of {context} tokens is more than the {trained} that the model was trained for: answers to "
            "long prompts may make no sense"
        )
    if not asked.context_tokens and context < _wanted_context(facts, asked):
        notes.append(f"context of only {context} tokens: {_gb(memory)} of memory can be had")
    if asked.repack and not settled.repack:
        notes.append("weights not stored a second time in the faster form: too little memory")
    if asked.gpu_layers and not settled.gpu_layers:
        notes.append("gpu_layers has no effect: this llama.cpp sees no GPU")
    return notes


def _too_large(
    facts: ModelFacts, need: _Need, context: int, largest: int, memory: int
) -> BackendFault:
    """The error that says what would fit."""
    name = facts.path.name
    if largest >= _STEP and need.settings.context_tokens:
        return BackendFault(
            f"{name} with a context of {context} tokens needs {_gb(need.host(context, repack=False))} of memory, and "
            f"{_gb(memory)} can be had. The largest context that fits is {largest}."
        )
    return BackendFault(
        f"{name} needs {_gb(need.host(context, repack=False))} of memory with a context of {context} tokens, and "
        f"{_gb(memory)} can be had. Close other programs, or take a smaller model or a smaller quantisation of it."
    )


def _gb(size: int) -> str:
    return f"{size / 1e9:.2f} GB"
