"""What the library needs of an embedding model, whatever runs it."""

from collections.abc import Sequence
from typing import Protocol

from ..chunking.tokens import Tokenizer


class Embedder(Protocol):
    """What the library needs of an embedding model."""

    @property
    def tokenizer(self) -> Tokenizer: ...

    @property
    def window(self) -> int:
        """Tokens of a text that count, special ones not included; the rest would be cut off."""
        ...

    async def encode(self, texts: Sequence[str]) -> list[bytes]:
        """One vector a text: float32, little endian, L2-normalised."""
        ...

    async def close(self) -> None: ...
