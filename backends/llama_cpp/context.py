"""One llama.cpp context: KV pool, batch and abort switch. Used by one thread only, except for `abort`.

Knows sequences by number and tokens by id; nothing of requests. `decode` checks every size before the native call.
"""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ...engine.errors import BackendFault
from .library import NativeModel, last_errors
from .settings import LlamaSettings, physical_cores

_MOST_CONTEXT = (
    16384  # tokens; a pool of 1.5 B weights' keys and values is about 450 MB at this size
)


@dataclass(frozen=True, slots=True)
class Row:
    """One token to evaluate."""

    token: int
    position: int
    sequence: int
    wants_logits: bool


class Outcome(Enum):
    """What came of a step. After any but DONE the caller rewinds the sequences it had put in."""

    DONE = "done"
    FULL = "full"  # no room in the KV pool; nothing was changed
    ABORTED = "aborted"


class NativeContext:
    """The evaluating half of a model.

    Raises:
        BackendFault: there is not enough memory for the KV pool.
    """

    def __init__(self, model: NativeModel, settings: LlamaSettings) -> None:
        self._native = model.native
        self._model = model
        self.threads = settings.threads or physical_cores()
        self._abort_flag = ctypes.create_string_buffer(2)
        params = self._params(settings)
        self._handle: Any = self._native.llama_init_from_model(model.handle, params)
        if not self._handle:
            raise BackendFault(
                f"No memory for a context of {params.n_ctx} tokens ({last_errors()}). "
                "Choose a smaller context."
            )
        self.size = int(self._native.llama_n_ctx(self._handle))
        self.batch_size = int(self._native.llama_n_batch(self._handle))
        self._memory = self._native.llama_get_memory(self._handle)
        self._batch: Any = self._native.llama_batch_init(self.batch_size, 0, 1)

    def _params(self, settings: LlamaSettings) -> Any:
        params = self._native.llama_context_default_params()
        trained = self._model.trained_context or _MOST_CONTEXT
        params.n_ctx = settings.context_tokens or min(trained, _MOST_CONTEXT)
        # A batch smaller than the number of sequences ends the process.
        params.n_batch = settings.prefill_chunk + max(settings.parallel, settings.sequences)
        params.n_ubatch = params.n_batch
        params.n_seq_max = settings.sequences
        params.n_threads = params.n_threads_batch = self.threads
        params.kv_unified = True  # without it every sequence gets only its share of the pool
        params.no_perf = True
        # C's strlen, on a one-byte string that is empty until `abort`, answers "go on" or "stop" without
        # taking Python's lock; a Python callback would be called some 500 times a step.
        strlen: Any = ctypes.CDLL(None).strlen
        params.abort_callback = ctypes.cast(strlen, self._native.ggml_abort_callback)
        params.abort_callback_data = ctypes.cast(self._abort_flag, ctypes.c_void_p)
        return params

    def abort(self) -> None:
        """Make the running `decode` return ABORTED within milliseconds. From any thread."""
        self._abort_flag[0] = b"\x01"

    def rearm(self) -> None:
        """Forget an abort."""
        self._abort_flag[0] = b"\x00"

    def decode(self, rows: Sequence[Row]) -> Outcome:
        """Evaluate rows in one step.

        Raises:
            BackendFault: the library refused the batch or failed in it.
        """
        if not 0 < len(rows) <= self.batch_size:
            raise BackendFault(f"A step of {len(rows)} tokens does not fit {self.batch_size}.")
        batch = self._batch
        for index, row in enumerate(rows):
            self._check(row)
            batch.token[index] = row.token
            batch.pos[index] = row.position
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = row.sequence
            batch.logits[index] = row.wants_logits
        batch.n_tokens = len(rows)
        status = self._native.llama_decode(self._handle, batch)
        if status == 0:
            return Outcome.DONE
        if status == 1:
            return Outcome.FULL
        if status == 2:
            return Outcome.ABORTED
        raise BackendFault(f"llama.cpp failed in a step (status {status}): {last_errors()}.")

    def _check(self, row: Row) -> None:
        if not 0 <= row.token < self._model.vocabulary.size or not 0 <= row.position < self.size:
            raise BackendFault(f"No such token or position: {row}.")

    def sample(self, chain: Any, index: int) -> int:
        """The token that a sampler chain picks for row `index` of the last step."""
        return int(self._native.llama_sampler_sample(chain, self._handle, index))

    def logits(self, index: int) -> Any:
        """The scores of row `index` of the last step (numpy, float32), valid until the next step."""
        import numpy as np

        pointer = self._native.llama_get_logits_ith(self._handle, index)
        return np.ctypeslib.as_array(pointer, (self._model.vocabulary.size,))

    def rewind(self, sequence: int, length: int) -> bool:
        """Keep the first `length` tokens of a sequence. False: it had to be emptied."""
        if length > 0 and self._native.llama_memory_seq_rm(self._memory, sequence, length, -1):
            return True
        self._native.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        return length == 0

    def share(self, source: int, target: int, length: int) -> None:
        """Give the empty sequence `target` the first `length` tokens of `source`, without a copy."""
        self._native.llama_memory_seq_cp(self._memory, source, target, 0, length)

    def free(self) -> None:
        """Let go of the pool."""
        if self._handle:
            self._native.llama_batch_free(self._batch)
            self._native.llama_free(self._handle)
            self._handle = None
