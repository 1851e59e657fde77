"""The demo's own parts: what it prints, counts, reads and clears. The chapters are tried in tests/acceptance."""

import io
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from rich.console import Console

from local_assistants.cli.demo import folders, made_files, progress, truth
from local_assistants.cli.demo.analyst import Analysis
from local_assistants.cli.demo.ledger import Ledger
from local_assistants.cli.demo.narrator import Narrator, printable
from local_assistants.cli.demo.progress import Progress
from local_assistants.cli.demo.server_process import ServerProcess
from local_assistants.engine.errors import InvalidRequest, ServerFault

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + (640).to_bytes(4) + (480).to_bytes(4)


class Paper:
    """A narrator and what it wrote."""

    def __init__(self) -> None:
        self.file = io.StringIO()
        self.narrator = Narrator(Console(file=self.file, width=200, highlight=False))

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.file.getvalue().splitlines())


def test_fragments_become_blocks_with_their_speaker_in_the_margin() -> None:
    """However the text was cut, lines keep their indentation and only the first names the speaker."""
    paper = Paper()
    for fragment in ("if a", ":\n", "    ", "print(a)", "\n\nb()"):
        paper.narrator.stream("code", fragment)
    paper.narrator.stream("output", "7\n")
    paper.narrator.stream("assistant", "It is 7.")
    paper.narrator.end_block()

    expected = [
        "  code       │ if a:",
        "             │     print(a)",
        "             │",
        "             │ b()",
        "  output     │ 7",
        "  assistant  It is 7.",
    ]
    assert expected == paper.text.splitlines()


def test_what_models_say_cannot_write_over_the_terminal() -> None:
    """Control characters go, other white space becomes a blank; markup is shown as it stands."""
    assert "a[2Jb c\td\ne" == printable("a\x1b[2Jb\u00a0c\td\r\ne\x07")

    paper = Paper()
    paper.narrator.say("assistant", "[red]no[/] \x1b[31mred")
    assert "  assistant  [red]no[/] [31mred" == paper.text


def test_the_ledger_keeps_the_product_and_the_model_apart() -> None:
    """A wrong answer is counted as the model's, a missing part as the product's."""
    ledger = Ledger(Paper().narrator)
    ledger.part(True, "the chart arrives")
    mark = ledger.mark
    ledger.answer(False, "names the state", "truth Georgia")
    ledger.part(False, "the report arrives")

    assert (1, 2) == ledger.count("part")
    assert (0, 1) == ledger.count("answer")
    assert ["names the state"] == [check.what for check in ledger.wrong("answer")]
    assert ["names the state", "the report arrives"] == [c.what for c in ledger.since(mark).checks]


def test_a_step_that_breaks_off_is_timed_too() -> None:
    """Its line stands in the table."""
    ledger = Ledger(Paper().narrator)
    with pytest.raises(ValueError, match="boom"), ledger.timed("ask"):
        raise ValueError("boom")

    assert ["ask"] == [step.what for step in ledger.record.steps]


def test_the_known_truth_is_what_the_file_holds() -> None:
    """The figures that answers are held against are those of the table."""
    counts = truth.failures_by_state(folders.example_data() / truth.BANKS)

    assert [("GA", 93), ("FL", 76), ("IL", 69), ("CA", 43)] == list(counts.items())[:4]
    assert truth.MOST_FAILURES[1:] == ("GA", 93)
    assert truth.SECOND_MOST[1:] == ("FL", 76)
    assert 568 == sum(counts.values())


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("Georgia had the most: 93.", True),
        ("GA, with **93** failures", True),
        ("The state GA has 1,093 failures.", False),
        ("93 banks failed.", False),
        ("GARY failed 93 times.", False),
        ("Georgia: 76", False),
        ("", False),
    ],
)
def test_an_answer_must_name_state_and_count(answer: str, right: bool) -> None:
    """By name or code; numbers are compared as numbers."""
    assert right == truth.names_state(answer, truth.MOST_FAILURES)


def test_numbers_are_read_as_people_write_them() -> None:
    """With commas and decimals; digits inside names are none."""
    assert {722457.0, 149.2, -4.0} == truth.numbers("722,457 shares, 149.2 yen, -4 degrees, Q4, a1")


def test_a_picture_is_known_by_its_head() -> None:
    """Only a PNG has a size."""
    assert (640, 480) == made_files.png_size(PNG)
    assert made_files.png_size(b"<svg/>") is None
    assert made_files.png_size(PNG[:20]) is None


