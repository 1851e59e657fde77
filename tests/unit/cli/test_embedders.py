"""Which embedding model a data folder is searched with."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from local_assistants import Engine, Settings, catalogue
from local_assistants.embedders import NOTE, open_embedder
from local_assistants.engine.errors import BackendFault, InvalidRequest, ModelNotFound
from local_assistants.engine.requests import CreateVectorStore, SearchStore
from local_assistants.engine.services import Services
from tests.support.toy_embedder import write_bert
from tests.support.toy_gguf import write_random_model

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
    embedder = open_embedder("one", data)
    (vector,) = await embedder.encode(["last year"])
    await embedder.close()

    assert 32 * 4 == len(vector)


async def test_a_data_folder_keeps_to_the_model_it_was_indexed_with(data: Path) -> None:
    """Another one is refused, with the name of the right one; the right one is not."""
    embedder = open_embedder("one", data)
    await embedder.encode(["last year"])
    await embedder.close()

    with pytest.raises(InvalidRequest, match="Start with --embedder one"):
        open_embedder("two", data)
    with pytest.raises(InvalidRequest, match="Start with --embedder one"):
        open_embedder(None, data)
    await open_embedder("one", data).close()


async def test_before_anything_is_indexed_the_model_may_change(data: Path) -> None:
    """Opening alone commits to nothing."""
    await open_embedder("one", data).close()
    await open_embedder("two", data).close()

    assert not (data / NOTE).exists()


async def test_an_older_data_folder_belongs_to_the_catalogue_s_model(data: Path) -> None:
    """From before there was a choice there is no note."""
    (data / "vectors").mkdir()

    with pytest.raises(InvalidRequest, match=f"--embedder {catalogue.embedder().key}"):
        open_embedder("one", data)
    await open_embedder(catalogue.embedder().key, data).close()


def test_a_model_that_is_not_here_is_named(data: Path) -> None:
    """As a chat model is, with the embedders that are here and no others."""
    (data.parent / "cache" / "models" / "chat.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelNotFound, match="No embedding model 'three'"):
        open_embedder("three", data)
    with pytest.raises(ModelNotFound, match=r"Here: one, two\. .*\(KEY is one of minilm-l6-v2\)"):
        open_embedder("nope", data)


async def test_a_chat_model_is_refused_when_it_is_used(data: Path, tmp_path: Path) -> None:
    """And leaves no note: nothing was indexed with it."""
    embedder = open_embedder(str(write_random_model(tmp_path / "chat.gguf")), data)
    with pytest.raises(BackendFault, match="cannot be used as the embedding model"):
        await embedder.encode(["last year"])
    await embedder.close()

    assert not (data / NOTE).exists()


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
