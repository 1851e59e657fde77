"""Pulling weights from this machine, taking them away again, and that nothing else fetches any."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from local_assistants import model_store
from local_assistants.cli import exit_codes
from local_assistants.cli.app import run
from local_assistants.engine.errors import BackendFault, InvalidRequest, ModelNotFound
from local_assistants.pulling import Asked, pull, remove_weights
from tests.support.toy_gguf import write_random_model
from tests.support.weights_server import some_gguf

Machine = Callable[[], Path]


@pytest.fixture
def models(empty_machine: Machine) -> Path:
    """The models folder of an empty machine."""
    return empty_machine()


def test_a_file_is_copied(models: Path, tmp_path: Path) -> None:
    """The copy is a file of its own, and the hash is told."""
    content = some_gguf(tmp_path / "mine.gguf")

    pulled = pull("mine.gguf")

    assert models / "mine.gguf" == pulled.path
    assert (hashlib.sha256(content).hexdigest(),) == pulled.sha256
    (tmp_path / "mine.gguf").write_bytes(b"changed")
    assert content == pulled.path.read_bytes()


def test_a_file_can_be_linked(models: Path, tmp_path: Path) -> None:
    """With --link there is one file only, and removing the weights leaves it."""
    content = some_gguf(tmp_path / "mine.gguf")

    pull(str(tmp_path / "mine.gguf"), Asked(link=True, name="linked"))
    assert content == (models / "linked.gguf").read_bytes()
    assert [models / "linked.gguf"] == remove_weights("linked")

    assert content == (tmp_path / "mine.gguf").read_bytes()
    assert not (models / "linked.gguf").is_symlink()


def test_a_file_that_lies_there_already_stays_as_it_is(models: Path) -> None:
    """Pulling the models folder's own file does nothing."""
    content = some_gguf(models / "mine.gguf")

    assert models / "mine.gguf" == pull(str(models / "mine.gguf")).path
    assert content == (models / "mine.gguf").read_bytes()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is cut off"),
        (b"GGUF\3\0\0\0", "is cut off"),
        (b"PK\3\4 a zip archive of some kind, long enough", "is not a GGUF file"),
    ],
)
def test_what_is_no_gguf_is_not_taken_in(
    models: Path, tmp_path: Path, content: bytes, said: str
) -> None:
    """The header is read before anything is copied."""
    (tmp_path / "mine.gguf").write_bytes(content)

    with pytest.raises(BackendFault, match=said):
        pull(str(tmp_path / "mine.gguf"))

    assert [] == list(models.glob("*.gguf"))


def test_the_hash_that_was_asked_for_decides(models: Path, tmp_path: Path) -> None:
    """Of files of this machine, too."""
    some_gguf(tmp_path / "mine.gguf")

    with pytest.raises(InvalidRequest, match="so nothing was kept"):
        pull(str(tmp_path / "mine.gguf"), Asked(sha256="0" * 64))

    assert [] == list(models.glob("*.gguf"))


def test_a_missing_part_of_a_split_file_is_named(models: Path, tmp_path: Path) -> None:
    """A model that is not all there is not taken in."""
    some_gguf(tmp_path / "big-00001-of-00002.gguf")

    with pytest.raises(ModelNotFound, match=r"big-00002-of-00002\.gguf is missing"):
        pull(str(tmp_path / "big-00001-of-00002.gguf"))


def test_a_pulled_file_can_be_verified(models: Path, tmp_path: Path) -> None:
    """It is compared with what it was when it was pulled."""
    some_gguf(tmp_path / "mine.gguf")
    pull(str(tmp_path / "mine.gguf"))
    (weights,) = model_store.installed()
    assert None is model_store.verify(weights)

    weights.path.write_bytes(weights.path.read_bytes()[:-1] + b"\1")

    assert str(model_store.verify(weights)).endswith("that it had when it was pulled")


def test_options_of_files_do_not_go_with_the_catalogue(models: Path) -> None:
    """The catalogue knows hash and name itself."""
    with pytest.raises(InvalidRequest, match="is in the catalogue"):
        pull("135m", Asked(sha256="0" * 64))


