"""`local-assistants runs`: what runs did, read beside whoever works on the data folder."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from local_assistants.cli import exit_codes
from local_assistants.cli.app import run
from local_assistants.engine.objects import Run
from tests.support.engine import CODE, House, ScriptedTool, answering, calls, house

HOSTILE = "\x1b[2JIt is [red]42[/].\nReally."
SCRIPT = (calls("code_interpreter", {"code": "print(6 * 7)"}), {"text": HOSTILE})


async def _ask(home: House, text: str) -> Run:
    return await home.finish(await home.ask(text, tools=[CODE]))


async def fill(folder: Path) -> list[str]:
    """A data folder with two runs that did the same and one that was asked something else; their ids."""
    tool = ScriptedTool("code_interpreter", answering("42"))
    async with house(folder, SCRIPT, tools=[tool]) as home:
        runs = [await _ask(home, text) for text in ("Hi", "Hi", "Ho")]
    return [each.id for each in runs]


@pytest.fixture
def ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs in the data folder that the environment names."""
    monkeypatch.setenv("LOCAL_ASSISTANTS_DATA", str(tmp_path))
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(fill(tmp_path))


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = exit_codes.DONE) -> str:
    """What `runs` prints when it ends with that exit code."""
    assert code == run(["runs", *words])
    return capsys.readouterr().out


def test_runs_are_listed_newest_first(ids: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """As the API's objects with --json, and of one thread or one project if asked."""
    listed: list[dict[str, Any]] = json.loads(said(capsys, "ls", "--json"))
    assert ids[::-1] == [each["id"] for each in listed]
    thread = listed[0]["thread_id"]
    assert [ids[2]] == [
        each["id"] for each in json.loads(said(capsys, "ls", "--json", "--thread", thread))
    ]
    assert [] == json.loads(said(capsys, "ls", "--json", "--project", "nobodys"))


def test_the_list_is_for_people(ids: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """A line a run; that there are more is said on stderr."""
    assert exit_codes.DONE == run(["runs", "ls", "--limit", "1"])
    output = capsys.readouterr()
    assert ids[2] in output.out
    assert "completed" in output.out
    assert ids[0] not in output.out
    assert "There are more" in output.err


def test_a_run_is_a_tree(ids: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """States around turns, turns around steps, steps around calls."""
    lines = [line.strip(" │├└─") for line in said(capsys, "show", ids[0]).splitlines()]
    first = [line.split(",")[0] for line in lines]
    assert [
        ids[0],
        *("thread thread_1", "queued", "in_progress"),
        *("turn 1", lines[5].split(",")[0], "tool_calls", "code_interpreter", "print(6 * 7)"),
        *("turn 2", lines[10].split(",")[0], "message_creation", "[2JIt is [red]42[/]. Really."),
        "completed",
    ] == first
    assert "scripted, 13 tokens" in lines[0]
    assert lines[4].endswith(": tool_calls")
    assert lines[9].endswith(": stop")


def test_hostile_words_do_not_reach_the_terminal(
    ids: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Escapes become spaces, markup stays text, and a text stays in its line."""
    shown = said(capsys, "show", ids[0])
    assert "\x1b" not in shown
    assert "[2JIt is [red]42[/]. Really." in shown


def test_a_run_is_shown_to_programs(ids: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The whole text, not a line of it."""
    shown = json.loads(said(capsys, "show", ids[0], "--json"))
    kinds = [entry["kind"] for entry in shown["timeline"]]
    assert ["state", "state", "turn", "turn", "state"] == kinds
    assert HOSTILE == shown["timeline"][3]["steps"][0]["text"]
    assert ids[0] == shown["run"]["id"]


def test_an_export_counts_itself(ids: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Each record on its line; the last line says how many of each there must be."""
    records = [json.loads(line) for line in said(capsys, "export", ids[0]).splitlines()]
    assert ("run", "end") == (records[0]["type"], records[-1]["type"])
    kinds = [record["type"] for record in records]
    assert {f"{kind}s": kinds.count(kind) for kind in ("turn", "step", "message", "event")} == (
        records[-1]["data"]
    )
    numbers = [record["data"]["seq"] for record in records if record["type"] == "event"]
    assert list(range(1, len(numbers) + 1)) == numbers


def test_runs_that_did_the_same_do_not_differ(
    ids: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 0 says so to scripts."""
    assert "The runs did the same.\n" == said(capsys, "diff", ids[0], ids[1])


def test_a_difference_is_named_and_is_the_exit_code(
    ids: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Another question makes another prompt in both turns, and nothing else here."""
    found = json.loads(said(capsys, "diff", ids[0], ids[2], "--json", code=1))
    assert ["turn 1 > prompt", "turn 2 > prompt"] == [each["place"] for each in found]
    assert "turn 1 > prompt\n  A: " in said(capsys, "diff", ids[0], ids[2], code=1)


@pytest.mark.parametrize("words", [("show",), ("export",), ("diff", "run_1")])
def test_an_unknown_run_is_an_error(
    ids: list[str], words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """It says which run there is not, and prints nothing else."""
    assert exit_codes.NOT_FOUND == run(["runs", *words, "run_0"])
    output = capsys.readouterr()
    assert "run_0" in output.err
    assert "" == output.out
