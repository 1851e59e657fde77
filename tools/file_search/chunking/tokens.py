"""Counting in the embedder's own tokens, with offsets, and cutting by them.

`FolderTokenizer` does it without loading the embedder: it reads the model folder's tokenizer.json with the `tokenizers`
package (20 ms instead of seconds for torch).
"""

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ....engine.errors import MissingDependency

if TYPE_CHECKING:
    from tokenizers import Tokenizer as _Tokenizer

TOKENIZER = "tokenizer.json"

GET_MODEL = "local-assistants models pull minilm-l6-v2"
"""What brings the embedding model that is used when no other is named, or brings it anew."""


class Tokenizer(Protocol):
    """What chunking needs of an embedding model; safe to use from several threads."""

    def count(self, text: str) -> int:
        """Number of tokens, special ones not counted."""
        ...

    def spans(self, text: str) -> list[tuple[int, int]]:
        """(start, end) of each token in code points of `text`, in order; characters it drops lie between spans."""
        ...


class FolderTokenizer:
    """The tokenizer of one model folder; safe to use from several threads.

    Raises:
        MissingDependency: the folder holds no tokenizer.json, or the package is not installed.
    """

    def __init__(self, folder: Path) -> None:
        file = folder / TOKENIZER
        if not file.is_file():
            raise missing_model(folder)
        try:
            from tokenizers import Tokenizer as Loaded
        except ImportError as error:
            raise MissingDependency(
                "File search needs the package tokenizers: pip install local-assistants"
            ) from error
        self._tokenizer: _Tokenizer = Loaded.from_file(str(file))
        # Model folders ship with cutting and padding on; either would falsify every count.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def count(self, text: str) -> int:
        """Number of tokens, special ones not counted."""
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """(start, end) of each token in code points of `text`, in order; characters it drops lie between spans."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return [(int(start), int(end)) for start, end in encoding.offsets]


def pieces(tokenizer: Tokenizer, text: str, limit: int) -> list[str]:
    """Cut `text` into the fewest even stretches of at most `limit` tokens; nothing is lost between them."""
    spans = tokenizer.spans(text)
    if len(spans) <= limit:
        return [text]
    parts = -(-len(spans) // limit)
    firsts = [len(spans) * part // parts for part in range(parts)]
    cuts = [0, *(spans[first][0] for first in firsts[1:]), len(text)]
    return [text[start:end] for start, end in pairwise(cuts)]


def cut(tokenizer: Tokenizer, text: str, limit: int) -> str:
    """The beginning of `text` that has at most `limit` tokens."""
    spans = tokenizer.spans(text)
    return text if len(spans) <= limit else text[: spans[limit][0]].rstrip()


def missing_model(folder: Path) -> MissingDependency:
    """The error for a model folder that is not there."""
    return MissingDependency(
        f"The embedding model '{folder.name}' is not there. Get it with: {GET_MODEL}"
    )
