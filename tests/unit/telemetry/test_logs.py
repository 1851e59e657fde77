"""What log lines look like, what they belong to, and that nobody can forge one."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local_assistants.engine.clock import SystemClock
from local_assistants.engine.log_context import ids_at_hand, working_on
from local_assistants.telemetry.logs import OURS, LogFormat, LogLevel, write_logs
from local_assistants.telemetry.run_lines import RunLines
from tests.support.engine import CODE, ScriptedTool, answering, calls, house
from tests.support.tools import broken

LOG = logging.getLogger("local_assistants.test")


class Log:
    """What is written from now on."""

    def __init__(self, style: LogFormat, level: LogLevel = LogLevel.INFO) -> None:
        self._out = io.StringIO()
        write_logs(style, level, self._out)

    @property
    def text(self) -> str:
        """All of it."""
        return self._out.getvalue()

    @property
    def lines(self) -> list[str]:
        """One by one."""
        return self.text.splitlines()

    @property
    def objects(self) -> list[dict[str, Any]]:
        """Of a log in JSON."""
        return [json.loads(line) for line in self.lines]


@pytest.fixture(autouse=True)
def undone() -> Iterator[None]:
    """The loggers are afterwards as they were."""
    root, ours = logging.getLogger(), logging.getLogger(OURS)
    handlers, levels = list(root.handlers), (root.level, ours.level)
    yield
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


def test_a_line_of_json_has_its_ids_and_fields() -> None:
    """Beside time, level, logger and message."""
    log = Log(LogFormat.JSON)
    with working_on(run_id="run_1", thread_id="thread_1"):
        LOG.info("said %d", 7, extra={"fields": {"seconds": 0.5}})
    (line,) = log.objects
    assert line.pop("time").endswith("Z")
    assert {
        "level": "info",
        "logger": "local_assistants.test",
        "message": "said 7",
        "run_id": "run_1",
        "thread_id": "thread_1",
        "seconds": 0.5,
    } == line


def test_a_line_of_text_names_them_behind_the_message() -> None:
    """Only those there are."""
    log = Log(LogFormat.TEXT)
    with working_on(run_id="run_1"):
        LOG.warning("said")
    LOG.warning("said")
    assert [
        "WARNING local_assistants.test: said (run_id=run_1)",
        "WARNING local_assistants.test: said",
    ] == [line.partition(" ")[2] for line in log.lines]


@pytest.mark.parametrize("style", LogFormat)
def test_what_others_wrote_begins_no_line(style: LogFormat) -> None:
    """Neither in a message nor in the words of an error; a terminal's commands are shown, not obeyed."""
    log, forged = Log(style), "x\n2026 ERROR local_assistants: forged\r\u2028\x1b[2J"
    LOG.warning("client said %s", forged)
    try:
        raise ValueError(forged)
    except ValueError:
        LOG.exception("failed: %s", forged)
    assert [] == [line for line in log.lines if line.startswith("2026 ERROR")]
    assert "\x1b" not in log.text
    if style is LogFormat.JSON:
        assert 2 == len(log.objects)


def test_an_error_is_an_object_of_its_own() -> None:
    """Type, words, and the stack on the same line."""
    log = Log(LogFormat.JSON)
    try:
        raise ValueError("no good")
    except ValueError:
        LOG.exception("failed")
    error = log.objects[0]["error"]
    assert ("ValueError", "no good") == (error["type"], error["message"])
    assert error["stack"].startswith("Traceback")


def test_the_level_is_ours_alone() -> None:
    """Of other packages, warnings and what is graver are written."""
    log = Log(LogFormat.TEXT, LogLevel.DEBUG)
    LOG.debug("ours")
    logging.getLogger("somebody.else").info("theirs")
    logging.getLogger("somebody.else").warning("grave")
    assert ["ours", "grave"] == [line.rpartition(": ")[2] for line in log.lines]


async def test_what_outlives_the_work_does_not_speak_in_its_name() -> None:
    """A task begun by it carries its ids only until it is over."""
    seen: list[dict[str, str]] = []
    over = asyncio.Event()

    async def outlive() -> None:
        seen.append(dict(ids_at_hand()))
        await over.wait()
        seen.append(dict(ids_at_hand()))

    with working_on(run_id="run_1"):
        task = asyncio.create_task(outlive())
        await asyncio.sleep(0)
    over.set()
    await task
    assert [{"run_id": "run_1"}, {}] == seen


def test_work_within_work_belongs_to_both() -> None:
    """Until the inner one is over."""
    with working_on(request_id="req_1"):
        with working_on(run_id="run_1"):
            inner = dict(ids_at_hand())
        outer = dict(ids_at_hand())
    assert ({"request_id": "req_1", "run_id": "run_1"}, {"request_id": "req_1"}) == (inner, outer)


async def test_runs_side_by_side_have_lines_of_their_own(tmp_path: Path) -> None:
    """Begun, a turn, ended: each with the ids of its run and of that run's thread."""
    log = Log(LogFormat.JSON)
    turns = ({"text": "one two three", "delay": 0.01},)
    async with house(tmp_path, turns, clock=SystemClock()) as made:
        made.core.feed.observers.append(RunLines())
        runs = [await made.ask() for _ in range(5)]
        for run in runs:
            await made.finish(run)
    for run in runs:
        lines = [line for line in log.objects if line.get("run_id") == run.id]
        told = [line["message"].partition(":")[0] for line in lines]
        assert ["run begun", "model turn ended", "run ended"] == told
        assert {run.thread_id} == {line["thread_id"] for line in lines}
        assert ("completed", "stop") == (lines[-1]["status"], lines[1]["finish_reason"])


async def test_a_warning_of_the_engine_carries_its_run(tmp_path: Path) -> None:
    """Though whoever wrote it said nothing of it."""
    log = Log(LogFormat.JSON, LogLevel.WARNING)
    tool = ScriptedTool("code_interpreter", broken)
    async with house(tmp_path, (calls("code_interpreter", {}),), tools=[tool]) as made:
        run = await made.finish(await made.ask(tools=[CODE]))
    (line,) = log.objects
    assert (run.id, run.thread_id) == (line["run_id"], line["thread_id"])
    assert f"run {run.id} failed: The sandbox cannot be started." == line["message"]


async def test_lines_of_runs_say_nothing_that_was_said(tmp_path: Path) -> None:
    """Neither the question, nor the answer, nor what a tool was asked."""
    log = Log(LogFormat.JSON, LogLevel.DEBUG)
    turns = (calls("code_interpreter", {"code": "secret"}), {"text": "secret"})
    tool = ScriptedTool("code_interpreter", answering("secret"))
    async with house(tmp_path, turns, tools=[tool]) as made:
        made.core.feed.observers.append(RunLines())
        await made.finish(await made.ask("secret", tools=[CODE]))
    messages = [line["message"].partition(":")[0] for line in log.objects]
    assert "tool call ended" in messages
    assert "secret" not in log.text
