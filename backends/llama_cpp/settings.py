"""What can be set about a model that runs in this process, and how many cores it gets when nothing is said."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LlamaSettings:
    """Settings of one loaded model. None: chosen when the model is loaded.

    Attributes:
        context_tokens: size of the KV pool, which is also the longest prompt with its answer; all conversations share
            it. Default: what the model was trained for, at most 16384.
        threads: compute threads. Default: the physical cores this process may use. One fewer leaves a desktop
            room for other work.
        gpu_layers: layers to put on a GPU, if the installed library has support for one.
        parallel: turns that may generate at the same time; more wait in line.
        sequences: conversations whose prefix is kept in the KV pool.
        prefill_chunk: prompt tokens evaluated in one step while nobody generates.
        shared_prefill_chunk: the same while somebody does; it is the longest pause in the others' streams.
        temperature_at_one: what a request's temperature of 1 (the API's default) means for this model; others are in
            proportion.
        min_p: tokens less likely than this share of the likeliest one are never sampled.
        repack: let the library store weights in a second, faster form (about half the file's size in extra memory).
    """

    context_tokens: int | None = None
    threads: int | None = None
    gpu_layers: int = 0
    parallel: int = 4
    sequences: int = 16
    prefill_chunk: int = 256
    shared_prefill_chunk: int = 32
    temperature_at_one: float = 1.0
    min_p: float = 0.05
    repack: bool = True


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