def write_xlsx(path: Path, sheet: str, strings: str = "") -> Path:
    """A workbook of one sheet, as small as the format allows."""
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("[Content_Types].xml", "<Types/>")
        book.writestr("xl/workbook.xml", "<workbook/>")
        book.writestr("xl/worksheets/sheet1.xml", sheet)
        if strings:
            book.writestr("xl/sharedStrings.xml", strings)
    return path


def test_the_values_of_a_workbook_are_read(tmp_path: Path) -> None:
    """Shared strings, inline strings and numbers, whole ones without a fraction."""
    names = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    cells = '<c t="s"><v>1</v></c><c t="inlineStr"><is><t>FL</t></is></c><c><v>93.0</v></c>'
    strings = (
        f'<sst xmlns="{names}"><si><t>State</t></si><si><r><t>G</t></r><r><t>A</t></r></si></sst>'
    )
    path = write_xlsx(
        tmp_path / "a.xlsx", f'<worksheet xmlns="{names}">{cells}</worksheet>', strings
    )

    assert made_files.opens_as_xlsx(path)
    assert {"GA", "FL", "93"} == made_files.xlsx_values(path)


@pytest.mark.parametrize("sheet", ["<worksheet", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'])
def test_a_hostile_workbook_has_no_values(tmp_path: Path, sheet: str) -> None:
    """Broken XML and entities are not read."""
    assert set() == made_files.xlsx_values(write_xlsx(tmp_path / "a.xlsx", sheet))


def test_what_is_no_zip_is_no_workbook(tmp_path: Path) -> None:
    """Whatever it is called."""
    path = tmp_path / "report.xlsx"
    path.write_bytes(b"state,failures\n")

    assert not made_files.opens_as_xlsx(path)
    assert set() == made_files.xlsx_values(path)


def test_the_server_s_folder_is_fresh_unless_kept(tmp_path: Path) -> None:
    """A second demo does not pile up; a resumed one finds everything."""
    places = folders.prepare(tmp_path, keep=False)
    (places.server / "store.db").touch()

    assert (folders.prepare(tmp_path, keep=True).server / "store.db").exists()
    assert not (folders.prepare(tmp_path, keep=False).server / "store.db").exists()


def test_a_folder_that_no_demo_made_is_left_alone(tmp_path: Path) -> None:
    """It is refused, with what to do."""
    (tmp_path / "server-data").mkdir()
    (tmp_path / "server-data" / "mine").touch()

    with pytest.raises(InvalidRequest, match="choose another --output"):
        folders.prepare(tmp_path, keep=False)
    assert (tmp_path / "server-data" / "mine").exists()


def test_progress_is_found_again_for_the_same_model(tmp_path: Path) -> None:
    """Another model, a broken file or none begin anew."""
    analysis = Analysis(assistant_id="asst_1", thread_id="thread_1")
    ledger = Ledger(Paper().narrator)
    ledger.part(True, "it works")
    made = Progress(model="1.5b", finished={"analyst": ledger.record}, analysis=analysis)
    progress.save(tmp_path, made)

    assert made == progress.load(tmp_path, "1.5b")
    assert progress.load(tmp_path, "0.5b") is None
    (tmp_path / "progress.json").write_text("{")
    assert progress.load(tmp_path, "1.5b") is None
    progress.forget(tmp_path)
    assert progress.load(tmp_path, "1.5b") is None


def test_a_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    """Its last words are in the error, and the log is named."""
    server = ServerProcess("scripted:/nowhere.yaml", tmp_path / "data", tmp_path / "server.log")

    with pytest.raises(ServerFault, match=r"nowhere.yaml.*server\.log"):
        server.start()
    assert not server.running


SCRIPT = "turns: [{text: Hello.}]\n"
PARENT = """
import sys
from pathlib import Path
from local_assistants.cli.demo.server_process import ServerProcess
folder = Path(sys.argv[1])
server = ServerProcess(f"scripted:{folder}/script.yaml", folder / "data", folder / "server.log")
server.start()
print(server.pid, flush=True)
sys.stdin.read()
"""


def ends_soon(pid: int) -> bool:
    """Whether a process that is not our child ends within seconds."""
    for _ in range(200):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.1)
    return False


def test_a_demo_that_is_killed_leaves_no_server(tmp_path: Path) -> None:
    """The kernel ends the child when its parent is gone without a word."""
    (tmp_path / "script.yaml").write_text(SCRIPT)
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        child = int(demo.stdout.readline())
        os.kill(child, 0)  # raises if it is not there
        demo.send_signal(signal.SIGKILL)
        demo.wait()
    assert ends_soon(child)
