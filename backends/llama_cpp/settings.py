"""What can be set about a model that runs in this process, and how many cores it gets when nothing is said."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ...engine.errors import BackendFault

_MOST_SEQUENCES = 256  # LLAMA_MAX_SEQ


@dataclass(frozen=True, slots=True)
class LlamaSettings:
    """Settings of one loaded model. None: chosen when the model is loaded.

    Attributes:
        context_tokens: size of the KV pool, which is also the longest prompt with its answer; all conversations share
            it. Default: what the model was trained for, at most 16384, less where memory is short.
        threads: compute threads. Default: see `default_threads`.
        gpu_layers: layers to put on GPUs, -1 for all. Default: as many as the free memory of the GPUs takes.
        flash_attention: whether attention is computed in one kernel. Default: where the library thinks it pays.
        kv_type: how keys and values are stored; the quantised ones need flash attention and cost some quality.
        parallel: turns that may be at work at the same time; more wait in line.
        decode_width: turns of these that may have a token in one step. Default: the width that was the fastest in a
            short probe when this model was first loaded on this machine.
        sequences: conversations whose prefix is kept in the KV pool.
        max_waiting: turns that may wait in line; one more is refused.
        prefill_chunk: prompt tokens evaluated in one step while nobody generates.
        stretch: how many times longer a step of those who generate may get by prompts evaluated beside them; 1 lets
            prompts wait until nobody generates.
        temperature_at_one: what a request's temperature of 1 (the API's default) means for this model; others are in
            proportion.
        min_p: tokens less likely than this share of the likeliest one are never sampled.
        repeat_penalty, frequency_penalty, presence_penalty: of tokens among the last 64; 1, 0 and 0 are none.
        repack: let the library store weights in a second, faster form (about half the file's size in extra memory).
        memory: bytes of host memory that it may take at most, conversations outside the KV pool not counted. Default:
            what can be had when it is loaded.
        park_memory: bytes of host memory for conversations that had to leave the KV pool.
        park_disk: bytes of disk for them.
        park_folder: where on disk; None: they are not kept on disk.
        probe_folder: where the result of the width probe is kept; None: it is not kept.
        mmproj: the GGUF of the vision part, for models that have one.
        router: offer an answer in words as one more tool while tools may be called: small models that would always
            call something then choose better (docs/decisions). Default: by the catalogue.
    """

    context_tokens: int | None = None
    threads: int | None = None
    gpu_layers: int | None = None
    flash_attention: bool | None = None
    kv_type: Literal["f16", "q8_0", "q4_0"] = "f16"
    parallel: int = 16
    decode_width: int | None = None
    sequences: int = 32
    max_waiting: int = 256
    prefill_chunk: int = 256
    stretch: float = 1.75
    temperature_at_one: float = 1.0
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repack: bool = True
    memory: int | None = None
    park_memory: int = 1 << 30
    park_disk: int = 4 << 30
    park_folder: Path | None = None
    probe_folder: Path | None = None
    mmproj: Path | None = None
    router: bool = False

    def check(self) -> None:
        """See that the values make sense and go together.

        Raises:
            BackendFault: they do not; it names the setting.
        """
        least = {
            "context_tokens": 1,
            "threads": 1,
            "gpu_layers": -1,
            "parallel": 1,
            "decode_width": 1,
            "sequences": 1,
            "max_waiting": 0,
            "prefill_chunk": 1,
            "stretch": 1,
        }
        for name, lowest in least.items():
            value = getattr(self, name)
            if value is not None and not value >= lowest:
                raise BackendFault(f"The model's setting {name} must be at least {lowest}.")
        if self.sequences > _MOST_SEQUENCES:
            raise BackendFault(f"llama.cpp keeps at most {_MOST_SEQUENCES} sequences.")
        if self.kv_type not in ("f16", "q8_0", "q4_0"):
            raise BackendFault("kv_type is one of f16, q8_0 and q4_0.")
        if self.kv_type != "f16" and self.flash_attention is False:
            raise BackendFault(
                f"Keys and values as {self.kv_type} need flash attention: leave it on, or set kv_type to f16."
            )
        if not 0 <= self.min_p <= 1:
            raise BackendFault("min_p is a share: 0 to 1.")
        if self.repeat_penalty <= 0:
            raise BackendFault("repeat_penalty must be more than 0; 1 is none.")


def default_threads(cores: int | None = None) -> int:
    """Compute threads when nothing is set: the physical cores, from three on less one for the rest of the machine.

    Of two cores one would be half the speed (docs/decisions/0010-scheduler.md).
    """
    available = physical_cores() if cores is None else cores
    return available - 1 if available > 2 else available


def physical_cores(cpus: Path = Path("/sys/devices/system/cpu")) -> int:
    """Cores that this process may run on, hyper-threads counted once."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set[int]()
    cores: set[str] = set()
    for cpu in allowed:
        try:
            siblings = (cpus / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text()
        except OSError:
            siblings = str(cpu)  # no such file in some containers: take every CPU for a core
        cores.add(siblings.strip())
    return len(cores) or os.cpu_count() or 1
