"""What `serve` says before it serves: that a model cannot be used, and by which name one that can is asked for."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from local_assistants.cli import exit_codes
from local_assistants.cli.app import run
from local_assistants.cli.served import check, described
from local_assistants.models_file import ModelConfig, ModelsConfig, read_models_file
from tests.support.toy_embedder import write_bert
from tests.support.toy_gguf import write_random_model

Machine = Callable[[], Path]
Said = pytest.CaptureFixture[str]


def cut_off(path: Path) -> Path:
    """A model whose download ended early."""
    write_random_model(path)
    path.write_bytes(path.read_bytes()[:-5000])
    return path


def foreign(path: Path) -> Path:
    """A file of another kind with the name of a model."""
    path.write_text("<html>")
    return path


def ends(capsys: Said, *arguments: str) -> tuple[int, str]:
    """How `serve` ends that must not come to listen: exit code and what it says."""
    code = run(["serve", "--port", "0", *arguments])
    said = capsys.readouterr()
    assert "" == said.out
    return code, said.err


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (foreign, "is not a GGUF file: it is a web page"),
        (cut_off, "cut off"),
        (write_bert, "is an embedding model (for file search); it cannot answer. serve --embedder"),
    ],
)
@pytest.mark.parametrize("more", [(), ("--load-on-demand",)])
def test_a_file_that_can_never_answer_ends_it(
    empty_machine: Machine,
    capsys: Said,
    write: Callable[[Path], Path],
    said: str,
    more: tuple[str, ...],
) -> None:
    """Before it listens, whenever the model would have been loaded."""
    path = write(empty_machine() / "broken.gguf")
    code, error = ends(capsys, "--model", "broken", *more)
    assert code in (exit_codes.CANNOT, exit_codes.WRONG_USAGE)
    assert said in error
    assert 1 == len(error.splitlines())
    assert path.is_file()


def test_the_second_model_counts_too(empty_machine: Machine, capsys: Said) -> None:
    """All that were named are looked at."""
    write_random_model(empty_machine() / "good.gguf")
    cut_off(empty_machine() / "cut.gguf")
    code, error = ends(capsys, "--model", "good", "--model", "cut")
    assert exit_codes.CANNOT == code
    assert "cut.gguf" in error


def test_an_embedder_s_folder_ends_it(empty_machine: Machine, capsys: Said) -> None:
    """It is no model that answers."""
    folder = empty_machine() / "vectors"
    folder.mkdir()
    (folder / "modules.json").write_text("[]")
    code, error = ends(capsys, "--model", str(folder))
    assert exit_codes.WRONG_USAGE == code
    assert f"{folder} is an embedding model (for file search); it cannot answer." in error


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("source = 'good'\nmmproj = 'none.gguf'", "none.gguf: No such file"),
        (
            "name = 'far'\nendpoints = ['http://127.0.0.1:9']\napi_key_env = 'NO_SUCH_KEY'",
            "The model far: There is no usable API key in the environment variable NO_SUCH_KEY.",
        ),
    ],
)
def test_what_a_models_file_lacks_ends_it(
    empty_machine: Machine, tmp_path: Path, capsys: Said, table: str, said: str
) -> None:
    """A vision part that is not there, a key that is not set."""
    write_random_model(empty_machine() / "good.gguf")
    file = tmp_path / "models.toml"
    file.write_text(f"[[model]]\n{table}")
    code, error = ends(capsys, "--models", str(file))
    assert exit_codes.DONE != code
    assert said in error


def test_a_server_that_is_down_does_not_end_it() -> None:
    """It may come up."""
    check(ModelsConfig((ModelConfig("openai_compatible:http://127.0.0.1:9#far"),)))


def test_models_are_called_by_what_clients_write(empty_machine: Machine, tmp_path: Path) -> None:
    """The source stands in brackets, unless it is the same."""
    write_random_model(empty_machine() / "good.gguf")
    write_random_model(tmp_path / "other.gguf")
    (tmp_path / "act.yaml").write_text("turns: [{text: Hi}]")
    file = tmp_path / "models.toml"
    file.write_text(
        """
        [[model]]
        source = "good"
        [[model]]
        source = "other.gguf"
        [[model]]
        source = "scripted:act.yaml"
        [[model]]
        name = "far"
        endpoints = ["http://127.0.0.1:9/v1"]
        """
    )
    folder = tmp_path
    assert (
        f"good, other ({folder}/other.gguf), scripted (scripted:{folder}/act.yaml), far (http://127.0.0.1:9/v1)"
    ) == described(read_models_file(file))


def test_a_folder_of_scripts_is_several_models(tmp_path: Path) -> None:
    """Each is named, the default first."""
    for name in ("a", "default"):
        (tmp_path / f"{name}.yaml").write_text("turns: [{text: Hi}]")
    source = f"scripted:{tmp_path}"
    assert f"default ({source}), a ({source})" == described(ModelsConfig((ModelConfig(source),)))


def test_the_help_names_the_defaults(capsys: Said) -> None:
    """Of the data folder and the threads."""
    assert exit_codes.DONE == run(["serve", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert (
        "Without it: $XDG_DATA_HOME/local-assistants, else ~/.local/share/local-assistants." in said
    )
    assert "by default the physical cores, from three on one less." in said


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_sees_at_once_that_it_starts(empty_machine: Machine, terminal: bool) -> None:
    """A program that reads stderr does not."""
    ours, theirs = pty.openpty() if terminal else os.pipe()
    command = [sys.executable, "-m", "local_assistants", "serve", "--model", "gpt-9"]
    try:
        done = subprocess.run(command, stderr=theirs, check=False)
        os.close(theirs)
        first = os.read(ours, 4096).decode()
    finally:
        os.close(ours)
    assert exit_codes.NOT_FOUND == done.returncode
    assert terminal == first.startswith("starting\r\n")
    assert "starting" not in first or terminal
