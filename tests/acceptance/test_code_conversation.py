"""Ten runs on one thread over HTTP: what the code room keeps, what it loses, and that it says so.

The story is told once; the tests ask what came of it.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from local_assistants import assemble
from local_assistants.tools.code_interpreter.isolation.limits import Limits
from tests.support.conversation import RUN_THE_USER, Answer, Conversation
from tests.support.live_server import LiveServer, playing

pytestmark = pytest.mark.slow

STORY = {
    "begin": "state = {'runs': 1}\nprint('begun')",
    "count": "state['runs'] += 1\nprint(state['runs'])",
    "table": (
        "import pandas as pd\ntable = pd.DataFrame({'city': ['Bonn', 'Köln'], 'n': [3, 4]})\n"
        "table.to_csv('cities.csv', index=False)\nprint(len(table))"
    ),
    "chart": "import matplotlib.pyplot as plt\nplt.bar(table['city'], table['n'])\nplt.show()",
    "mistake": "table['nn'].sum()",
    "mended": "print(table['n'].sum(), state['runs'])",
    "crash": "import os\nopen('last.txt', 'w').write('words')\nos._exit(7)",
    "lost": "state",
    # The server is stopped here and another one started on its data.
    "restarted": (
        "import os, pandas as pd\nprint(sorted(os.listdir()), 'state' in globals())\n"
        "table = pd.read_csv('cities.csv')\ntable.loc[len(table)] = ['Trier', 5]\n"
        "table.to_csv('cities.csv', index=False)"
    ),
    "report": (
        "table.to_excel('cities.xlsx', index=False)\n"
        "print('See [it](sandbox:/mnt/data/cities.xlsx), made from sandbox:/mnt/data/cities.csv')"
    ),
}


@dataclass
class Told:
    """The answers by the names of the story, and the thread for questions afterwards."""

    talk: Conversation
    answers: dict[str, Answer] = field(default_factory=dict[str, Answer])

    def logs(self, name: str) -> str:
        """What the code of a run printed."""
        return self.answers[name].logs

    def read(self, name: str) -> str:
        """What the model read of it, which its answer repeats."""
        value: str = self.answers[name].text["value"]
        return value


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """The story, told to its end."""
    settings = playing(RUN_THE_USER, tmp_path_factory.mktemp("conversation"))
    server = LiveServer(settings)
    with Conversation(server.start()) as talk:
        story = Told(talk)
        for name, code in STORY.items():
            if name == "restarted":
                server.stop()
                server = LiveServer(settings)
                talk.move(server.start())
            story.answers[name] = talk.say(code)
        yield story
        server.stop()


def test_all_ten_runs_are_completed(told: Told) -> None:
    """Whatever became of their code, each with a tool step and an answer."""
    assert ["completed"] * 10 == [answer.run["status"] for answer in told.answers.values()]
    kinds = [
        [(step["type"], step["status"]) for step in answer.steps]
        for answer in told.answers.values()
    ]
    assert [[("tool_calls", "completed"), ("message_creation", "completed")]] * 10 == kinds


def test_variables_live_from_run_to_run(told: Told) -> None:
    """Also across an error."""
    assert "2\n" == told.logs("count")
    assert "7 2\n" == told.logs("mended")


def test_a_file_is_linked_in_the_answer_of_its_run(told: Told) -> None:
    """Although the model forgot to."""
    file_id = told.answers["table"].files["cities.csv"]
    assert "city,n\nBonn,3\nKöln,4\n" == told.talk.download(file_id).decode()


def test_the_chart_is_in_its_message(told: Told) -> None:
    """From the table of the run before."""
    (picture,) = told.answers["chart"].pictures
    assert told.talk.download(picture).startswith(b"\x89PNG")


def test_an_error_reaches_the_model_with_a_hint(told: Told) -> None:
    """The traceback is for the logs, the model reads what it was and which column there is."""
    assert "KeyError" in told.logs("mistake")
    assert re.search(r"KeyError: 'nn'\n.*\nHint: .*'n'", told.read("mistake"))


def test_a_kernel_that_dies_is_replaced_and_the_model_told(told: Told) -> None:
    """What was lost, what was kept, and why."""
    assert "The interpreter was restarted (its process ended: exit code 7)" in told.read("crash")
    assert "Variables and imports are gone; files in /mnt/data are kept" in told.read("crash")
    assert b"words" == told.talk.download(told.answers["crash"].files["last.txt"])
    assert "NameError" in told.read("lost")


def test_files_outlive_kernel_and_server(told: Told) -> None:
    """The next server's session finds them; variables are new."""
    assert "['cities.csv', 'last.txt'] False\n" == told.logs("restarted")
    changed = told.answers["restarted"].files["cities.csv"]
    assert told.talk.download(changed).decode().endswith("Köln,4\nTrier,5\n")


def test_a_link_to_a_file_of_an_earlier_run_leads_to_its_latest_bytes(told: Told) -> None:
    """The report's run made the workbook only."""
    report = told.answers["report"]
    assert {"cities.xlsx", "cities.csv"} == set(report.files)
    assert told.answers["restarted"].files["cities.csv"] == report.files["cities.csv"]
    assert told.talk.download(report.files["cities.xlsx"]).startswith(b"PK")


def test_every_version_of_a_file_stays(told: Told) -> None:
    """What was downloaded once can be downloaded again after all that happened since."""
    first = told.answers["table"].files["cities.csv"]
    assert first != told.answers["restarted"].files["cities.csv"]
    assert told.talk.download(first).decode().endswith("Köln,4\n")


def test_the_operator_says_how_often_code_may_fail(
    serve_settings: Callable[[assemble.Settings], LiveServer], tmp_path: Path
) -> None:
    """After that no code is run, and the model answers with what it has."""
    fails = {"tool_calls": [{"name": "code_interpreter", "arguments": {"code": "1 / 0"}}]}
    writes = {"tool_calls": [{"name": "code_interpreter", "arguments": {"code": "print('ran')"}}]}
    settings = playing([fails, writes, {"text": "{{tool}}"}], tmp_path)
    limits = {"limits": Limits(failed_calls=1)}
    server = serve_settings(replace(settings, code_interpreter=limits))
    with Conversation(server.address) as talk:
        answer = talk.say("Divide.")

    assert "completed" == answer.run["status"]
    assert answer.text["value"].startswith("Not run: code has failed too often in this run.")
    assert "ran" not in answer.logs
