"""The embedding model of file search: which one is meant, who runs it, and that a data folder keeps to one.

Vectors of two models cannot be compared. What a data folder's files were indexed with is noted in it when the first
text is embedded; another model is refused from then on, instead of being searched with for nothing.

Files are embedded in the worker process, which makes the model by one of the factories below. Queries are embedded in
this process where the model has an ONNX file, so that a search needs neither torch nor the worker.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_assistants import catalogue, model_store, paths
from local_assistants.engine.errors import InvalidRequest, ModelNotFound, StorageFault

if TYPE_CHECKING:
    from local_assistants.tools.file_search.chunking.chunking import Sizes
    from local_assistants.tools.file_search.embedding.embedder import Embedder
    from local_assistants.tools.file_search.embedding.folder import Prompts
    from local_assistants.tools.file_search.ingestion.process_worker import Model
    from local_assistants.tools.file_search.ingestion.worker import (
        Extracted,
        QueryEncoder,
        Worker,
    )
    from local_assistants.tools.file_search.settings import LibrarySettings

NOTE = "embedder.json"
"""In a data folder: what its files were indexed with."""

_VERSION = (
    1  # of the way in which passages are put before the model: raise it when their vectors change
)


@dataclass(frozen=True)
class _Used:
    """An embedding model: what tells it from others, and how to ask for it."""

    identity: str
    name: str


@dataclass(frozen=True)
class _Chosen:
    """An embedding model on this machine.

    Attributes:
        used: which one it is.
        path: its GGUF or its folder.
        sha256: what its weights must hash to, if that is known.
        onnx: what its ONNX file must hash to, if that is known.
    """

    used: _Used
    path: Path
    sha256: str | None = None
    onnx: str | None = None


@dataclass(frozen=True)
class Embedding:
    """Who embeds for a data folder: files, and queries."""

    worker: "Worker"
    encoder: "QueryEncoder"


def open_embedding(
    name: str | None, data: Path, settings: "LibrarySettings | None" = None
) -> Embedding:
    """The embedding model for a data folder; started when it is first used.

    Args:
        name: a GGUF or a model folder, by path or by its name in a models folder; None: the catalogue's.
        data: the data folder.
        settings: of file search.

    Raises:
        ModelNotFound: there is no such model here.
        InvalidRequest: the data folder's files were indexed with another one.
        ToolFault: a file of the model's folder is damaged.
    """
    from local_assistants.tools.file_search.ingestion.process_worker import ProcessWorker
    from local_assistants.tools.file_search.settings import LibrarySettings

    settings = settings or LibrarySettings()
    chosen = _chosen(name)
    note = data / NOTE
    _check_note(note, chosen.used)
    model = _model(chosen, settings)
    process = ProcessWorker(model, settings.worker, settings.limits)
    worker = _Noted(process, chosen, note)
    return Embedding(worker, _encoder(chosen, worker, model.prompts.query))


def check_embedder(name: str | None) -> Path:
    """Where an embedding model lies; `name` as for `open_embedding`.

    Raises:
        ModelNotFound: there is no model of this name here.
        MissingDependency: the catalogue's is not here; names the command that gets it.
    """
    chosen = _chosen(name)
    _check_there(chosen)
    return chosen.path


def _check_there(chosen: _Chosen) -> None:
    from local_assistants.tools.file_search.chunking.tokens import TOKENIZER, missing_model
    from local_assistants.tools.file_search.embedding.folder import WEIGHTS

    in_folder = all((chosen.path / name).is_file() for name in (WEIGHTS, TOKENIZER))
    if not chosen.path.is_file() and not in_folder:
        raise missing_model(chosen.path)


def _chosen(name: str | None) -> _Chosen:
    entry = catalogue.embedder()
    if name is None or entry.called(name):
        folder = next(
            (here for root in paths.model_folders() if (here := root / entry.target).is_dir()),
            paths.models_root() / entry.target,  # not there yet: the worker says how to get it
        )
        onnx = next((extra.sha256 for extra in entry.extras), None)
        return _Chosen(_Used(entry.sha256, entry.key), folder, entry.sha256, onnx)
    return _own(model_store.resolve(name, "embedder"), name)


def _own(path: Path, name: str) -> _Chosen:
    from local_assistants.backends.llama_cpp.loading.identity import model_identity
    from local_assistants.tools.file_search.embedding.folder import WEIGHTS

    weights = path if path.is_file() else path / WEIGHTS
    if not weights.is_file():
        raise ModelNotFound(f"{path.name} holds no {WEIGHTS}.", detail=str(path))
    return _Chosen(_Used(model_identity(weights), name), path)


def _model(chosen: _Chosen, settings: "LibrarySettings") -> "Model":
    """The model as the worker process is told of it."""
    from local_assistants.tools.file_search.ingestion.process_worker import Model
    from local_assistants.tools.file_search.parsing.reading import recipe

    prompts = _prompts(chosen, settings)
    parts = (recipe(), f"embedding {_VERSION}", chosen.used.identity, prompts.passage)
    options: dict[str, Any] = {"path": str(chosen.path), "threads": settings.worker.threads}
    if chosen.path.is_file():
        factory = gguf.__name__
    else:
        factory, options["sha256"] = folder.__name__, chosen.sha256
    return Model(f"{__name__}:{factory}", options, "; ".join(parts), prompts)


def _prompts(chosen: _Chosen, settings: "LibrarySettings") -> "Prompts":
    from local_assistants.tools.file_search.embedding.folder import Prompts, folder_facts

    own = Prompts() if chosen.path.is_file() else folder_facts(chosen.path).prompts
    query, passage = settings.query_prompt, settings.passage_prompt
    return Prompts(
        own.query if query is None else query, own.passage if passage is None else passage
    )


def _encoder(chosen: _Chosen, worker: "Worker", prompt: str) -> "QueryEncoder":
    from local_assistants.tools.file_search.embedding.folder import ONNX
    from local_assistants.tools.file_search.embedding.onnx import OnnxEmbedder
    from local_assistants.tools.file_search.embedding.queries import LocalQueries

    if not (chosen.path / ONNX).is_file():
        return worker
    return LocalQueries(OnnxEmbedder(chosen.path, sha256=chosen.onnx), worker, prompt)


# --- factories: named to the worker process -----------------------------------------------------


def folder(path: str, threads: int, sha256: str | None) -> "Embedder":
    """The model in a sentence-transformers folder."""
    from local_assistants.tools.file_search.embedding.sentence import SentenceEmbedder

    return SentenceEmbedder(Path(path), sha256=sha256, threads=threads)


def gguf(path: str, threads: int) -> "Embedder":
    """The model in a GGUF."""
    from local_assistants.backends.llama_cpp.embedding import GgufEmbedder

    return GgufEmbedder(Path(path), threads=threads)


# --- the note -----------------------------------------------------------------------------------


def _check_note(note: Path, used: _Used) -> None:
    before = _read(note)
    if before is None and (note.parent / "vectors").exists():
        entry = catalogue.embedder()
        before = _Used(entry.sha256, entry.key)  # made when there was no other
    if before is not None and before.identity != used.identity:
        raise InvalidRequest(
            f"The files in {note.parent} were indexed with the embedding model {before.name}, and vectors of two "
            f"models cannot be compared. Start with --embedder {before.name}, use another data folder, or delete the "
            f"vector stores and then {note}."
        )


def _read(note: Path) -> _Used | None:
    with suppress(OSError, ValueError, TypeError):
        return _Used(**json.loads(note.read_text(encoding="utf-8")))
    return None


class _Noted:
    """A worker that leaves a note when it first embeds a passage (tools.file_search.ingestion.worker.Worker)."""

    def __init__(self, worker: "Worker", chosen: _Chosen, note: Path) -> None:
        self._worker = worker
        self._chosen = chosen
        self._note = note

    @property
    def recipe(self) -> str:
        return self._worker.recipe

    async def check(self) -> None:
        """Return if the model is there (engine.services.health.Checkable).

        Raises:
            MissingDependency: it is not; names the command that gets it.
        """
        _check_there(self._chosen)

    async def extract(self, path: Path, filename: str, sizes: "Sizes") -> "Extracted":
        return await self._worker.extract(path, filename, sizes)

    async def embed(self, passages: Sequence[tuple[str, str]]) -> list[bytes]:
        """The vectors.

        Raises:
            StorageFault: the note cannot be written.
        """
        vectors = await self._worker.embed(passages)
        if vectors and not self._note.is_file():
            try:
                self._note.write_text(json.dumps(asdict(self._chosen.used)), encoding="utf-8")
            except OSError as error:
                raise StorageFault(
                    f"{NOTE} cannot be written: {error.strerror}.",
                    detail=str(error),
                    passing=True,
                ) from error
        return vectors

    async def encode(self, queries: Sequence[str]) -> list[bytes]:
        return await self._worker.encode(queries)

    async def close(self) -> None:
        await self._worker.close()
