"""Texts to vectors: sentence-transformers over a model folder on this disk. Never a download.

Importing torch happens on the model's thread too, at first use (six seconds). One torch thread by default: beside a
busy language model more threads make it slower.
"""

import os
from typing import Any

from ....engine.errors import MissingDependency, ToolFault
from ..chunking.tokens import GET_MODEL
from .batches import BATCH
from .folder import WEIGHTS
from .threaded import ThreadedEmbedder


class SentenceEmbedder(ThreadedEmbedder[Any]):  # its model's types overwhelm every checker
    """A sentence-transformers model folder as an `Embedder`."""

    def _encode(self, model: Any, texts: list[str]) -> list[bytes]:
        try:
            rows = model.encode(
                texts,
                batch_size=BATCH,
                convert_to_numpy=True,
                normalize_embeddings=True,
                show_progress_bar=False,
            )
        except RuntimeError as error:
            raise ToolFault(
                "The embedding model failed; the server's log says why.", detail=str(error)
            ) from error
        return [row.astype("<f4").tobytes() for row in rows]

    def _load(self) -> Any:
        self._check(self._folder / WEIGHTS)
        # The libraries are given a path and need no network; these keep them from trying all the same.
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
            os.environ.setdefault(name, "1")
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        try:
            import torch
            from sentence_transformers import SentenceTransformer
            from transformers.utils.logging import disable_progress_bar
        except ImportError as error:
            raise MissingDependency(
                "File search needs sentence-transformers and torch: pip install local-assistants"
            ) from error
        disable_progress_bar()  # type: ignore[no-untyped-call]  # transformers leaves it so
        torch.set_num_threads(self._threads)
        try:
            model = SentenceTransformer(str(self._folder), device="cpu", local_files_only=True)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise ToolFault(
                f"The embedding model cannot be loaded. Get it anew with: {GET_MODEL}",
                detail=f"{self._folder}: {error}",
            ) from error
        model.max_seq_length = self._window
        model.default_prompt_name = None  # what belongs in front is there already
        return model
