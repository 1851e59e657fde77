"""The command line: exit codes, plain errors, JSON for programs."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from local_assistants import __version__
from local_assistants.cli import exit_codes
from local_assistants.cli.app import run

Machine = Callable[[], Path]


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    """--version prints it and succeeds."""
    assert exit_codes.DONE == run(["--version"])
    assert f"local-assistants {__version__}\n" == capsys.readouterr().out


@pytest.mark.parametrize(
    "command", ["serve", "keys", "demo", "doctor", "models", "interpreter", "sandbox"]
)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """--help prints a usage and succeeds, whatever is installed."""
    assert exit_codes.DONE == run([command, "--help"])
    assert capsys.readouterr().out.startswith(f"Usage: local-assistants {command}")


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["models", "pull"], ["serve", "--port", "70000"]]
)
def test_a_wrong_command_line_is_code_2(arguments: list[str]) -> None:
    """Unknown commands, missing arguments and impossible values do nothing."""
    assert exit_codes.WRONG_USAGE == run(arguments)


def test_an_unknown_model_is_code_3_and_one_sentence(
    empty_machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error goes to stderr, without a traceback."""
    assert exit_codes.NOT_FOUND == run(["models", "pull", "gpt-9"])

    said = capsys.readouterr()
    assert "" == said.out
    assert said.err.startswith(
        "local-assistants: The catalogue has no model 'gpt-9', and there is no such file."
    )
    assert 1 == len(said.err.splitlines())


def test_weights_that_cannot_be_had_are_code_4(
    empty_machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index without the packages is a lack of this machine, not a bug."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))

    assert exit_codes.CANNOT == run(["models", "pull", "135m"])


def test_models_ls_puts_each_value_under_its_heading(capsys: pytest.CaptureFixture[str]) -> None:
    """A licence stands under licence, a size under size."""
    assert exit_codes.DONE == run(["models", "ls"])
    head, *rows = capsys.readouterr().out.splitlines()
    row = next(line for line in rows if line.startswith("qwen2.5-coder-0.5b"))
    assert row[head.index("size") :].startswith("491 MB")
    assert row[head.index("licence") :].startswith("Apache-2.0")
    assert row[head.index("what for") :].startswith("small and quick")


def test_ls_lists_the_catalogue_and_own_files(
    empty_machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    """--json has a row for every entry, with a path only where the file is here."""
    own = empty_machine() / "mine.gguf"
    own.write_bytes(b"GGUF")

    assert exit_codes.DONE == run(["models", "ls", "--json"])

    rows = json.loads(capsys.readouterr().out)
    assert {"mine": str(own)} == {row["name"]: row["path"] for row in rows if row["path"]}


def test_verify_finds_wrong_weights(
    empty_machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file with a catalogued name and another content is code 1."""
    (empty_machine() / "SmolLM2-135M-Instruct.Q4_1.gguf").write_bytes(b"GGUF")

    assert exit_codes.CHECK_FAILED == run(["models", "verify"])
    assert "does not have the SHA-256" in capsys.readouterr().out


def test_doctor_names_the_command_for_what_is_missing(
    empty_machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a machine without weights it fails and says how to get them."""
    assert exit_codes.CHECK_FAILED == run(["doctor", "--json"])

    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    assert checks["python"]["ok"]
    assert "local-assistants models pull qwen2.5-coder-1.5b" == checks["model"]["mend"]
    assert "local-assistants interpreter install" == checks["interpreter"]["mend"]


@pytest.mark.parametrize(("switch", "has_pyarrow"), [("--small", False), ("--full", True)])
def test_the_interpreters_list_is_printed_for_pip(
    switch: str, has_pyarrow: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """On stdout and nothing else, to be redirected into a file."""
    assert exit_codes.DONE == run(["interpreter", "requirements", switch])

    lines = capsys.readouterr().out.splitlines()
    assert all("==" in line for line in lines)
    assert has_pyarrow == any(line.startswith("pyarrow==") for line in lines)


def test_the_module_runs_as_the_command_does() -> None:
    """python -m local_assistants is the same program, with the same exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "local_assistants", "nonsense"], capture_output=True, check=False
    )

    assert exit_codes.WRONG_USAGE == done.returncode


def test_ctrl_c_is_code_130_and_leaves_no_traceback(empty_machine: Machine) -> None:
    """A pull that waits for an index that never answers ends at once, in one sentence."""
    with socket.create_server(("127.0.0.1", 0)) as silent_index:
        address = f"http://127.0.0.1:{silent_index.getsockname()[1]}/simple"
        with subprocess.Popen(
            [sys.executable, "-m", "local_assistants", "models", "pull", "135m"],
            env={
                **os.environ,
                "PIP_INDEX_URL": address,
                "PIP_EXTRA_INDEX_URL": "",
                "PIP_NO_INDEX": "",
            },
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # a shell that starts the tests in the background has them, and so their children, ignore it
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        ) as pull:
            connection, _ = silent_index.accept()
            with connection:  # the package client is asking now
                os.killpg(pull.pid, signal.SIGINT)  # as a terminal does: to the client, too
                _, said = pull.communicate(timeout=30)

    assert exit_codes.INTERRUPTED == pull.returncode
    assert "local-assistants: Interrupted.\n" == said


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("--data", "The data folder failed: File exists. ([Errno 17] File exists: '{file}')"),
        ("--host", "Cannot listen on {file}:0: "),
    ],
)
def test_a_server_that_cannot_start_says_why(
    option: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A data folder that is a file and a host that is no name are lacks, not bugs."""
    script = tmp_path / "script.yaml"
    script.write_text("turns: [{text: Hi}]")
    arguments = ["serve", "--model", f"scripted:{script}", "--port", "0", option, str(script)]
    if option == "--host":
        arguments += ["--data", str(tmp_path / "data")]
    assert exit_codes.CANNOT == run(arguments)
    said = capsys.readouterr().err
    assert said.startswith("local-assistants: " + expected.format(file=script))
    assert 1 == len(said.splitlines())


@pytest.mark.parametrize("inside", [True, False])
def test_advised_commands_can_be_run_as_they_stand(tmp_path: Path, inside: bool) -> None:
    """In a checkout the program is not on the PATH, so its bare name would be no use."""
    program = Path(sys.executable).with_name("local-assistants")
    ended = subprocess.run(
        [program, "sandbox", "status"],
        cwd=program.parents[1] if inside else tmp_path,
        env={"PATH": "/usr/bin:/bin", "LOCAL_ASSISTANTS_CACHE": f"{tmp_path}/a/../cache"},
        capture_output=True,
        text=True,
        check=False,
    )
    shown = program.relative_to(program.parents[1]) if inside else program.resolve()
    expected = (
        f"local-assistants: there is no interpreter in {tmp_path}/cache/interpreter; install the interpreter: "
        f"{shown} interpreter install\n"
    )
    assert (exit_codes.CANNOT, expected) == (ended.returncode, ended.stderr)


@pytest.mark.parametrize("pause", [0.0, 0.05])
def test_a_second_ctrl_c_has_no_traceback(tmp_path: Path, pause: float) -> None:
    """Whoever is impatient presses it twice."""
    (tmp_path / "turns.yaml").write_text("turns: [{text: Hi}]")
    arguments = ["--model", f"scripted:{tmp_path}/turns.yaml", "--data", str(tmp_path / "data")]
    command = [sys.executable, "-m", "local_assistants", "serve", "--port", "0", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline().startswith("http://")
        server.send_signal(signal.SIGINT)
        time.sleep(pause)
        server.send_signal(signal.SIGINT)
        said = server.communicate(timeout=60)[1]
    assert "Traceback" not in said
