"""An embedding model of a few lines: equal words, near vectors. It writes down every text that it embeds.

What it wrote lies in a file, so that it can be counted over several processes and their ends.
"""

import asyncio
import hashlib
import re
from array import array
from collections.abc import Sequence
from pathlib import Path

from local_assistants.tools.file_search.chunking.tokens import Tokenizer

FACTORY = f"{__name__}:made"
SIZE = 64
_WORD = re.compile(r"\w+|[^\w\s]")


class Words:
    """Every word and every sign is a token."""

    def count(self, text: str) -> int:
        return len(_WORD.findall(text))

    def spans(self, text: str) -> list[tuple[int, int]]:
        return [match.span() for match in _WORD.finditer(text)]


class CountingEmbedder:
    """Counts as the `Embedder` of file search.

    Args:
        folder: where it writes down what it embeds.
        seconds: that each text takes.
    """

    tokenizer: Tokenizer = Words()
    window = 254

    def __init__(self, folder: Path, seconds: float = 0.0) -> None:
        self._log = folder / "embedded.log"
        self._seconds = seconds
        self.gate: asyncio.Event | None = None  # when set, nothing is embedded before it is opened
        self.fails_after: int | None = None  # texts, after which it raises RuntimeError

    @property
    def embedded(self) -> int:
        """Texts embedded so far, in this process and in those before it."""
        return len(self.texts)

    @property
    def texts(self) -> list[str]:
        """Digests of the texts embedded so far."""
        return self._log.read_text().split() if self._log.exists() else []

    async def encode(self, texts: Sequence[str]) -> list[bytes]:
        """A vector for each text."""
        if self.gate is not None:
            await self.gate.wait()
        if self.fails_after is not None and self.embedded >= self.fails_after:
            raise RuntimeError("The model is out of order.")
        await asyncio.sleep(self._seconds * len(texts))
        with self._log.open("a") as log:
            log.writelines(f"{digest_of(text)}\n" for text in texts)
        return [vector_of(text) for text in texts]

    async def close(self) -> None:
        """Nothing to let go of."""


def made(folder: str, seconds: float = 0.0) -> CountingEmbedder:
    """The factory that a worker process is told."""
    return CountingEmbedder(Path(folder), seconds)


def digest_of(text: str) -> str:
    """What is written down of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def vector_of(text: str) -> bytes:
    """float32, little endian, of length 1: each word adds to one of the dimensions."""
    numbers = [0.01] * SIZE
    for word in _WORD.findall(text.casefold()):
        numbers[hashlib.sha256(word.encode()).digest()[0] % SIZE] += 1.0
    norm = sum(number * number for number in numbers) ** 0.5
    return array("f", [number / norm for number in numbers]).tobytes()
