"""Which embedding model a data folder is searched with."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from local_assistants import Engine, Settings, catalogue
from local_assistants.embedders import NOTE, open_embedding
from local_assistants.engine.errors import BackendFault, InvalidRequest, ModelNotFound, ToolFault
from local_assistants.engine.requests import CreateVectorStore, SearchStore
from local_assistants.engine.services import Services
from local_assistants.tools.file_search.chunking.tokens import GET_MODEL
from local_assistants.tools.file_search.embedding.folder import WEIGHTS
from local_assistants.tools.file_search.settings import LibrarySettings
from tests.support.toy_embedder import write_bert
from tests.support.toy_gguf import write_random_model
from tests.support.toy_onnx import write_onnx_folder

Machine = Callable[[], Path]


@pytest.fixture
def data(tmp_path: Path, empty_machine: Machine) -> Path:
    """A data folder on a machine with two embedding models in GGUFs, one and two."""
    for seed, name in enumerate(("one", "two")):
        write_bert(empty_machine() / f"{name}.gguf", seed=seed)
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


async def test_a_gguf_is_meant_by_its_name(data: Path) -> None:
    """And makes vectors as long as its model's."""
    embedding = open_embedding("one", data)
    (vector,) = await embedding.worker.embed([("", "last year")])
    assert [vector] == await embedding.encoder.encode(["last year"])
    await embedding.worker.close()

    assert 32 * 4 == len(vector)


async def test_a_data_folder_keeps_to_the_model_it_was_indexed_with(data: Path) -> None:
    """Another one is refused, with the name of the right one; the right one is not."""
    await _indexed_with("one", data)

    with pytest.raises(InvalidRequest, match="Start with --embedder one"):
        open_embedding("two", data)
    with pytest.raises(InvalidRequest, match="Start with --embedder one"):
        open_embedding(None, data)
    await open_embedding("one", data).worker.close()


async def test_before_anything_is_indexed_the_model_may_change(data: Path) -> None:
    """Opening alone commits to nothing."""
    for name in ("one", "two"):
        embedding = open_embedding(name, data)
        await embedding.encoder.encode(["a search is no indexing"])
        await embedding.worker.close()

    assert not (data / NOTE).exists()


async def test_an_older_data_folder_belongs_to_the_catalogue_s_model(data: Path) -> None:
    """From before there was a choice there is no note."""
    (data / "vectors").mkdir()

    with pytest.raises(InvalidRequest, match=f"--embedder {catalogue.embedder().key}"):
        open_embedding("one", data)
    await open_embedding(catalogue.embedder().key, data).worker.close()


def test_a_model_that_is_not_here_is_named(data: Path) -> None:
    """As a chat model is, with the embedders that are here and no others."""
    (data.parent / "cache" / "models" / "chat.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelNotFound, match="No embedding model 'three'"):
        open_embedding("three", data)
    with pytest.raises(ModelNotFound, match=r"Here: one, two\. .*\(KEY is one of minilm-l6-v2\)"):
        open_embedding("nope", data)


async def test_a_chat_model_is_refused_when_it_is_used(data: Path, tmp_path: Path) -> None:
    """And leaves no note: nothing was indexed with it."""
    worker = open_embedding(str(write_random_model(tmp_path / "chat.gguf")), data).worker
    with pytest.raises(BackendFault, match="cannot be used as the embedding model"):
        await worker.embed([("", "last year")])
    await worker.close()

    assert not (data / NOTE).exists()


def test_recipes_tell_models_apart(data: Path) -> None:
    """Vectors are shared between stores only where model and prompts are the same."""
    prompted = LibrarySettings(passage_prompt="passage: ")
    recipes = [
        open_embedding(name, data, settings).worker.recipe
        for name, settings in (("one", None), ("two", None), ("one", prompted), ("one", None))
    ]

    assert recipes[0] == recipes[3]
    assert 3 == len(set(recipes))


async def test_queries_are_embedded_here_where_they_can_be(tmp_path: Path, data: Path) -> None:
    """A folder with an ONNX file needs no worker for them; its own prompt stands in front, or the operator's."""
    folder = write_onnx_folder(tmp_path / "folder")
    (folder / WEIGHTS).write_bytes(b"for the worker alone")
    (folder / "config_sentence_transformers.json").write_text('{"prompts": {"query": "query: "}}')
    found: list[bytes] = []
    for settings in (
        None,
        LibrarySettings(query_prompt="query: "),
        LibrarySettings(query_prompt=""),
    ):
        embedding = open_embedding(str(folder), data, settings)
        found += await embedding.encoder.encode(["north"])
        await embedding.encoder.close()

    assert found[0] == found[1] != found[2]


async def test_a_damaged_folder_is_told_at_the_start(tmp_path: Path, data: Path) -> None:
    """Not when the first file is indexed."""
    folder = write_onnx_folder(tmp_path / "folder")
    (folder / WEIGHTS).touch()
    (folder / "config.json").write_text("{")

    with pytest.raises(ToolFault, match=r"config\.json cannot be read"):
        open_embedding(str(folder), data)


async def _indexed_with(name: str, data: Path) -> None:
    worker = open_embedding(name, data).worker
    await worker.embed([("", "last year")])
    await worker.close()


async def _content() -> AsyncIterator[bytes]:
    yield b"The sales of last year were higher than before."


async def indexed(services: Services, store_id: str) -> None:
    """Wait until nothing of a vector store is being indexed any more."""
    while True:
        if not (await services.vector_stores.get(store_id)).file_counts.in_progress:
            return
        await asyncio.sleep(0.01)


async def test_files_are_searched_with_a_gguf(data: Path) -> None:
    """The choice reaches the engine: a file is indexed, found, and what it was indexed with is noted."""
    script = data / "script.yaml"
    script.write_text("turns: [{text: Hello.}]")
    settings = Settings(model=f"scripted:{script}", embedder="one", data=data)
    async with Engine.open(settings) as engine:
        services = engine.services
        file = await services.files.create("year.txt", "assistants", _content())
        store = await services.vector_stores.create(CreateVectorStore(file_ids=(file.id,)))
        async with asyncio.timeout(30):
            await indexed(services, store.id)
        found = await services.vector_stores.search(store.id, SearchStore(query="higher"))

    assert ["The sales of last year were higher than before."] == [
        each.chunk.text for each in found
    ]
    assert '"name": "one"' in (data / NOTE).read_text()


def test_the_command_that_errors_name_gets_the_catalogue_s_model() -> None:
    """By the key that `models pull` and `doctor` print."""
    assert f"local-assistants models pull {catalogue.embedder().key}" == GET_MODEL
