"""What the machine allows: how fast it reads memory, and how many bytes of weights a token needs.

Each token of a sequence alone reads all weights once (of the table of embeddings only a row), so the memory's bandwidth
bounds decoding; sequences in one batch share that reading.
"""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from _report import Row

from local_assistants.backends.llama_cpp.loading.gguf import read_header
from model_parts.bench import Bench, Figures, Part, Told

_BLOCK = 64 << 20  # bytes that one thread reads; more than caches hold
_REPEATS = 5
_TABLE = "token_embd.weight"


async def measure(bench: Bench) -> None:
    """Both; a second."""
    bench.say("memory")
    for _ in range(_REPEATS):
        bench.add("limit bandwidth", bandwidth(bench.threads))
    bench.add("limit weights", weights(bench))


def bandwidth(threads: int) -> float:
    """Bytes a second that `threads` threads read together."""
    blocks = [np.ones(_BLOCK // 4, dtype=np.float32) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        began = time.perf_counter()
        list(pool.map(np.max, blocks))  # lets go of the interpreter's lock
        return threads * _BLOCK / (time.perf_counter() - began)


def weights(bench: Bench) -> float:
    """Bytes of weights that one token needs."""
    tensors = {tensor.name: tensor.bytes for tensor in read_header(bench.path).tensors}
    table = tensors.get(_TABLE, 0) if "output.weight" in tensors else 0  # else it is both
    return sum(tensors.values()) - table


def tell(model: str, of: Figures) -> Told:
    """The limit of decoding one sequence."""
    read, needed = max(of.rounds["limit bandwidth"]), of("limit weights")
    return Told(
        [
            Row(f"{model}: memory, read by all threads", read / 1e9, "GB/s"),
            Row(f"{model}: weights that a token needs", needed / 1e6, "MB"),
            Row(f"{model}: decode, 1 at a time, at most", read / needed, "tokens/s"),
        ]
    )


PART = Part("limits", ("135m", "1.5b"), measure, tell)
