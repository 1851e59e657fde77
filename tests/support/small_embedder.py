"""An embedding model without weights, for worker processes: words are its tokens, and some words break it.

`SLOW` takes half a second, `HANG` an hour, `CRASH` ends the process; `STUMBLE` ends it the first time only.
"""

import hashlib
import os
import re
import signal
import time
from array import array
from collections.abc import Sequence
from pathlib import Path

from local_assistants.engine.errors import MissingDependency
from local_assistants.tools.file_search.chunking.tokens import Tokenizer

FACTORY = f"{__name__}:made"
SIZE = 8
_WORD = re.compile(r"\S+")


class Words:
    """Every word is a token."""

    def count(self, text: str) -> int:
        return len(_WORD.findall(text))

    def spans(self, text: str) -> list[tuple[int, int]]:
        return [match.span() for match in _WORD.finditer(text)]


class SmallEmbedder:
    """Gives each text a vector that depends on its words alone; counts as the `Embedder` of file search."""

    tokenizer: Tokenizer = Words()

    def __init__(self, folder: Path, window: int = 32) -> None:
        self.window = window
        self._folder = folder
        self.asked: list[int] = []

    async def encode(self, texts: Sequence[str]) -> list[bytes]:
        import asyncio

        return await asyncio.to_thread(self._encode, list(texts))

    async def close(self) -> None:
        """Nothing to close."""

    def _encode(self, texts: list[str]) -> list[bytes]:
        for word in " ".join(texts).split():
            self._obey(word)
        return [_vector(text) for text in texts]

    def _obey(self, word: str) -> None:
        if word == "SLOW":
            time.sleep(0.5)
        elif word == "HANG":
            time.sleep(3600)
        elif word == "MISSING":
            raise MissingDependency("The model is not here: get it.")
        elif word == "FAIL":
            raise ValueError("no such thing")
        elif word == "CRASH":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif word == "STUMBLE":
            stumbled = self._folder / "stumbled"
            if not stumbled.exists():
                stumbled.touch()
                os.kill(os.getpid(), signal.SIGKILL)


def made(folder: str) -> SmallEmbedder:
    """The factory."""
    return SmallEmbedder(Path(folder))


def _vector(text: str) -> bytes:
    digest = hashlib.sha256(" ".join(text.split()).encode("utf-8", "replace")).digest()
    numbers = [byte + 1.0 for byte in digest[:SIZE]]
    norm = sum(number * number for number in numbers) ** 0.5
    return array("f", [number / norm for number in numbers]).tobytes()
