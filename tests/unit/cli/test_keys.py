"""`local-assistants keys`, and `serve` as far as keys and names are concerned."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from local_assistants.cli import exit_codes
from local_assistants.cli.app import run
from local_assistants.cli.demo.server_process import ServerProcess

LIVE = 1.0  # seconds after which a running server has to know of a change


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder that nobody has used yet, named by the environment as a server's would be."""
    folder = tmp_path / "data"
    monkeypatch.setenv("LOCAL_ASSISTANTS_DATA", str(folder))
    return folder


def made(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """A new key, as the command prints it."""
    assert exit_codes.DONE == run(["keys", "create", *options])
    return capsys.readouterr().out.removesuffix("\n")


def listed(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What `keys ls --json` prints."""
    assert exit_codes.DONE == run(["keys", "ls", "--json"])
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return rows


def test_a_new_key_is_alone_on_stdout(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A script can take it from there; people read on stderr what it is."""
    assert exit_codes.DONE == run(["keys", "create", "--name", "laptop", "--project", "alpha"])
    said = capsys.readouterr()
    assert said.out.startswith("sk-la-")
    assert len("sk-la-") + 43 + 1 == len(said.out)
    assert f"a key to the project 'alpha' in {data}." in said.err
    assert said.out.strip() not in said.err


def test_keys_are_listed_without_themselves(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table for people, JSON for programs; neither holds a key or its hash."""
    del data
    secret = made(capsys, "--name", "[red]laptop[/]", "--project", "alpha")
    (row,) = listed(capsys)
    assert {"id", "object", "created_at", "name", "project", "ending", "revoked_at"} == set(row)
    assert ("alpha", secret[-4:], None) == (row["project"], row["ending"], row["revoked_at"])

    assert exit_codes.DONE == run(["keys", "ls"])
    head, line = capsys.readouterr().out.splitlines()
    assert ["id", "key", "project", "name", "created", "revoked"] == head.split()
    assert line.startswith(row["id"])
    assert line[head.index("key") :].startswith(f"...{secret[-4:]}  alpha")
    assert line[head.index("name") :].startswith("[red]laptop[/]")
    assert secret[:-4] not in line


def test_keys_are_kept_hashed(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The secret is in no file of the data folder."""
    secret = made(capsys)
    held = b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())
    assert listed(capsys)[0]["id"].encode() in held
    assert secret.removeprefix("sk-la-")[:20].encode() not in held


def test_a_key_is_revoked_once(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second time changes nothing and is no mistake."""
    del data
    made(capsys)
    (key,) = listed(capsys)
    times: list[int] = []
    for _ in range(2):
        assert exit_codes.DONE == run(["keys", "revoke", key["id"]])
        times.append(listed(capsys)[0]["revoked_at"])
    assert times[0] == times[1] >= key["created_at"]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["revoke", "key_404"], exit_codes.NOT_FOUND, "No key found with id 'key_404'."),
        (["create", "--project", "a b"], exit_codes.WRONG_USAGE, "The name of a project is"),
        (["create", "--project", ""], exit_codes.WRONG_USAGE, "The name of a project is"),
        (["create", "--name", "a\x1b[2J"], exit_codes.WRONG_USAGE, "The name of a key is"),
        (["create", "--name", "x" * 101], exit_codes.WRONG_USAGE, "The name of a key is"),
    ],
)
def test_mistakes_are_named(
    data: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    sentence: str,
) -> None:
    """One sentence, the code for its kind, and no key made or revoked."""
    del data
    made(capsys)
    assert code == run(["keys", *arguments])
    assert capsys.readouterr().err.startswith(f"local-assistants: {sentence}")
    assert [None] == [key["revoked_at"] for key in listed(capsys)]


def test_list_is_another_name_of_ls(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Other tools call it so."""
    made(capsys, "--name", "Ann")
    assert exit_codes.DONE == run(["keys", "list", "--json"])
    shown = json.loads(capsys.readouterr().out)
    assert listed(capsys) == shown


@pytest.mark.parametrize("arguments", [["ls"], ["revoke", "key_1"]])
def test_a_misspelt_folder_has_no_keys_and_is_not_made(
    data: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """Or one would look for the keys of a server in an empty new folder."""
    assert exit_codes.NOT_FOUND == run(["keys", *arguments])
    assert f"There is no data in {data}." in capsys.readouterr().err
    assert not data.exists()


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_others_are_not_served_without_a_key(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], host: str
) -> None:
    """The refusal names both ways out; with a key the same command goes on, here to a script that is not there."""
    missing = tmp_path / "missing.yaml"
    command = ["serve", "--host", host, "--port", "0", "--model", f"scripted:{missing}"]
    assert exit_codes.WRONG_USAGE == run(command)
    said = capsys.readouterr().err
    assert f"local-assistants keys create --data {data}" in said
    assert "serve --no-auth" in said

    made(capsys)
    assert exit_codes.CANNOT == run(command)
    said = capsys.readouterr().err
    assert "Cannot read the script missing.yaml" in said
    assert f"({missing})" in said


def test_a_revoked_key_is_none(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Beyond loopback a server does not start on revoked keys alone."""
    del data
    made(capsys)
    run(["keys", "revoke", listed(capsys)[0]["id"]])
    command = ["serve", "--host", "0.0.0.0", "--port", "0", "--model", "scripted:none.yaml"]
    assert exit_codes.WRONG_USAGE == run(command)


def test_without_keys_only_as_told_and_loudly(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--no-auth needs no key and says at every start what it means."""
    del data
    missing = f"scripted:{tmp_path}/missing.yaml"
    command = ["serve", "--host", "0.0.0.0", "--port", "0", "--no-auth", "--model", missing]
    assert exit_codes.CANNOT == run(command)
    assert "NO KEY IS ASKED FOR: whoever reaches 0.0.0.0" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["box.lan:80", "http://box.lan", "a b", "", "box/x"])
def test_an_allowed_host_is_a_bare_name(
    name: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A port or a scheme would make a name that nothing ever matches."""
    assert exit_codes.WRONG_USAGE == run(["serve", "--allowed-host", name])
    assert "no host name or address" in capsys.readouterr().err
    assert not data.exists()


@pytest.fixture
def server(data: Path, tmp_path: Path) -> Iterator[str]:
    """The base URL of a server in a process of its own, on an unused data folder."""
    script = tmp_path / "script.yaml"
    script.write_text("turns: [{text: Hi}]")
    with ServerProcess(f"scripted:{script}", data, tmp_path / "server.log") as process:
        yield f"{process.start()}/v1"


def command(*arguments: str) -> str:
    """What the command prints, run as people run it."""
    line = [sys.executable, "-m", "local_assistants", "keys", *arguments]
    done = subprocess.run(line, check=True, capture_output=True, text=True, env={**os.environ})
    return done.stdout.strip()


def answers(url: str, key: str, expected: int) -> bool:
    """Whether requests with `key` (none when empty) are answered with this status before a second is over."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    deadline = time.monotonic() + LIVE
    while time.monotonic() < deadline:
        if httpx.get(f"{url}/assistants", headers=headers).status_code == expected:
            return True
        time.sleep(0.02)
    return False


def test_a_running_server_knows_new_and_revoked_keys(server: str, tmp_path: Path) -> None:
    """Made and revoked by the command, without a restart; the log of the server holds none of them."""
    assert answers(server, "", 200)
    first = command("create", "--project", "alpha")
    second = command("create", "--project", "beta")
    assert answers(server, "", 401)
    assert answers(server, first, 200)

    thread = httpx.post(f"{server}/threads", headers={"api-key": first}).json()
    own, other = [
        httpx.get(f"{server}/threads/{thread['id']}", headers={"api-key": key}).status_code
        for key in (first, second)
    ]
    assert (200, 404) == (own, other)

    ids = {key["project"]: key["id"] for key in json.loads(command("ls", "--json"))}
    command("revoke", ids["alpha"])
    assert answers(server, first, 401)
    assert answers(server, second, 200)
    command("revoke", ids["beta"])
    assert answers(server, "", 200)  # on loopback, as before the first key
    said = (tmp_path / "server.log").read_text()
    assert not [key for key in (first, second) if key in said]


def test_what_was_made_before_the_first_key_is_in_the_default_project(server: str) -> None:
    """A key made without `--project` opens it, another does not."""
    thread = httpx.post(f"{server}/threads").json()
    other = command("create", "--project", "research")
    default = command("create")
    assert answers(server, "", 401)
    seen = [
        httpx.get(f"{server}/threads/{thread['id']}", headers={"api-key": key}).status_code
        for key in (default, other)
    ]
    assert [200, 404] == seen