def test_weights_of_another_folder_are_not_removed(models: Path, tmp_path: Path) -> None:
    """They were not pulled; the text says where they are."""
    (tmp_path / "models").mkdir()
    some_gguf(tmp_path / "models" / "mine.gguf")

    with pytest.raises(ModelNotFound, match=r"/models/mine\.gguf is no file that was pulled"):
        remove_weights("mine")

    assert (tmp_path / "models" / "mine.gguf").is_file()


def test_what_an_unfinished_pull_left_can_be_removed(models: Path) -> None:
    """By the name of the file that it would have become, or by the catalogue's key."""
    left = [models / ".parts" / name for name in ("mine.gguf-0123456789ab", "smollm2-135m")]
    for folder in left:
        folder.mkdir(parents=True)
        (folder / "piece").write_bytes(b"x")

    assert left == [*remove_weights("mine"), *remove_weights("135m")]
    assert not any(folder.exists() for folder in left)


def test_all_files_of_a_split_model_are_removed(models: Path) -> None:
    """Under its one name."""
    for part in (1, 2):
        some_gguf(models / f"big-{part:05}-of-00002.gguf")

    assert 2 == len(remove_weights("big"))
    assert [] == model_store.installed()


def test_the_command_prints_path_and_hash(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The path on stdout, for scripts; whether anybody knew the hash on stderr."""
    digest = hashlib.sha256(some_gguf(tmp_path / "mine.gguf")).hexdigest()

    assert exit_codes.DONE == run(["models", "pull", "./mine.gguf"])

    said = capsys.readouterr()
    assert f"{models / 'mine.gguf'}\n" == said.out
    assert f"sha256 {digest} (nobody said what to expect)" in said.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--sha256", "12"],
        ["--sha256", "0" * 64, "135m"],
        ["--name", "a", "135m"],
        ["--link", "135m"],
    ],
)
def test_a_wrong_use_of_pull_is_code_2(models: Path, arguments: list[str]) -> None:
    """A hash that is none, and options of one file with several or with catalogued ones."""
    assert exit_codes.WRONG_USAGE == run(["models", "pull", "mine.gguf", *arguments])


_NOTHING_IS_FETCHED = """
import asyncio, sys
from pathlib import Path

refused = []
def watch(event, args):
    fetching = event == "subprocess.Popen" and "pip" in str(args)
    if fetching or event in ("socket.connect", "socket.getaddrinfo"):
        refused.append((event, args))
        raise AssertionError(f"{event} {args}")
sys.addaudithook(watch)

from local_assistants import Engine, Settings
from local_assistants.engine.errors import ModelNotFound
from local_assistants.engine.requests import CreateAssistant, CreateThreadAndRun

async def main(toy, data):
    try:
        async with Engine.open(Settings(model="qwen2.5-coder-0.5b", data=data)):
            pass
    except ModelNotFound as error:
        print(error.message)
    async with Engine.open(Settings(model=toy, data=data)) as engine:
        services = engine.services
        assistant = await services.assistants.create(CreateAssistant(model="toy"))
        body = {"assistant_id": assistant.id, "max_completion_tokens": 256,
                "thread": {"messages": [{"role": "user", "content": "hi"}]}}
        run = await services.runs.create_with_thread(CreateThreadAndRun.model_validate(body))
        print([event.name async for event in services.runs.stream(run.id)][-1])

asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
print(refused, [name for name in sys.modules if "pulling" in name])
"""


def test_neither_the_engine_nor_a_model_fetches_anything(models: Path, tmp_path: Path) -> None:
    """Missing weights are named with the command that gets them; what could fetch is not even imported."""
    toy = write_random_model(tmp_path / "toy.gguf")
    command = [sys.executable, "-c", _NOTHING_IS_FETCHED, str(toy), str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    said = done.stdout.splitlines()
    assert 3 == len(said), done.stderr
    assert "local-assistants models pull qwen2.5-coder-0.5b" in said[0]
    assert said[1] in ("thread.run.completed", "thread.run.incomplete")
    assert "[] []" == said[2]
