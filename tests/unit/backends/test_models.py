"""Names of models, and loading each once."""

import asyncio

import pytest

from local_assistants.backends.models import LocalModels, ModelEntry, OnProgress
from local_assistants.backends.scripted import ScriptedBackend
from local_assistants.engine.errors import BackendFault, ModelNotFound, UnsuitedModel
from local_assistants.engine.ports import Backend


class Loader:
    """Opens a scripted model, slowly, counting how often; fails while `broken`."""

    def __init__(self) -> None:
        self.loads = 0
        self.broken = False

    @property
    def entry(self) -> ModelEntry:
        """A model that it opens."""
        return ModelEntry(self.open)

    async def open(self, on_progress: OnProgress) -> Backend:
        """Load once more."""
        del on_progress
        self.loads += 1
        await asyncio.sleep(0.01)
        if self.broken:
            raise BackendFault("no memory")
        return ScriptedBackend.from_turns([{"text": "hi"}])


@pytest.fixture
def loader() -> Loader:
    """A loader of its own for each test."""
    return Loader()


@pytest.fixture
def models(loader: Loader) -> LocalModels:
    """Two models, the first the default."""
    return LocalModels({"qwen": loader.entry, "other": loader.entry}, created=5)


@pytest.mark.parametrize(
    "name",
    [
        "gpt-4o",
        "gpt-4o-mini",
        "chatgpt-4o-latest",
        "o1",
        "o3-mini",
        "o4-mini",
        "ft:gpt-4o:acme::abc",
        "default",
    ],
)
def test_hosted_names_mean_the_default(models: LocalModels, name: str) -> None:
    """Code written for the hosted service keeps its model names."""
    assert models.resolve(name) == "qwen"


def test_own_names_mean_themselves(models: LocalModels) -> None:
    """Each model is found by its name, also one that is not the default."""
    assert (models.resolve("qwen"), models.resolve("other")) == ("qwen", "other")


@pytest.mark.parametrize("name", ["llama", "qwen2", "", "my-gpt-4"])
def test_unknown_name_is_refused_in_the_api_s_words(models: LocalModels, name: str) -> None:
    """The error has the hosted service's message, parameter and code."""
    with pytest.raises(ModelNotFound) as caught:
        models.resolve(name)
    assert caught.value.envelope()["error"] == {
        "message": f"The model '{name}' does not exist",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }


def test_list_shows_the_models_themselves(models: LocalModels) -> None:
    """Aliases are not listed."""
    assert [(model.id, model.created) for model in models.list()] == [("qwen", 5), ("other", 5)]


@pytest.mark.parametrize(
    "name", ["minilm", "text-embedding-3-small", "whisper-1", "gpt-4o-mini-tts", "gpt-image-1"]
)
def test_a_model_that_does_not_talk_is_refused(name: str) -> None:
    """The embedder served here, and the hosted models of other kinds: none is answered by the default model."""
    served = LocalModels({"qwen": Loader().entry}, unsuited=["minilm"])
    with pytest.raises(
        UnsuitedModel, match=rf"'{name}' cannot be used with the Assistants API\."
    ) as error:
        served.resolve(name)
    assert ("unsupported_model", "model") == (error.value.code, error.value.param)


async def test_callers_at_once_share_one_load(models: LocalModels, loader: Loader) -> None:
    """A model is loaded when first asked for, and once."""
    assert loader.loads == 0
    backends = await asyncio.gather(*(models.backend("qwen") for _ in range(5)))
    assert (loader.loads, len({id(backend) for backend in backends})) == (1, 1)


async def test_impatient_caller_does_not_stop_the_load(models: LocalModels, loader: Loader) -> None:
    """When one waiting caller is cancelled the others still get the model."""
    impatient = asyncio.create_task(models.backend("qwen"))
    patient = asyncio.create_task(models.backend("qwen"))
    await asyncio.sleep(0)
    impatient.cancel()
    assert (await patient).capabilities.tools
    assert loader.loads == 1


async def test_failed_load_is_tried_again(models: LocalModels, loader: Loader) -> None:
    """A model that could not be loaded may be loadable later."""
    loader.broken = True
    with pytest.raises(BackendFault, match="no memory"):
        await models.backend("qwen")
    loader.broken = False
    assert (await models.backend("qwen")).capabilities.tools


def test_alias_leads_to_its_model(loader: Loader) -> None:
    """Also to one that is not the default."""
    served = LocalModels({"qwen": loader.entry, "other": loader.entry}, {"o": "other"})
    assert served.resolve("o") == "other"
    assert [model.id for model in served.list()] == ["qwen", "other"]
