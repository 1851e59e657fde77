"""Texts to vectors without torch: a model folder's tokenizer.json and onnx/model.onnx, by tokenizers and onnxruntime.

It is there for queries in the server's own process: it is loaded in a third of a second and answers in a few
milliseconds.
"""

from pathlib import Path
from typing import Any

from ....engine.errors import MissingDependency, ToolFault
from .folder import ONNX, Pooling
from .threaded import ThreadedEmbedder

_POOLED = "sentence_embedding"  # the output of models that pool for themselves
_QUIET = 3  # onnxruntime's level for errors


class OnnxEmbedder(ThreadedEmbedder["_Native"]):
    """The ONNX file of a model folder as an `Embedder`."""

    def _load(self) -> "_Native":
        self._check(self._folder / ONNX)
        return _Native(self._folder, self._facts.pooling, self._window, self._threads)

    def _encode(self, model: "_Native", texts: list[str]) -> list[bytes]:
        return model.encode(texts)


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
                "The embedding model gives a vector for each token, and its folder does not say how to pool them.",
                detail=str(folder / ONNX),
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
        return ToolFault(
            f"The embedding model's {ONNX.name} cannot be used; the server's log says why.",
            detail=f"{self._folder / ONNX}: {error}",
        )
