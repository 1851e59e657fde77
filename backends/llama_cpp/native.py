"""The door to llama.cpp: importing its bindings, loading a GGUF, and its vocabulary.

Everything here works on the model's read-only part, so it may be called from any thread. What is written to (context,
KV cache) is in context.py and belongs to one thread.

A native assertion ends the whole process, so whatever can be checked is checked before a native call. Null pointers
come back as objects that are false, never as None: they are tested by truth.
"""

import ctypes
import os
from collections import deque
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from ...engine.errors import BackendFault, MissingDependency
from .loading.inspection import inspect
from .settings import LlamaSettings

_LOG_ERROR = 4  # GGML_LOG_LEVEL_ERROR
_recent_errors: deque[str] = deque(maxlen=8)
_loaded: list[Any] = []  # the bindings and what must not be garbage-collected beside them


def bindings() -> Any:
    """The ctypes layer of llama-cpp-python, imported once, its logging kept off the terminal.

    Raises:
        MissingDependency: it is not installed.
    """
    if not _loaded:
        os.environ.setdefault("GGML_NO_BACKTRACE", "1")  # else an abort starts a debugger
        # Threads that wait for one another spin for microseconds, then sleep (docs/decisions/0006-waiting-threads.md).
        if "OMP_WAIT_POLICY" not in os.environ:
            os.environ.setdefault("GOMP_SPINCOUNT", "1000")
        try:
            from llama_cpp import llama_cpp as native
        except ImportError as error:
            raise MissingDependency(
                "Running a GGUF needs llama-cpp-python: pip install 'llama-cpp-python>=0.3.36'."
            ) from error
        callback = native.llama_log_callback(_remember_errors)
        native.llama_log_set(callback, ctypes.c_void_p(0))
        native.llama_backend_init()
        _loaded.extend((native, callback))
    return _loaded[0]


def log_callback() -> Any:
    """What the library's parts are to log to. `bindings` must have been called."""
    return _loaded[1]


def _remember_errors(level: int, text: bytes, _data: object) -> None:
    if level == _LOG_ERROR:
        _recent_errors.append(text.decode("utf-8", "replace").strip())


def last_errors() -> str:
    """What the library logged as errors lately, as one line."""
    return "; ".join(line for line in _recent_errors if line) or "it gave no reason"


class NativeModel:
    """A loaded GGUF: weights, metadata and vocabulary.

    Args:
        path: the file, of a split model the first part.
        settings: of which gpu_layers and repack matter here.
        on_progress: hears how far it is (0 to 1) and says whether to go on; on this thread.

    Raises:
        BackendFault: the file is missing, no GGUF, cut off, broken, or of a kind the library cannot run; or
            `on_progress` said no.
    """

    def __init__(
        self,
        path: Path,
        settings: LlamaSettings,
        on_progress: Callable[[float], bool] | None = None,
    ) -> None:
        self.facts = inspect(path)
        self.native = bindings()
        _recent_errors.clear()
        params = self.native.llama_model_default_params()
        params.n_gpu_layers = settings.gpu_layers or 0
        params.use_extra_bufts = settings.repack
        stopped = False

        def progressed(share: float, _data: object) -> bool:
            nonlocal stopped
            stopped = on_progress is not None and not on_progress(share)
            return not stopped

        params.progress_callback = self.native.llama_progress_callback(progressed)
        self.handle: Any = self.native.llama_model_load_from_file(os.fsencode(path), params)
        if not self.handle:
            if stopped:
                raise BackendFault(f"Loading {path.name} was stopped.", detail=str(path))
            raise self._refusal(path, last_errors())
        self.trained_context = int(self.native.llama_model_n_ctx_train(self.handle))
        # Of a recurrent state there is no earlier version to go back to.
        self.can_rewind = not (
            self.native.llama_model_is_recurrent(self.handle)
            or self.native.llama_model_is_hybrid(self.handle)
        )
        self.vocabulary = Vocabulary(self.native, self.native.llama_model_get_vocab(self.handle))

    def _refusal(self, path: Path, reason: str) -> BackendFault:
        if "unknown model architecture" in reason:
            return BackendFault(
                f"{path.name} is of the architecture '{self.facts.architecture}', which this llama.cpp does not know. "
                "A newer one may: pip install --upgrade llama-cpp-python.",
                detail=str(path),
            )
        return BackendFault(
            f"llama.cpp cannot load {path.name}; the server's log says why.",
            detail=f"{path}: {reason}",
        )

    @property
    def template(self) -> str | None:
        """The chat template (Jinja) that the GGUF carries, if it does."""
        text: bytes | None = self.native.llama_model_chat_template(self.handle, None)
        return text.decode("utf-8", "replace") if text else None

    def free(self) -> None:
        """Unload. The context must be gone before."""
        if self.handle:
            self.native.llama_model_free(self.handle)
            self.handle = None


