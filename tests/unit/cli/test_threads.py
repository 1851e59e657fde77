"""`local-assistants threads`: the data folder is read beside whoever works on it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from local_assistants.cli import exit_codes
from local_assistants.cli.app import run
from local_assistants.engine.objects import Thread
from local_assistants.engine.requests import CreateThread, ModifyThread
from local_assistants.storage import SQLiteStore
from tests.support.engine import FUNCTION, calls, house

MARKUP = {"name": "[red]Ann[/]"}


async def fill(folder: Path) -> str:
    """A data folder with a waiting run on a thread, and a thread in another project; the first one's id."""
    async with house(folder, [calls("add", {"a": 1})]) as home:
        await home.services.of("other").threads.create(CreateThread())
        run = await home.ask("Hi", tools=[FUNCTION])
        await home.finish(run)
        await home.services.threads.modify(run.thread_id, ModifyThread(metadata=MARKUP))
    return run.thread_id


@pytest.fixture
def waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of the thread in the data folder that the environment names."""
    monkeypatch.setenv("LOCAL_ASSISTANTS_DATA", str(tmp_path))
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(fill(tmp_path))


def listed(capsys: pytest.CaptureFixture[str], *options: str) -> list[dict[str, Any]]:
    """What `threads ls --json` prints."""
    assert exit_codes.DONE == run(["threads", "ls", "--json", *options])
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return rows


def test_threads_are_listed(waiting: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Of all projects, newest first, with what is going on in them."""
    newest, other = listed(capsys)
    assert (waiting, 1, "requires_action") == (
        newest["id"],
        newest["message_count"],
        newest["active_run_status"],
    )
    assert (0, None) == (other["message_count"], other["active_run_id"])


def test_the_list_is_narrowed(waiting: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By a pair of metadata, by project, by number."""
    assert [waiting] == [row["id"] for row in listed(capsys, "--metadata", "name=[red]Ann[/]")]
    assert [] == listed(capsys, "--metadata", "name=Bob")
    assert [waiting] == [row["id"] for row in listed(capsys, "--project", "default")]
    assert [] == listed(capsys, "--project", "nobodys")
    assert [waiting] == [row["id"] for row in listed(capsys, "--limit", "1")]


def test_the_table_is_for_people(waiting: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Metadata is shown as it is; that there are more threads is said on stderr."""
    assert exit_codes.DONE == run(["threads", "ls", "--limit", "1"])
    said = capsys.readouterr()
    assert waiting in said.out
    assert "name=[red]Ann[/]" in said.out
    assert "There are more" in said.err


def test_a_thread_is_exported_to_stdout(
    waiting: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Nothing but the export, to be piped on."""
    assert exit_codes.DONE == run(["threads", "export", waiting])
    lines = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert ("export", "end") == (lines[0]["type"], lines[-1]["type"])
    assert waiting == lines[1]["data"]["id"]


def test_a_thread_is_exported_to_a_file(waiting: str, tmp_path: Path) -> None:
    """Whole or not at all: what was there stays until the new one is complete."""
    file = tmp_path / "out" / "thread.json"
    arguments = ["threads", "export", "--format", "json", "--output", str(file)]
    assert exit_codes.CANNOT == run([*arguments, waiting])
    file.parent.mkdir()
    assert exit_codes.DONE == run([*arguments, waiting])
    before = file.read_bytes()
    assert exit_codes.NOT_FOUND == run([*arguments, "thread_none"])
    assert before == file.read_bytes()
    assert [file] == list(file.parent.iterdir())
    assert waiting == json.loads(before)["thread"]["id"]


def test_a_project_keeps_its_threads_to_itself(waiting: str) -> None:
    """With --project the thread of another one is not found."""
    assert exit_codes.NOT_FOUND == run(["threads", "export", "--project", "other", waiting])


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["ls", "--metadata", "name"], exit_codes.WRONG_USAGE),
        (["ls", "--limit", "0"], exit_codes.WRONG_USAGE),
        (["export"], exit_codes.WRONG_USAGE),
        (["export", "--format", "xml", "thread_1"], exit_codes.WRONG_USAGE),
        (["export", "thread_none"], exit_codes.NOT_FOUND),
    ],
)
def test_mistakes_have_their_codes(waiting: str, arguments: list[str], code: int) -> None:
    """The same as everywhere on the command line."""
    assert waiting
    assert code == run(["threads", *arguments])


def test_a_folder_without_data_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And not made: a misspelt folder stays one that does not exist."""
    nowhere = tmp_path / "nowhere"
    assert exit_codes.NOT_FOUND == run(["threads", "ls", "--data", str(nowhere)])
    assert f"There is no data in {nowhere}." in capsys.readouterr().err
    assert not nowhere.exists()


def test_it_reads_beside_whoever_writes(waiting: str, tmp_path: Path) -> None:
    """The folder is open in another process's hands; what that wrote last is seen."""
    store = SQLiteStore.open(tmp_path / "store.db")

    async def add() -> None:
        await store.write(lambda tx: tx.put(Thread(id="thread_late", created_at=1)))

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(add())
        assert exit_codes.DONE == run(["threads", "export", "thread_late"])
        runner.run(store.close())
    assert waiting
