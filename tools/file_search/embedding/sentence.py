"""Texts to vectors: sentence-transformers over a model folder on this disk. Never a download.

The model lives on one thread of its own, so the event loop never waits for it; importing torch happens there too, at
first use (six seconds). One torch thread by default: beside a busy language model more threads make it slower.
"""

import asyncio
import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ....engine.errors import MissingDependency, ToolFault
from ..chunking.tokens import FolderTokenizer, Tokenizer, missing_model
from .batches import BATCH
from .folder import WEIGHTS, folder_facts


class SentenceEmbedder:
    """A sentence-transformers model folder as an `Embedder`.

    Args:
        folder: the model's folder, with tokenizer.json and model.safetensors.
        sha256: what the weights must hash to; None takes any (an operator's own model).
        threads: torch's threads.
        window: tokens of a text that count, special ones included; None: what the folder says.

    Raises:
        ToolFault: a file of the folder is damaged.
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
        facts = folder_facts(folder)
        self._specials = facts.specials
        self._sha256 = sha256
        self._threads = threads
        self._window = window or facts.window
        self._tokenizer: FolderTokenizer | None = None
        self._model: Any = None  # a SentenceTransformer; its types overwhelm every checker
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="embedder")

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
        return self._window - self._specials

    async def encode(self, texts: Sequence[str]) -> list[bytes]:
        """Embed `texts`, in batches between which other callers get their turn.

        Raises:
            MissingDependency: the folder or a package is missing; names the command.
            ToolFault: the weights are not the pinned ones, or the model fails.
        """
        if self._closed:
            raise ToolFault("The embedding model is closed; make a new one to use it.")
        loop = asyncio.get_running_loop()
        vectors: list[bytes] = []
        for start in range(0, len(texts), BATCH):
            batch = list(texts[start : start + BATCH])
            vectors += await loop.run_in_executor(self._thread, self._encode, batch)
        return vectors

    async def close(self) -> None:
        """End the thread and let go of the model. May be called twice; nothing can be embedded after."""
        self._closed = True
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)
        self._model = None

    def _encode(self, texts: list[str]) -> list[bytes]:
        if self._model is None:
            self._model = self._load()
        try:
            rows = self._model.encode(
                texts,
                batch_size=BATCH,
                convert_to_numpy=True,
                normalize_embeddings=True,
                show_progress_bar=False,
            )
        except RuntimeError as error:
            raise ToolFault(f"The embedding model failed: {error}") from error
        return [row.astype("<f4").tobytes() for row in rows]

    def _load(self) -> Any:
        weights = self._folder / WEIGHTS
        if not weights.is_file():
            raise missing_model(self._folder)
        self._check(weights)
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
                f"The embedding model in {self._folder} cannot be loaded: {error}. "
                "Get it anew with: local-assistants models pull all-minilm-l6-v2"
            ) from error
        model.max_seq_length = self._window
        model.default_prompt_name = None  # what belongs in front is there already
        return model

    def _check(self, weights: Path) -> None:
        if self._sha256 is None:
            return
        with weights.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != self._sha256:
            raise ToolFault(
                f"The weights in {weights} are not the expected ones (sha256 {found}). "
                "Get them anew with: local-assistants models pull all-minilm-l6-v2"
            )
