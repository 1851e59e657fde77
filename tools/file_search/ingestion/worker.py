"""What the library needs of the worker that reads and embeds files, wherever it runs.

The worker holds the embedding model and everything that is slow or dangerous: parsing, cutting, embedding. It knows no
store, no vector index and no status. It promises that a file which ends its process ends that file's call only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..chunking.chunking import Sizes


@dataclass(frozen=True, slots=True)
class ExtractedChunk:
    """A stretch of a file's text: `start` and `end` count its code points, `page` is 1-based.

    `heading` is the path of headings above it, without the file's name.
    """

    start: int
    end: int
    page: int | None
    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class Extracted:
    """A parsed and cut file: UTF-8 bytes of its text, the chunks in order, pages that could not be read."""

    text_bytes: int
    chunks: tuple[ExtractedChunk, ...]
    unreadable: tuple[int, ...] = ()


class QueryEncoder(Protocol):
    """Embeds queries; a worker does, and so may something quicker to start."""

    async def encode(self, queries: Sequence[str], /) -> list[bytes]:
        """A vector for each query: float32, little endian, L2-normalised.

        Raises:
            MissingDependency: the model is not here; names the command that gets it.
            ToolFault: the model fails.
        """
        ...

    async def close(self) -> None: ...


class Worker(Protocol):
    """Reads, cuts and embeds. Queries go before passages, whoever waits."""

    @property
    def recipe(self) -> str:
        """Names what the chunks and vectors of a file depend on beside its bytes and the sizes.

        That is the version of the parsers and of chunking, and the embedding model. Equal recipes give equal vectors.
        """
        ...

    async def extract(self, path: Path, filename: str, sizes: Sizes) -> Extracted:
        """Parse the file at `path` and cut it.

        Raises:
            UnsupportedFile: no parser for its type.
            InvalidRequest: it cannot be parsed; the message says why.
            ToolFault: the worker cannot be started.
        """
        ...

    async def embed(self, passages: Sequence[tuple[str, str]]) -> list[bytes]:
        """A vector for each (heading line, text): float32, little endian, L2-normalised.

        A text longer than the model's window is embedded by windows whose mean stands for it: nothing is cut off.

        Raises:
            MissingDependency: the model is not here; names the command that gets it.
            ToolFault: the model fails.
        """
        ...

    async def encode(self, queries: Sequence[str]) -> list[bytes]:
        """A vector for each query, in the form of `embed`."""
        ...

    async def close(self) -> None: ...
