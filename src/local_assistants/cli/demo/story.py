"""The order of the demo: server, four chapters, what came of it.

A chapter that breaks off is noted and the next begins. The exit code says whether the product did its part; whether
the model's answers were right is reported beside it and changes nothing (see `ledger`).
"""

import os
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import openai

from local_assistants.cli import exit_codes
from local_assistants.cli.demo import analyst, filing, folders, functions, progress, restart
from local_assistants.cli.demo.ledger import Ledger
from local_assistants.cli.demo.narrator import Narrator
from local_assistants.cli.demo.progress import Progress
from local_assistants.cli.demo.server_process import ServerProcess
from local_assistants.cli.demo.stage import Stage
from local_assistants.engine.errors import ServerFault

_CHAPTERS = {
    "analyst": (
        "1  A table, a chart, a report",
        "The OpenAI client uploads a table of bank failures; an assistant answers by running Python in the sandbox.",
    ),
    "filing": (
        "2  A question about a filing",
        "The Azure client uploads a company's results as PDF; an assistant answers from them and cites its source.",
    ),
    "functions": (
        "3  Two functions at once",
        "The model calls two functions of this program in one turn, and answers from what they return.",
    ),
    "restart": (
        "4  The server is stopped and started again",
        "The conversation of chapter 1 goes on where it was.",
    ),
}


class Story:
    """One telling: keeps the server, the ledger and the progress together."""

    def __init__(self, model: str, places: folders.Folders, narrator: Narrator) -> None:
        self._narrator = narrator
        self._places = places
        self._data = folders.example_data()
        self._ledger = Ledger(narrator)
        self._server = ServerProcess(model, places.server, places.log)
        self._address = ""
        self._model = ""
        self.progress = Progress(model=model)

    def tell(self) -> int:
        """All chapters that are not finished; returns the exit code."""
        with self._server:
            with (
                self._ledger.timed("start the server"),
                self._narrator.waiting("the server starts"),
            ):
                self._address = self._server.start()
            client = openai.OpenAI(base_url=f"{self._address}/v1", api_key="any")
            self._model = client.models.list().data[0].id
            self._narrator.line(f"server at {self._address}, model {self._model}")
            self._chapter("analyst", self._analyst)
            self._chapter("filing", lambda stage: filing.tell(stage))
            self._chapter("functions", lambda stage: functions.tell(stage))
            self._chapter("restart", self._restart_chapter)
        progress.forget(self._places.output)
        return self._conclude()

    def _analyst(self, stage: Stage) -> None:
        self.progress.analysis = analyst.tell(stage)

    def _restart_chapter(self, stage: Stage) -> None:
        if self.progress.analysis is None:
            self._ledger.part(False, "the conversation of chapter 1 goes on", "there is none")
            return
        restart.tell(stage, self.progress.analysis, self._restart)

    def _restart(self) -> str:
        status = self._server.stop()
        self._ledger.part(status == 0, "the server ends when asked to", f"exit status {status}")
        self._address = self._server.start()
        return self._address

    def _chapter(self, name: str, tell: Callable[[Stage], None]) -> None:
        title, summary = _CHAPTERS[name]
        self._narrator.chapter(title, summary)
        done = self.progress.finished.get(name)
        if done is not None:
            self._narrator.line("finished before the interruption")
            self._ledger.adopt(done)
            return
        mark = self._ledger.mark
        if self._survives(tell):
            self.progress.finished[name] = self._ledger.since(mark)
            progress.save(self._places.output, self.progress)

    def _survives(self, tell: Callable[[Stage], None]) -> bool:
        """Run a chapter; False when the server broke it off."""
        stage = Stage(
            narrator=self._narrator,
            ledger=self._ledger,
            address=self._address,
            model=self._model,
            data=self._data,
            output=self._places.output,
        )
        try:
            tell(stage)
        except (openai.OpenAIError, ServerFault) as error:
            self._ledger.part(False, "the chapter comes to its end", str(error))
            if not self._server.running:
                self._narrator.say("note", f"The server has ended. {self._server.last_words()}")
            return False
        return True

    def _conclude(self) -> int:
        self._narrator.chapter("What came of it", "")
        self._narrator.files(self._places.output, self._files())
        self._narrator.durations((step.what, step.seconds) for step in self._ledger.record.steps)
        worked, parts = self._ledger.count("part")
        right, answers = self._ledger.count("answer")
        self._narrator.check(
            worked == parts, f"the product did its part in {worked} of {parts} checks"
        )
        self._narrator.check(
            right == answers, f"the model was right in {right} of {answers} answers"
        )
        for check in self._ledger.wrong("part") + self._ledger.wrong("answer"):
            whose = "model" if check.kind == "answer" else "product"
            self._narrator.line(f"    {whose}, not so: {check.what} ({check.seen})")
        return exit_codes.DONE if worked == parts else exit_codes.CHECK_FAILED

    def _files(self) -> list[tuple[str, str]]:
        known = {
            analyst.CHART_FILE: "the chart that the assistant drew",
            analyst.REPORT_FILE: "the report that it wrote",
            self._places.log.name: "what the server printed",
            self._places.server.name: "the server's store; the next demo clears it",
        }
        return [row for row in known.items() if (self._places.output / row[0]).exists()]


def tell(model: str, output: str, *, resume: bool) -> int:
    """Tell the story with what `local-assistants demo` was given; see `run` of this package."""
    folder = Path(output)
    left = progress.load(folder, model) if resume else None
    places = folders.prepare(folder, keep=left is not None)
    narrator = Narrator()
    story = Story(model, places, narrator)
    if left is not None:
        story.progress = left
    else:
        progress.forget(places.output)
        _clear(places.output)
    try:
        with _loopback_only(), _terminated_like_interrupted():
            return story.tell()
    except KeyboardInterrupt:
        narrator.line("")
        narrator.line(
            "Interrupted. The server is stopped; --resume goes on after the last finished chapter."
        )
        return exit_codes.INTERRUPTED


def _clear(output: Path) -> None:
    """An old chart must not pass for a new one."""
    for name in (analyst.CHART_FILE, analyst.REPORT_FILE):
        (output / name).unlink(missing_ok=True)


@contextmanager
def _loopback_only() -> Generator[None]:
    """Keep the SDK from asking a proxy for the way to this machine."""
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), "127.0.0.1"]))
    yield


@contextmanager
def _terminated_like_interrupted() -> Generator[None]:
    """SIGTERM and SIGHUP end the demo as Ctrl-C does: with the server stopped."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise KeyboardInterrupt

    before = {
        number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
