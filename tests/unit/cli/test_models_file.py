"""The models file: what it may say, and what is said when it says something else."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from local_assistants.backends.llama_cpp import LlamaSettings
from local_assistants.backends.openai_compatible import OpenAISettings
from local_assistants.engine.errors import InvalidRequest
from local_assistants.models_file import ModelConfig, ModelsConfig, read_models_file

PAGE = (Path(__file__).parents[3] / "docs" / "models-file.md").read_text()
EXAMPLES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


def read(folder: Path, text: str) -> ModelsConfig:
    """What a file of this text says."""
    path = folder / "models.toml"
    path.write_text(text)
    return read_models_file(path)


def refusal(folder: Path, text: str) -> str:
    """What is said of it, after the file's name."""
    with pytest.raises(InvalidRequest) as caught:
        read(folder, text)
    said = caught.value.message
    assert str(folder / "models.toml") in said
    return said.removeprefix(f"{folder / 'models.toml'}")


def test_the_first_example_of_the_page(tmp_path: Path) -> None:
    """Everything in it arrives."""
    assert ModelsConfig(
        (
            ModelConfig(
                source="qwen2.5-coder-1.5b",
                aliases=("analyst",),
                idle_seconds=86400,
                options={"context_tokens": 8192, "parallel": 8},
            ),
            ModelConfig(
                source="qwen2.5-coder-0.5b",
                name="quick",
                idle_seconds=1800,
                options={"kv_type": "q8_0"},
            ),
        ),
        memory_budget=12_000_000_000,
    ) == read(tmp_path, EXAMPLES[0])


def test_the_page_says_how_to_get_what_its_first_example_serves(tmp_path: Path) -> None:
    """In one command, before the example."""
    sources = [model.source for model in read(tmp_path, EXAMPLES[0]).models]
    before, _, _ = PAGE.partition("```toml")
    assert f"local-assistants models pull {' '.join(sources)}\n" in before


def test_the_second_example_of_the_page(tmp_path: Path) -> None:
    """A model elsewhere has its own settings."""
    _, large = read(tmp_path, EXAMPLES[1]).models
    assert ("large", OpenAISettings(
        ("http://10.0.0.5:8080/v1", "http://10.0.0.6:8080/v1"),
        model="qwen3-32b",
        api_key_env="LARGE_API_KEY",
        context_window=32768,
    )) == (large.name, large.server)  # fmt: skip


def test_the_page_has_these_examples() -> None:
    """And no other that would need a test."""
    assert 2 == len(EXAMPLES)


def test_the_page_names_every_setting() -> None:
    """Those of the models' own files; the page on other servers has theirs."""
    missing = [
        each.name for each in dataclasses.fields(LlamaSettings) if f"`{each.name}`" not in PAGE
    ]
    assert [] == missing