class Vocabulary:
    """Text to tokens and back."""

    def __init__(self, native: Any, handle: Any) -> None:
        self._native = native
        self.handle = handle
        self.size = int(native.llama_vocab_n_tokens(handle))
        self.bos = int(native.llama_vocab_bos(handle))
        self.adds_bos = bool(native.llama_vocab_get_add_bos(handle))
        self._ends = frozenset(
            token for token in range(self.size) if native.llama_vocab_is_eog(handle, token)
        )
        self._controls = {
            token: self._text(token)
            for token in range(self.size)
            if native.llama_vocab_is_control(handle, token)
        }
        self._pieces: dict[int, bytes] = {}

    @property
    def control_ids(self) -> Collection[int]:
        """The tokens that are no text."""
        return self._controls.keys()

    @property
    def control_texts(self) -> frozenset[str]:
        """How control tokens are written. In a message these are plain text, never the token."""
        return frozenset(text for text in self._controls.values() if text)

    def text_of_bos(self) -> str:
        """How the beginning-of-text token is written; "" when there is none."""
        return self._text(self.bos) if 0 <= self.bos < self.size else ""

    def text_of_eos(self) -> str:
        """How the end-of-text token is written; "" when there is none."""
        eos = int(self._native.llama_vocab_eos(self.handle))
        return self._text(eos) if 0 <= eos < self.size else ""

    def is_end(self, token: int) -> bool:
        """Whether the model ends its turn with this token."""
        return token in self._ends

    @property
    def end_token(self) -> int:
        """Some token that ends a turn; -1 when the model has none."""
        return min(self._ends, default=-1)

    def tokenize(self, text: str, *, special: bool, ends: bool = False) -> list[int]:
        """Tokens of `text`; control tokens are recognised in it only if `special`.

        With `ends` those are added that the model wants before and behind every text.
        """
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        while True:
            tokens = (ctypes.c_int32 * room)()
            count = self._native.llama_tokenize(
                self.handle, data, len(data), tokens, room, ends, special
            )
            if count >= 0:
                return list(tokens[:count])
            room = -count

    def piece(self, token: int) -> bytes:
        """The bytes a token stands for, perhaps part of a character; b"" for control tokens."""
        known = self._pieces.get(token)
        if known is None:
            known = self._pieces[token] = self._piece(token)
        return known

    def pieces(self, tokens: Sequence[int]) -> bytes:
        """The bytes of several tokens."""
        return b"".join(self.piece(token) for token in tokens)

    def written(self, token: int) -> str:
        """How a control token is written, "" for all others."""
        return self._controls.get(token, "")

    def _piece(self, token: int) -> bytes:
        if not 0 <= token < self.size:
            raise BackendFault(f"This model has no token {token}.")  # the library would abort
        room = 64
        while True:
            buffer = ctypes.create_string_buffer(room)
            size = self._native.llama_token_to_piece(self.handle, token, buffer, room, 0, False)
            if size >= 0:
                return buffer.raw[:size]
            room = -size

    def _text(self, token: int) -> str:
        text: bytes | None = self._native.llama_vocab_get_text(self.handle, token)
        return text.decode("utf-8", "replace") if text else ""
