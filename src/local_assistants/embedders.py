"""The embedding model of file search: which one is meant, and that a data folder keeps to one.

Vectors of two models cannot be compared. What a data folder's files were indexed with is noted in it when the first
text is embedded; another model is refused from then on, instead of being searched with for nothing.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from local_assistants import catalogue, model_store, paths
from local_assistants.engine.errors import InvalidRequest, ModelNotFound, StorageFault

if TYPE_CHECKING:
    from local_assistants.tools.file_search.chunking.tokens import Tokenizer
    from local_assistants.tools.file_search.embedding.embedder import Embedder

NOTE = "embedder.json"
"""In a data folder: what its files were indexed with."""


@dataclass(frozen=True)
class _Used:
    """An embedding model: what tells it from others, and how to ask for it."""

    identity: str
    name: str


def open_embedder(name: str | None, data: Path) -> "Embedder":
    """The embedding model for a data folder; loaded when it is first used.

    Args:
        name: a GGUF or a model folder, by path or by its name in a models folder; None: the catalogue's.
        data: the data folder.

    Raises:
        ModelNotFound: there is no such model here.
        InvalidRequest: the data folder's files were indexed with another one.
    """
    entry = catalogue.embedder()
    if name is None or entry.called(name):
        made, used = _catalogued(), _Used(entry.sha256, entry.key)
    else:
        made, used = _own(model_store.resolve(name, "embedder"), name)
    note = data / NOTE
    before = _read(note)
    if before is None and (data / "vectors").exists():
        before = _Used(entry.sha256, entry.key)  # made when there was no other
    if before is not None and before.identity != used.identity:
        raise InvalidRequest(
            f"The files in {data} were indexed with the embedding model {before.name}, and vectors of two models "
            f"cannot be compared. Start with --embedder {before.name}, use another data folder, or delete the vector "
            f"stores and then {note}."
        )
    return _Noted(made, used, note)


def _catalogued() -> "Embedder":
    from local_assistants.tools.file_search.embedding.sentence import SentenceEmbedder

    weights = catalogue.embedder()
    folder = next(
        (here for root in paths.model_folders() if (here := root / weights.target).is_dir()),
        paths.models_root() / weights.target,  # not there yet: the embedder says how to get it
    )
    return SentenceEmbedder(folder, sha256=weights.sha256)


def _own(path: Path, name: str) -> "tuple[Embedder, _Used]":
    from local_assistants.backends.llama_cpp.embedding import GgufEmbedder
    from local_assistants.backends.llama_cpp.loading.identity import model_identity
    from local_assistants.tools.file_search.embedding.sentence import SentenceEmbedder

    if path.is_file():
        return GgufEmbedder(path), _Used(model_identity(path), name)
    weights = path / "model.safetensors"
    if not weights.is_file():
        raise ModelNotFound(f"{path} holds no model.safetensors.")
    return SentenceEmbedder(path), _Used(model_identity(weights), name)


def _read(note: Path) -> _Used | None:
    with suppress(OSError, ValueError, TypeError):
        return _Used(**json.loads(note.read_text(encoding="utf-8")))
    return None


class _Noted:
    """An embedder that leaves a note when it is first used (tools.file_search.embedding.Embedder)."""

    def __init__(self, embedder: "Embedder", used: _Used, note: Path) -> None:
        self._embedder = embedder
        self._used = used
        self._note = note

    @property
    def tokenizer(self) -> "Tokenizer":
        return self._embedder.tokenizer

    @property
    def window(self) -> int:
        return self._embedder.window

    async def encode(self, texts: Sequence[str]) -> list[bytes]:
        """The vectors.

        Raises:
            StorageFault: the note cannot be written.
        """
        vectors = await self._embedder.encode(texts)
        if vectors and not self._note.is_file():
            try:
                self._note.write_text(json.dumps(asdict(self._used)), encoding="utf-8")
            except OSError as error:
                raise StorageFault(f"{self._note} cannot be written: {error.strerror}.") from error
        return vectors

    async def close(self) -> None:
        await self._embedder.close()


def sentence(folder: str, sha256: str | None = None, threads: int = 1) -> "Embedder":
    """The model in a folder, for the worker process: its factory by name."""
    from local_assistants.tools.file_search.embedding.sentence import SentenceEmbedder

    return SentenceEmbedder(Path(folder), sha256=sha256, threads=threads)