def test_paths_begin_at_the_file_s_folder(tmp_path: Path) -> None:
    """Wherever the server is started; names that are no file there stay names."""
    (tmp_path / "own.gguf").write_bytes(b"GGUF")
    config = read(
        tmp_path,
        """
        [[model]]
        source = "own.gguf"
        mmproj = "eyes.gguf"
        [[model]]
        source = "smollm2-135m"
        park_folder = "/var/kv"
        [[model]]
        source = "scripted:turns.yaml"
        """,
    )
    assert [str(tmp_path / "own.gguf"), "smollm2-135m", f"scripted:{tmp_path}/turns.yaml"] == [
        model.source for model in config.models
    ]
    assert {"mmproj": tmp_path / "eyes.gguf"} == config.models[0].options
    assert {"park_folder": Path("/var/kv")} == config.models[1].options


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("1000", 1000),
        ('"12 GB"', 12_000_000_000),
        ('"1.5GiB"', 1_610_612_736),
        ('"800 mb"', 800_000_000),
        ('"64 B"', 64),
    ],
)
def test_sizes(tmp_path: Path, written: str, size: int) -> None:
    """In bytes, or with a unit."""
    text = f"memory_budget = {written}\n[[model]]\nsource = 'x'\npark_disk = {written}"
    config = read(tmp_path, text)
    assert (size, {"park_disk": size}) == (config.memory_budget, config.models[0].options)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("threads = 2", 2),
        ("stretch = 3", 3.0),
        ("repack = false", False),
        ("frequency_penalty = -0.5", -0.5),
        ("gpu_layers = -1", -1),
        ("flash_attention = true", True),
        ("kv_type = 'q4_0'", "q4_0"),
    ],
)
def test_values_of_every_kind(tmp_path: Path, line: str, value: Any) -> None:
    """As the settings want them; a whole number serves as a number."""
    key = line.split(" ")[0]
    found = read(tmp_path, f"[[model]]\nsource = 'x'\n{line}").models[0].options
    assert (value, type(value)) == (found[key], type(found[key]))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("threads = '2'", "threads must be a whole number."),
        ("threads = true", "threads must be a whole number."),
        ("context_tokens = 1.5", "context_tokens must be a whole number."),
        ("repack = 1", "repack must be true or false."),
        ("min_p = -1", "min_p must be a number of at least 0."),
        ("min_p = nan", "min_p must be a number of at least 0."),
        ("kv_type = 'q2'", "kv_type must be one of 'f16', 'q8_0', 'q4_0'."),
        ("mmproj = 3", "mmproj must be a text."),
        ("name = ['a']", "name must be a text."),
        ("aliases = 'a'", "aliases must be a list of texts."),
        ("aliases = ['']", "aliases must be a list of texts."),
        ("idle_seconds = -5", "idle_seconds must be a number of at least 0."),
        ("idle_seconds = 0", "idle_seconds must be at least 1 second."),
        ("load_at_start = 'yes'", "load_at_start must be true or false."),
        ("park_disk = '4 GB of it'", "park_disk must be a size such as '6 GB' or '512 MiB'"),
        ("park_disk = -1", "park_disk must be a size"),
        ("park_disk = true", "park_disk must be a size"),
        ("api_key_env = 'K'", "the key 'api_key_env' is not known; there are: aliases, context_tokens,"),
        ("contxt_tokens = 1", "the key 'contxt_tokens' is not known (did you mean 'context_tokens'?); there are: "),
    ],
)  # fmt: skip
def test_a_wrong_line_is_named_with_its_place(tmp_path: Path, line: str, said: str) -> None:
    """File, table, key, and what is allowed."""
    text = f"[[model]]\nsource = 'a'\n[[model]]\nsource = 'b'\n{line}"
    assert refusal(tmp_path, text).startswith(f", in [[model]] number 2: {said}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ", at the top: model must be at least one table [[model]]."),
        ("model = 3", ", at the top: model must be at least one table [[model]]."),
        ("model = [3]", ": model must be written as tables, [[model]] each."),
        (
            "models = []",
            ", at the top: the key 'models' is not known (did you mean 'model'?); "
            "there are: idle_seconds, memory_budget, model.",
        ),
        ("memory_budget = 0\n[[model]]\nsource='a'", ", at the top: memory_budget must be a size"),
        ("[[model]]", ", in [[model]] number 1: a model needs a source (catalogue key, file, path or scripted:FILE)"),
        ("[[model]]\nsource = ''", ", in [[model]] number 1: a model needs a source"),
        ("[[model]]\nendpoints = []\nname = 'a'", ", in [[model]] number 1: An openai_compatible model needs"),
        ("[[model]]\nendpoints = ['ftp://x']", ", in [[model]] number 1: 'ftp://x' is not the URL"),
        ("[[model]]\nendpoints = ['http://x']\nsource = 'a'", ", in [[model]] number 1: the key 'source' is not known"),
        ("[[model]]\nendpoints = ['http://x']\nkv_type = 'f16'", ", in [[model]] number 1: the key 'kv_type' is not"),
        ('[[model]]\nsource="a"\nname="a\\nb"', ": 'a\\nb' is no name: 1 to 256 characters that can be printed."),
        ("[[model]]\nsource='a'\naliases=['\u00adx']", ": '\\xadx' is no name"),
        ("[[model]]\nsource='a'\n[[model]]\nsource='a'", ": two models are called 'a'; a name or an alias means one"),
        ("[[model]]\nsource='a'\naliases=['b']\n[[model]]\nsource='c'\nname='b'", ": two models are called 'b'"),
        ("a = ", " is not TOML: Invalid value"),
    ],
)  # fmt: skip
def test_a_wrong_file(tmp_path: Path, text: str, said: str) -> None:
    """Nothing is guessed."""
    assert refusal(tmp_path, text).startswith(said)


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    """Is no TOML."""
    path = tmp_path / "models.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidRequest, match="is not TOML"):
        read_models_file(path)


def test_a_missing_file(tmp_path: Path) -> None:
    """Is named."""
    with pytest.raises(
        InvalidRequest, match=r"Cannot read the models file .*none\.toml: No such file"
    ):
        read_models_file(tmp_path / "none.toml")
