"""Texts to vectors without torch: a model folder's tokenizer.json and onnx/model.onnx, by tokenizers and onnxruntime.

It is there for queries in the server's own process: it is loaded in a third of a second and answers in a few
milliseconds. The model lives on one thread of its own, so the event loop never waits for it. Never a download.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ....engine.errors import MissingDependency, ToolFault
from ..chunking.tokens import FolderTokenizer, Tokenizer, missing_model
from .batches import BATCH
from .folder import ONNX, FolderFacts, Pooling, folder_facts

_POOLED = "sentence_embedding"  # the output of models that pool for themselves
_QUIET = 3  # onnxruntime's level for errors


class OnnxEmbedder:
    """The ONNX file of a model folder as an `Embedder`.

    Args:
        folder: the model's folder.
        sha256: what the ONNX file must hash to; None takes any (an operator's own model).
        threads: compute threads.
        window: tokens of a text that count, special ones included; None: what the folder says.
    """

    def __init__(
        self,
        folder: Path,
        *,
        sha256: str | None = None,
        threads: int = 1,
        window: int | None = None,
    ) -> None:
        self._folder = folder
        self._sha256 = sha256
        self._threads = threads
        self._facts: FolderFacts = folder_facts(folder)
        self._window = window or self._facts.window
        self._tokenizer: FolderTokenizer | None = None
        self._native: _Native | None = None
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="query-embedder")

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer.

        Raises:
            MissingDependency: the model folder is not there.
        """
        if self._tokenizer is None:
            self._tokenizer = FolderTokenizer(self._folder)
        return self._tokenizer

    @property
    def window(self) -> int:
        return self._window - self._facts.specials

    async def encode(self, texts: Sequence[str]) -> list[bytes]:
        """Embed `texts`, in batches between which other callers get their turn.

        Raises:
            MissingDependency: the file or a package is missing.
            ToolFault: the file is not the pinned one, cannot be used, or fails.
        """
        loop = asyncio.get_running_loop()
        vectors: list[bytes] = []
        for start in range(0, len(texts), BATCH):
            if self._closed:
                raise ToolFault("The embedding model is closed; make a new one to use it.")
            batch = list(texts[start : start + BATCH])
            vectors += await loop.run_in_executor(self._thread, self._encode, batch)
        return vectors

    async def close(self) -> None:
        """End the thread and let go of the model. May be called twice; nothing can be embedded after."""
        self._closed = True
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)
        self._native = None

    def _encode(self, texts: list[str]) -> list[bytes]:
        if self._native is None:
            self._native = self._load()
        return self._native.encode(texts)

    def _load(self) -> "_Native":
        file = self._folder / ONNX
        if not file.is_file():
            raise missing_model(self._folder)
        if self._sha256 is not None:
            with file.open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
            if found != self._sha256:
                raise ToolFault(f"{file} is not the expected one (sha256 {found}).")
        return _Native(self._folder, self._facts.pooling, self._window, self._threads)


class _Native:
    """Session and tokenizer; belongs to one thread."""

    def __init__(self, folder: Path, pooling: Pooling | None, window: int, threads: int) -> None:
        try:
            import onnxruntime  # type: ignore[import-untyped]  # it ships none
            from tokenizers import Tokenizer as Loaded
        except ImportError as error:
            raise MissingDependency(
                "Queries need onnxruntime and tokenizers: pip install local-assistants"
            ) from error
        self._folder = folder
        self._pooling = pooling
        runtime: Any = onnxruntime  # it has no types
        options = runtime.SessionOptions()
        options.enable_cpu_mem_arena = (
            False  # queries are short; it would keep the memory of the longest
        )
        options.intra_op_num_threads = threads
        options.log_severity_level = _QUIET
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session: Any = runtime.InferenceSession(
                str(folder / ONNX), options, providers=["CPUExecutionProvider"]
            )
            self._tokenizer: Any = Loaded.from_file(str(folder / "tokenizer.json"))
        except (
            Exception
        ) as error:  # both libraries raise classes of their own, right below Exception
            raise self._fault(error) from error
        self._inputs = [one.name for one in self._session.get_inputs()]
        outputs = [one.name for one in self._session.get_outputs()]
        self._output = _POOLED if _POOLED in outputs else outputs[0]
        if self._output != _POOLED and pooling is None:
            raise ToolFault(
                f"{folder / ONNX} gives a vector for each token, and the folder does not say how to pool them."
            )
        self._tokenizer.enable_truncation(window)
        pad: dict[str, Any] = self._tokenizer.padding or {}
        self._tokenizer.enable_padding(
            pad_id=pad.get("pad_id", 0), pad_token=pad.get("pad_token", "[PAD]")
        )

    def encode(self, texts: list[str]) -> list[bytes]:
        """A vector for each text, of length one."""
        import numpy as np

        encodings = self._tokenizer.encode_batch(texts)
        fed = {
            "input_ids": np.array([one.ids for one in encodings], np.int64),
            "attention_mask": np.array([one.attention_mask for one in encodings], np.int64),
            "token_type_ids": np.array([one.type_ids for one in encodings], np.int64),
        }
        try:
            (found,) = self._session.run([self._output], {name: fed[name] for name in self._inputs})
        except Exception as error:  # KeyError too: an input that no text model has
            raise self._fault(error) from error
        rows = found if found.ndim == 2 else self._pool(found, fed)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = rows / np.where(norms > 0, norms, 1)
        return [row.astype("<f4").tobytes() for row in rows]

    def _pool(self, tokens: Any, fed: dict[str, Any]) -> Any:
        """One row a text of the rows of its tokens; both are arrays."""
        import numpy as np

        if self._pooling == "cls":
            return tokens[:, 0]
        mask = fed["attention_mask"][:, :, None]
        if self._pooling == "max":
            return np.where(mask == 1, tokens, -np.inf).max(axis=1)
        return (tokens * mask).sum(axis=1) / mask.sum(axis=1)

    def _fault(self, error: Exception) -> ToolFault:
        return ToolFault(f"{self._folder / ONNX} cannot be used: {error}")
