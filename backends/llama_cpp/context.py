"""One llama.cpp context: KV pool, batch and abort switch. Used by one thread only, except for `abort`.

Knows sequences by number and tokens by id; nothing of requests. A native assertion ends the process, so every size and
number is checked before it goes down.
"""

import ctypes
import time
from collections.abc import Sequence
from enum import Enum
from typing import Any

from ...engine.errors import BackendFault
from .batch import Batch, Span
from .native import NativeModel, last_errors
from .settings import LlamaSettings, default_threads

_MOST_CONTEXT = (
    16384  # tokens; a pool of 1.5 B weights' keys and values is about 450 MB at this size
)
_ROUND = 256  # tokens; the pool is a multiple of it


class Outcome(Enum):
    """What came of a step. After any but DONE the caller rewinds the sequences it had put in."""

    DONE = "done"
    FULL = "full"  # no room in the KV pool; nothing was changed
    ABORTED = "aborted"


class NativeContext:
    """The evaluating half of a model.

    Attributes:
        size: tokens that the pool holds, and the longest sequence.
        batch_size: tokens in a step, at most.
        vocabulary_size: of the model.
        decode_seconds: time spent in the library, evaluating.

    Raises:
        BackendFault: there is not enough memory for the KV pool, or the settings do not go together.
    """

    def __init__(self, model: NativeModel, settings: LlamaSettings) -> None:
        settings.check()
        self._native = model.native
        self.vocabulary_size = model.vocabulary.size
        self._width = int(self._native.llama_model_n_embd_inp(model.handle))
        self.threads = settings.threads or default_threads()
        self.decode_seconds = 0.0
        self._abort_flag = ctypes.create_string_buffer(2)
        self._sequences = settings.sequences
        self._outputs: frozenset[int] = frozenset()  # rows of the last step that have scores
        self._scores_type: Any = ctypes.c_float * self.vocabulary_size
        params = self._params(settings, model.trained_context)
        self._handle: Any = self._native.llama_init_from_model(model.handle, params)
        if not self._handle:
            raise BackendFault(
                f"No context of {params.n_ctx} tokens with keys and values as {settings.kv_type} ({last_errors()}). "
                "Choose a smaller context, or another kind of keys and values."
            )
        self.size = int(self._native.llama_n_ctx(self._handle))
        self.batch_size = int(self._native.llama_n_batch(self._handle))
        self._memory = self._native.llama_get_memory(self._handle)
        self._batch = Batch(self._native, self.batch_size, self.size)
        self._picture_batch: Any = None  # made for the first picture

    def _params(self, settings: LlamaSettings, trained_context: int) -> Any:
        params = self._native.llama_context_default_params()
        trained = trained_context or _MOST_CONTEXT
        wanted = settings.context_tokens or min(trained, _MOST_CONTEXT)
        # The library rounds up too, but only after it has cut the batch down to the size asked for, and a batch
        # smaller than the number of sequences ends the process.
        params.n_ctx = -(-wanted // _ROUND) * _ROUND
        params.n_batch = settings.prefill_chunk + settings.sequences
        params.n_ubatch = params.n_batch
        params.n_seq_max = settings.sequences
        params.n_threads = params.n_threads_batch = self.threads
        params.kv_unified = True  # without it every sequence gets only its share of the pool
        params.no_perf = True
        params.type_k = params.type_v = getattr(
            self._native, f"GGML_TYPE_{settings.kv_type.upper()}"
        )
        params.flash_attn_type = self._flash_attention(settings)
        # C's strlen, on a one-byte string that is empty until `abort`, answers "go on" or "stop" without
        # taking Python's lock; a Python callback would be called some 500 times a step.
        strlen: Any = ctypes.CDLL(None).strlen
        params.abort_callback = ctypes.cast(strlen, self._native.ggml_abort_callback)
        params.abort_callback_data = ctypes.cast(self._abort_flag, ctypes.c_void_p)
        return params

    def _flash_attention(self, settings: LlamaSettings) -> int:
        quantised = settings.kv_type != "f16"
        if settings.flash_attention is None and not quantised:
            return int(self._native.LLAMA_FLASH_ATTN_TYPE_AUTO)
        if settings.flash_attention is False:
            return int(self._native.LLAMA_FLASH_ATTN_TYPE_DISABLED)
        return int(self._native.LLAMA_FLASH_ATTN_TYPE_ENABLED)

    def abort(self) -> None:
        """Make the running `decode` return ABORTED within milliseconds. From any thread."""
        self._abort_flag[0] = b"\x01"

    def rearm(self) -> None:
        """Forget an abort."""
        self._abort_flag[0] = b"\x00"

    def decode(self, spans: Sequence[Span]) -> Outcome:
        """Evaluate spans of tokens in one step; the rows of those that are no pictures are numbered in this order.

        Raises:
            BackendFault: the library refused the batch or failed in it.
        """
        self._check(spans)
        self._outputs = frozenset()
        pictures = [span for span in spans if span.rows is not None]
        texts = [span for span in spans if span.rows is None] if pictures else spans
        outputs = self._batch.fill(texts)
        began = time.perf_counter()
        status = self._decode_pictures(pictures)
        if status == 0 and texts:
            status = self._native.llama_decode(self._handle, self._batch.struct)
        self.decode_seconds += time.perf_counter() - began
        if status == 0:
            self._outputs = frozenset(outputs)
            return Outcome.DONE
        if status == 1:
            return Outcome.FULL
        if status == 2:
            return Outcome.ABORTED
        raise BackendFault(f"llama.cpp failed in a step (status {status}): {last_errors()}.")

    def _decode_pictures(self, spans: Sequence[Span]) -> int:
        """Evaluate pictures, each in a call of its own; the first status that is not 0."""
        for span in spans:
            if self._picture_batch is None:
                init = self._native.llama_batch_init
                self._picture_batch = init(self.batch_size, self._width, 1)
            batch = self._picture_batch
            ctypes.memmove(batch.embd, span.rows.ctypes.data, span.rows.nbytes)
            batch.n_tokens = len(span.tokens)
            for index in range(len(span.tokens)):
                batch.pos[index] = span.start + index
                batch.n_seq_id[index] = 1
                batch.seq_id[index][0] = span.sequence
                batch.logits[index] = False
            status = int(self._native.llama_decode(self._handle, batch))
            if status != 0:
                return status
        return 0

    def _check(self, spans: Sequence[Span]) -> None:
        rows = sum(len(span.tokens) for span in spans)
        if not 0 < rows <= self.batch_size:
            raise BackendFault(f"A step of {rows} tokens does not fit {self.batch_size}.")
        for span in spans:
            self._check_sequence(span.sequence)
            if not span.tokens or span.start < 0 or span.start + len(span.tokens) > self.size:
                raise BackendFault(f"No such positions: {len(span.tokens)} from {span.start} on.")
            if span.rows is not None:
                self._check_picture(span)
            elif min(span.tokens) < 0 or max(span.tokens) >= self.vocabulary_size:
                raise BackendFault("A prompt holds a token that this model does not have.")

    def _check_picture(self, span: Span) -> None:
        fits = span.rows.shape == (len(span.tokens), self._width) and span.rows.dtype == "float32"
        if not fits or not span.rows.flags.c_contiguous:
            raise BackendFault("A picture's rows are not as wide as this model's embedding.")
        if span.wants_logits:
            raise BackendFault("A prompt ends in a picture; nothing can follow it.")

    def _check_sequence(self, *numbers: int) -> None:
        for number in numbers:
            if not 0 <= number < self._sequences:
                raise BackendFault(f"There is no sequence {number}.")

    def logits(self, row: int) -> Any:
        """The scores of a row of the last step (numpy, float32), valid until the next step.

        Raises:
            BackendFault: the step did not ask for that row's.
        """
        import numpy as np

        if row not in self._outputs:
            raise BackendFault(f"Row {row} of the last step has no scores.")
        pointer = self._native.llama_get_logits_ith(self._handle, row)
        if not pointer:
            raise BackendFault(f"The library has no scores of row {row}.")
        memory = self._scores_type.from_address(ctypes.addressof(pointer.contents))
        return np.frombuffer(memory, dtype=np.float32)

    def rewind(self, sequence: int, length: int) -> bool:
        """Keep the first `length` tokens of a sequence. False: it had to be emptied."""
        self._check_sequence(sequence)
        if length > 0 and self._native.llama_memory_seq_rm(self._memory, sequence, length, -1):
            return True
        self._native.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        return length == 0

    def share(self, source: int, target: int, length: int) -> None:
        """Give the empty sequence `target` the first `length` tokens of `source`, without a copy."""
        self._check_sequence(source, target)
        self._native.llama_memory_seq_cp(self._memory, source, target, 0, length)

    def state_size(self, sequence: int) -> int:
        """Bytes that `save_state` would give for a sequence now."""
        self._check_sequence(sequence)
        return int(self._native.llama_state_seq_get_size(self._handle, sequence))

    def save_state(self, sequence: int) -> bytearray:
        """The keys and values of a sequence; empty when the library cannot give them."""
        data = bytearray(self.state_size(sequence))
        buffer = (ctypes.c_uint8 * len(data)).from_buffer(data)
        written = self._native.llama_state_seq_get_data(self._handle, buffer, len(data), sequence)
        return data if written == len(data) else bytearray()

    def load_state(self, sequence: int, data: bytearray, length: int) -> bool:
        """Fill a sequence with a saved state of `length` tokens. False: it does not fit, the sequence is empty now.

        Only for what `save_state` gave in a context of the same model and settings: anything else may end the process.
        """
        self._check_sequence(sequence)
        self._native.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        buffer = (ctypes.c_uint8 * len(data)).from_buffer(data)
        read = self._native.llama_state_seq_set_data(self._handle, buffer, len(data), sequence)
        last = self._native.llama_memory_seq_pos_max(self._memory, sequence)
        if read == len(data) and last == length - 1:
            return True
        self._native.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        return False

    def free(self) -> None:
        """Let go of the pool."""
        if self._picture_batch is not None:
            self._native.llama_batch_free(self._picture_batch)
            self._picture_batch = None
        if self._handle:
            self._native.llama_free(self._handle)
            self._handle = None
