"""Which models an installation has, by which names, and how each will be loaded."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from local_assistants.assemble import Engine, Settings
from local_assistants.backends.models import LocalModels
from local_assistants.chat_models import Runtime, llama_settings, open_models, weights_of
from local_assistants.cli import exit_codes
from local_assistants.cli.app import run
from local_assistants.engine.chat import ChatMessage, ChatRequest, TextDelta
from local_assistants.engine.clock import SystemClock
from local_assistants.engine.errors import BackendFault, InvalidRequest, ModelNotFound
from local_assistants.models_file import ModelConfig, ModelsConfig, read_models_file
from tests.support.chat_server import chat_server, says
from tests.support.toy_gguf import write_random_model, write_saying_model

Machine = Callable[[], Path]
HELLO = ChatRequest((ChatMessage(role="user", content="hi"),), session="thread_1")


def runtime(folder: Path, **more: Any) -> Runtime:
    """What models run in, below a folder."""
    return Runtime(data=folder / "data", clock=SystemClock(), **more)


def script(folder: Path, name: str, text: str = "hi") -> Path:
    """A script that says a text."""
    path = folder / f"{name}.yaml"
    path.write_text(f"turns: [{{text: {text}}}]")
    return path


@asynccontextmanager
async def opened(config: ModelsConfig, how: Runtime) -> AsyncGenerator[LocalModels]:
    """The models, closed whatever becomes of the test."""
    models = open_models(config, how)
    try:
        yield models
    finally:
        await models.close()


async def said(models: Any, name: str) -> str:
    """What the model of this name says."""
    backend = await models.backend(models.resolve(name))
    async with aclosing(backend.stream(HELLO)) as deltas:
        return "".join([each.text async for each in deltas if isinstance(each, TextDelta)])


async def test_several_kinds_at_once(tmp_path: Path, empty_machine: Machine) -> None:
    """A GGUF, a script and a server, each by its names; the first is the default, also for hosted names."""
    toy = write_saying_model(tmp_path / "toy.gguf", ["Hello", " there"])
    config = ModelsConfig(
        (
            ModelConfig(str(toy), options={"threads": 1}),
            ModelConfig(f"scripted:{script(tmp_path, 'a')}", name="actor", aliases=("stage",)),
            ModelConfig("openai_compatible:http://127.0.0.1:9/v1#far"),
        )
    )
    async with opened(config, runtime(tmp_path, aliases=("deployment",))) as models:
        assert ["toy", "actor", "far"] == [model.id for model in models.list()]
        names = ["toy.gguf", "deployment", "gpt-4o", "stage", "far"]
        assert ["toy", "toy", "toy", "actor", "far"] == [models.resolve(name) for name in names]
        assert ["Hello there", "hi"] == [await said(models, name) for name in ("toy", "stage")]
        with pytest.raises(BackendFault):
            await models.backend("far")
        assert ["ready", "ready", "failed"] == [status.state for status in models.status()]
        detail = models.status()[0].detail
        assert detail.startswith("context 2048 tokens, on the CPU, 0.0")


@pytest.mark.parametrize("in_a_file", [True, False])
async def test_a_model_on_another_server(tmp_path: Path, in_a_file: bool) -> None:
    """Named on the command line or in a file; it takes no memory here, so no budget keeps it out."""
    async with chat_server(says("far", " away")) as server:
        file = tmp_path / "models.toml"
        file.write_text(f"memory_budget = 1\n[[model]]\nname = 'far'\nendpoints = ['{server.url}']")
        source = ModelConfig(f"openai_compatible:{server.url}", name="far")
        config = read_models_file(file) if in_a_file else ModelsConfig((source,), 1)
        async with opened(config, runtime(tmp_path)) as models:
            assert "far away" == await said(models, "far")


async def test_a_model_in_a_process_of_its_own(tmp_path: Path, empty_machine: Machine) -> None:
    """Answers, is shown and is unloaded as one in this process."""
    toy = write_saying_model(tmp_path / "toy.gguf", ["Hello"])
    config = ModelsConfig((ModelConfig(str(toy), options={"threads": 1, "decode_width": 4}),))
    async with opened(config, runtime(tmp_path, isolation="process")) as models:
        assert "Hello" == await said(models, "toy")
        assert "context 2048 tokens" in models.status()[0].detail
        backend = await models.backend("toy")
        assert "worker_pid" in backend.capabilities.extra


async def test_two_that_do_not_fit_together_take_turns(
    tmp_path: Path, empty_machine: Machine
) -> None:
    """Through the real library: what is loaded leaves for what is asked for."""
    config = ModelsConfig(
        tuple(
            ModelConfig(
                str(write_saying_model(tmp_path / f"{name}.gguf", [name])),
                options={"threads": 1, "decode_width": 1},
            )
            for name in ("one", "two")
        ),
        memory_budget=15_000_000,
    )
    async with opened(config, runtime(tmp_path)) as models:
        names = ["one", "two"] * 3
        assert names == list(await asyncio.gather(*(said(models, name) for name in names)))
        assert 1 == [status.state for status in models.status()].count("ready")


async def test_a_budget_too_small_is_an_error_that_names_it(
    tmp_path: Path, empty_machine: Machine
) -> None:
    """Before anything is loaded."""
    toy = write_random_model(tmp_path / "toy.gguf")
    async with opened(
        ModelsConfig((ModelConfig(str(toy)),), 1_000_000), runtime(tmp_path)
    ) as models:
        with pytest.raises(BackendFault, match=r"0\.00 GB can be had"):
            await models.backend("toy")


async def test_a_deleted_conversation_is_erased_from_disk_without_a_model(
    tmp_path: Path, empty_machine: Machine
) -> None:
    """What was parked goes, though nothing is loaded; where nothing was parked, nothing happens."""
    toy = write_random_model(tmp_path / "toy.gguf")
    config = ModelsConfig((ModelConfig(str(toy), options={"threads": 1}),))
    async with opened(config, runtime(tmp_path)) as models:
        await models.forget("thread_1")
        await said(models, "toy")
    parked = tmp_path / "data" / "kv"
    assert [file for file in parked.rglob("*") if file.is_file()]
    await open_models(config, runtime(tmp_path)).forget("thread_1")
    assert [] == [file for file in parked.rglob("*") if file.is_file()]


async def test_schemas_are_checked_without_a_model(tmp_path: Path, empty_machine: Machine) -> None:
    """By the rules of the model that would be asked."""
    toy = write_random_model(tmp_path / "toy.gguf")
    models = open_models(ModelsConfig((ModelConfig(str(toy)),)), runtime(tmp_path))
    with pytest.raises(InvalidRequest, match="nobody"):
        await models.validate("toy", ChatRequest((), forced_tool="nobody"))
    assert "unloaded" == models.status()[0].state


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (ModelConfig("scripted:{}/a.yaml", name="x"), "Two models are called 'x'"),
        (ModelConfig("scripted:{}/a.yaml", name="y", aliases=("z",)), "'z' is an alias of two models."),
        (ModelConfig("scripted:{}/a.yaml", name="z"), "'z' is one model's name and another one's alias."),
        (ModelConfig("openai_compatible:nonsense"), "'nonsense' is not the URL"),
    ],
)  # fmt: skip
def test_names_that_clash(tmp_path: Path, second: ModelConfig, said: str) -> None:
    """Are refused before anything is served."""
    source = second.source.format(tmp_path)
    script(tmp_path, "a")
    first = ModelConfig(f"scripted:{tmp_path}/a.yaml", name="x", aliases=("z",))
    other = ModelConfig(source, second.name, second.aliases)
    with pytest.raises(InvalidRequest) as caught:
        open_models(ModelsConfig((first, other)), runtime(tmp_path))
    assert caught.value.message.startswith(said)


def test_a_name_that_only_a_file_brings_along_gives_way(
    tmp_path: Path, empty_machine: Machine
) -> None:
    """A name that somebody wrote down is worth more than that of a file."""
    toy = write_random_model(tmp_path / "toy.gguf")
    config = ModelsConfig(
        (
            ModelConfig(str(toy), name="own"),
            ModelConfig(f"scripted:{script(tmp_path, 'a')}", name="toy"),
        )
    )
    models = open_models(config, runtime(tmp_path))
    assert ["own", "toy"] == [models.resolve(name) for name in ("toy.gguf", "toy")]


def test_a_missing_model_is_named_at_once(tmp_path: Path, empty_machine: Machine) -> None:
    """With how to get it."""
    config = ModelsConfig((ModelConfig(str(tmp_path / "none.gguf")),))
    with pytest.raises(ModelNotFound, match="models pull"):
        open_models(config, runtime(tmp_path))


def test_settings_come_from_the_model_then_the_installation_then_the_catalogue(
    tmp_path: Path, empty_machine: Machine
) -> None:
    """The nearer wins."""
    path = empty_machine() / "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
    write_random_model(path)
    config = ModelConfig("0.5b", options={"context_tokens": 4096, "min_p": 0.1})
    assert path == weights_of(config)
    settings = llama_settings(config, path, runtime(tmp_path, threads=3, context_tokens=512))
    assert (4096, 3, 0.1, 0.3) == (
        settings.context_tokens,
        settings.threads,
        settings.min_p,
        settings.temperature_at_one,
    )
    assert (tmp_path / "data" / "kv", tmp_path / "cache" / "probes") == (
        settings.park_folder,
        settings.probe_folder,
    )


def test_settings_that_make_no_sense_name_the_model(tmp_path: Path) -> None:
    """Before it is loaded."""
    config = ModelConfig("x", name="odd", options={"threads": 0})
    with pytest.raises(InvalidRequest, match=r"The model odd: .*threads must be at least 1"):
        llama_settings(config, tmp_path / "x.gguf", runtime(tmp_path))


async def test_an_engine_with_a_models_file(tmp_path: Path, empty_machine: Machine) -> None:
    """The embedder's way in; what is wanted at the start is loaded unasked."""
    script(tmp_path, "a")
    script(tmp_path, "b")
    file = tmp_path / "models.toml"
    file.write_text(
        """
        [[model]]
        name = "a"
        source = "scripted:a.yaml"
        [[model]]
        name = "b"
        source = "scripted:b.yaml"
        load_at_start = true
        """
    )
    settings = Settings(models=read_models_file(file), data=tmp_path / "data")
    async with Engine.open(settings) as engine:
        assert ["a", "b"] == [model.id for model in await engine.services.models.list()]
        async with asyncio.timeout(5):
            while engine.services.models.states()[1].state != "ready":  # noqa: ASYNC110 - polled
                await asyncio.sleep(0.005)
        assert "unloaded" == engine.services.models.states()[0].state


# --- the command line ------------------------------------------------------------------------------


def test_model_and_models_exclude_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of them would be ignored."""
    file = tmp_path / "models.toml"
    arguments = ["serve", "--model", "a", "--models", str(file)]
    assert exit_codes.WRONG_USAGE == run(arguments)
    assert "--model and --models exclude each other" in capsys.readouterr().err


def test_a_wrong_models_file_stops_the_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one sentence."""
    file = tmp_path / "models.toml"
    file.write_text("[[model]]\nsorce = 'a'")
    assert exit_codes.WRONG_USAGE == run(["serve", "--models", str(file)])
    said = capsys.readouterr().err
    assert f"local-assistants: {file}, in [[model]] number 1: the key 'sorce' is not known" in said


def test_the_environment_names_a_model_with_blanks_in_its_path(
    empty_machine: Machine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is one model, as ever."""
    monkeypatch.setenv("LOCAL_ASSISTANTS_MODEL", "my models/a b.gguf")
    assert exit_codes.NOT_FOUND == run(["serve", "--port", "0"])
    assert "There is no file my models/a b.gguf (looked in " in capsys.readouterr().err
