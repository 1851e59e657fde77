"""What every embedding model of this room has: a folder, its tokenizer, and one thread on which the model lives.

It does not know what runs the model; a subclass loads it and puts batches before it. Never a download.
"""

import asyncio
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Generic, TypeVar

from ....engine.errors import ToolFault
from ..chunking.tokens import GET_MODEL, FolderTokenizer, Tokenizer, missing_model
from .batches import BATCH
from .folder import FolderFacts, folder_facts

Model = TypeVar("Model")


class ThreadedEmbedder(ABC, Generic[Model]):
    """A model folder as an `Embedder`; the event loop never waits for the model.

    Args:
        folder: the model's folder, with tokenizer.json and the model's file.
        sha256: what the model's file must hash to; None takes any (an operator's own model).
        threads: compute threads.
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
        self._sha256 = sha256
        self._threads = threads
        self._facts: FolderFacts = folder_facts(folder)
        self._window = window or self._facts.window
        self._tokenizer: FolderTokenizer | None = None
        self._model: Model | None = None
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=type(self).__name__)

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
            MissingDependency: the model's file or a package is missing; names the command.
            ToolFault: the file is not the pinned one, cannot be used, or fails; or the model was closed.
        """
        loop = asyncio.get_running_loop()
        vectors: list[bytes] = []
        for start in range(0, len(texts), BATCH):
            if self._closed:
                raise ToolFault("The embedding model is closed; make a new one to use it.")
            batch = list(texts[start : start + BATCH])
            vectors += await loop.run_in_executor(self._thread, self._encoded, batch)
        return vectors

    async def close(self) -> None:
        """End the thread and let go of the model. May be called twice; nothing can be embedded after."""
        self._closed = True
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)
        self._model = None

    # --- on the model's thread ---

    @abstractmethod
    def _load(self) -> Model:
        """The model, checked and ready."""

    @abstractmethod
    def _encode(self, model: Model, texts: list[str]) -> list[bytes]:
        """A vector of length one for each text of a batch."""

    def _encoded(self, texts: list[str]) -> list[bytes]:
        if self._model is None:
            self._model = self._load()
        return self._encode(self._model, texts)

    def _check(self, file: Path) -> None:
        """That the model's file is there and the pinned one."""
        if not file.is_file():
            raise missing_model(self._folder)
        if self._sha256 is None:
            return
        with file.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != self._sha256:
            raise ToolFault(
                f"The embedding model's {file.name} is not the expected one. Get it anew with: {GET_MODEL}",
                detail=f"{file}: sha256 {found}",
            )
