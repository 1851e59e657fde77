"""`local-assistants db`: exit codes, what it prints for people and for programs."""

import asyncio
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from local_assistants.cli import exit_codes
from local_assistants.cli.app import run
from local_assistants.cli.db import Ticker
from local_assistants.engine.invariants import INVARIANTS
from tests.support.engine import house


async def fill(folder: Path) -> None:
    """A data folder with a run."""
    async with house(folder) as home:
        await home.finish(await home.ask("Hi"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder."""
    folder = tmp_path / "data"
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(fill(folder))
    return folder


def harm(data: Path) -> None:
    """Break two invariants, one of them twice."""
    with closing(sqlite3.connect(data / "store.db", isolation_level=None)) as connection:
        connection.execute("DELETE FROM transcript WHERE run_id IS NULL")
        connection.execute("UPDATE runs SET lease_owner = 'me'")


def test_a_whole_folder_is_well(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line: what was looked at, how fast; nothing on stderr, it was quick."""
    assert exit_codes.DONE == run(["db", "check", "--data", str(data)])
    said = capsys.readouterr()

    assert re.match(
        r"all is well: [\d,]+ rows and 0 files, .* in \d+\.\d s \(.* rows/s, no server at work\)",
        said.out,
    )
    assert "" == said.err


def test_a_broken_folder_is_told_with_remedies(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each invariant by name, whose id, what must hold and what to do; exit code 1."""
    harm(data)
    assert exit_codes.CHECK_FAILED == run(["db", "check", "--data", str(data), "--sizes-only"])
    said = capsys.readouterr().out

    assert "broken  message-in-transcript  msg_1: has no line" in said
    assert "broken  finished-run-free  run_1: is completed and owned by me" in said
    assert 2 == said.count("must hold: ") == said.count("to mend it: ")
    assert "2 broken: " in said


def test_programs_get_json(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything that people are told, under names that stay."""
    harm(data)
    assert exit_codes.CHECK_FAILED == run(["db", "check", "--json", "--data", str(data)])
    told = json.loads(capsys.readouterr().out)

    assert (False, {"message-in-transcript": 1, "finished-run-free": 1}) == (
        told["ok"],
        told["broken"],
    )
    assert {"msg_1", "run_1"} == {one["subject"] for one in told["findings"]}
    assert {"invariant", "subject", "seen", "note", "holds", "mend"} == set(told["findings"][0])


def test_what_cannot_be_checked_has_a_code_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No folder, no database: neither well nor broken."""
    assert exit_codes.CANNOT_CHECK == run(["db", "check", "--data", str(tmp_path / "nowhere")])
    assert "There is no database in the data folder" in capsys.readouterr().err
    assert not (tmp_path / "nowhere").exists()


def test_a_backup_is_made_and_told(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where, how large, how long, and that it is well; a second one to the same place is refused."""
    target = tmp_path / "backup"
    assert exit_codes.DONE == run(["db", "backup", str(target), "--data", str(data)])
    said = capsys.readouterr().out
    assert re.search(
        rf"{target}: .* of database, 0 files of 0 kB, in \d+\.\d s\nall is well: ", said
    )
    assert exit_codes.WRONG_USAGE == run(["db", "backup", str(target), "--data", str(data)])
    assert "is there already" in capsys.readouterr().err
    assert exit_codes.DONE == run(["db", "check", "--data", str(target)])


def test_a_backup_of_something_broken_says_so(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is made, and the exit code is that of the check."""
    harm(data)
    command = ["db", "backup", str(tmp_path / "backup"), "--json", "--data", str(data)]
    assert exit_codes.CHECK_FAILED == run(command)
    told = json.loads(capsys.readouterr().out)

    assert (tmp_path / "backup" / "store.db").is_file()
    assert (False, str(tmp_path / "backup")) == (told["check"]["ok"], told["target"])


def test_nothing_without_data_is_backed_up(tmp_path: Path) -> None:
    """A misspelt folder."""
    command = ["db", "backup", str(tmp_path / "backup"), "--data", str(tmp_path / "nowhere")]
    assert exit_codes.NOT_FOUND == run(command)
    assert [] == list(tmp_path.iterdir())


def test_progress_is_shown_after_two_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    """And at most every two, on stderr."""
    times = iter([100.0, 101.0, 102.5, 103.0, 104.4, 104.6])
    ticker = Ticker(lambda: next(times))
    for number in (1000, 2500, 3000, 4400, 4600):
        ticker.tick("journals", number)
    said = capsys.readouterr()

    assert ("  journals (2,500) ...\n  journals (4,600) ...\n", "") == (said.err, said.out)


def test_the_page_lists_the_invariants() -> None:
    """All of them, as they stand in the code, in order."""
    page = (Path(__file__).resolve().parents[3] / "docs" / "durability.md").read_text("utf-8")
    listed = re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", page, re.MULTILINE)

    assert [(one.name, one.holds) for one in INVARIANTS] == listed


def test_a_folder_moves_house(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Written out and taken in by two commands, each with a line on what it did; twice brings nothing new."""
    dump, new = str(tmp_path / "dump"), str(tmp_path / "new")
    assert exit_codes.DONE == run(["export", dump, "--data", str(data)])
    assert exit_codes.DONE == run(["import", dump, "--data", new])
    assert exit_codes.DONE == run(["db", "import", dump, "--data", new, "--json"])
    said = capsys.readouterr().out

    assert re.search(r"dump: \d+ records, 0 files, 0 kB of bytes, in \d+\.\d s", said)
    assert re.search(r"\d+ records imported in \d+\.\d s; 0 objects were there already", said)
    assert json.loads(said[said.index("{") :])["added"] == 0


def test_what_is_no_dump_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what to name instead, and the exit code of wrong usage; so is a target that is there."""
    assert exit_codes.WRONG_USAGE == run(["import", str(tmp_path), "--data", str(tmp_path / "new")])
    assert exit_codes.WRONG_USAGE == run(["export", str(tmp_path), "--data", str(data)])
    said = capsys.readouterr().err

    assert "cannot be read" in said
    assert "is there already" in said
