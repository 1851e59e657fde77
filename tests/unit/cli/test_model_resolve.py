"""Where the name of a model leads, and what the text says when it leads nowhere."""

from collections.abc import Callable
from pathlib import Path

import pytest

from local_assistants import catalogue, model_store
from local_assistants.engine.errors import AssistantsError, ModelNotFound
from tests.support.toy_embedder import write_bert

Machine = Callable[[], Path]
SMALL = catalogue.find("135m")


@pytest.mark.parametrize("name", ["smollm2-135m", "135M", "SmolLM2-135M-Instruct.Q4_1.gguf"])
def test_a_catalogued_model_answers_to_all_its_names(empty_machine: Machine, name: str) -> None:
    """Key, alias in any case, and file name mean the same file."""
    assert SMALL is not None
    path = empty_machine() / SMALL.file
    path.write_bytes(b"GGUF")

    assert path == model_store.resolve(name)


@pytest.mark.parametrize("name", ["mine", "mine.gguf"])
def test_any_gguf_in_a_models_folder_has_its_file_name(empty_machine: Machine, name: str) -> None:
    """A file of the user's own needs no catalogue, and no suffix."""
    path = empty_machine() / "mine.gguf"
    path.write_bytes(b"GGUF")

    assert path == model_store.resolve(name)


def test_a_models_folder_beside_the_work_wins_over_the_cache(
    empty_machine: Machine, tmp_path: Path
) -> None:
    """models/ of the working folder is looked at first."""
    (empty_machine() / "mine.gguf").write_bytes(b"cache")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine.gguf").write_bytes(b"here")

    assert b"here" == model_store.resolve("mine").read_bytes()


def test_a_path_is_taken_as_it_is(empty_machine: Machine, tmp_path: Path) -> None:
    """Any file may be named by its path, relative ones too."""
    (tmp_path / "elsewhere.gguf").write_bytes(b"GGUF")

    assert tmp_path / "elsewhere.gguf" == model_store.resolve("elsewhere.gguf")


def test_a_known_model_that_is_not_here_names_its_command(empty_machine: Machine) -> None:
    """The error says how to get exactly this model."""
    with pytest.raises(ModelNotFound, match=r"local-assistants models pull qwen2\.5-coder-1\.5b"):
        model_store.resolve("1.5b")


def test_an_unknown_model_lists_what_is_here(empty_machine: Machine) -> None:
    """The error lists the files that are here."""
    (empty_machine() / "mine.gguf").write_bytes(b"GGUF")

    with pytest.raises(ModelNotFound, match=r"No model 'gpt-9' on this machine\. Here: mine\."):
        model_store.resolve("gpt-9")


def refusal(name: str, kind: catalogue.Kind | None = "chat") -> str:
    """What is said of a name."""
    with pytest.raises(AssistantsError) as caught:
        model_store.resolve(name, kind)
    return caught.value.message


@pytest.mark.parametrize(
    ("name", "meant"),
    [("smolm2-135m", "smollm2-135m"), ("smolm", "smollm2-135m"), ("quen2.5-coder-0.5b", "qwen2.5-coder-0.5b")],
)  # fmt: skip
def test_a_name_that_is_nearly_one(empty_machine: Machine, name: str, meant: str) -> None:
    """The error asks for it, first of all."""
    assert refusal(name).startswith(f"No model '{name}' on this machine. Did you mean {meant}")


def test_a_name_that_is_nearly_that_of_a_file_here(empty_machine: Machine) -> None:
    """Own files count, written as they are."""
    (empty_machine() / "Falcon-Q4.gguf").write_bytes(b"GGUF")

    assert "Did you mean Falcon-Q4? Here: Falcon-Q4." in refusal("falcn-q4")


def test_embedders_are_no_models_for_chat(empty_machine: Machine) -> None:
    """Neither those of the catalogue nor a GGUF of one is offered."""
    (empty_machine() / "mine.gguf").write_bytes(b"GGUF")
    write_bert(empty_machine() / "vectors.gguf")
    folder = empty_machine() / "vectors-too"
    folder.mkdir()
    (folder / "modules.json").write_text("[]")

    said = refusal("gpt-9")
    assert "Here: mine. " in said
    assert "minilm" not in said


@pytest.mark.parametrize("here", [True, False])
def test_an_embedder_cannot_answer(empty_machine: Machine, here: bool) -> None:
    """Whether it is here or not, its name leads to what it is for."""
    entry = catalogue.embedder()
    if here:
        folder = empty_machine() / entry.target
        folder.mkdir()
        (folder / "modules.json").write_text("[]")

    assert (
        "minilm-l6-v2 is an embedding model (for file search); it cannot answer. "
        "serve --embedder minilm-l6-v2 uses it."
    ) == refusal("minilm-l6-v2")


@pytest.mark.parametrize("name", ["sub/nope.gguf", "nope.gguf", "sub/nope"])
def test_a_file_that_is_not_there(empty_machine: Machine, tmp_path: Path, name: str) -> None:
    """The error says where it was looked for."""
    looked = (tmp_path / name).parent
    assert refusal(name).startswith(f"There is no file {name} (looked in {looked}")


def test_a_folder_is_no_file(empty_machine: Machine, tmp_path: Path) -> None:
    """The error asks for the file in it."""
    assert f"{tmp_path} is a folder. Name the GGUF file in it." == refusal(str(tmp_path))


@pytest.mark.parametrize("name", ["http://host:1/v1", "openai-compatible:http://host:1/v1"])
def test_an_address_is_written_otherwise(empty_machine: Machine, name: str) -> None:
    """The error writes it."""
    assert "serve --model openai_compatible:http://host:1/v1 " in refusal(name)


def test_a_changed_byte_is_found(empty_machine: Machine) -> None:
    """verify hashes the file and says which one is wrong."""
    assert SMALL is not None
    (empty_machine() / SMALL.file).write_bytes(b"GGUF but not the right one")
    (weights,) = model_store.installed()

    assert f"{weights.path} does not have the SHA-256 b179c9523d0e… that the catalogue names" == (
        model_store.verify(weights)
    )
