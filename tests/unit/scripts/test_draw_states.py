"""The diagrams in the documentation are those of the tables."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from local_assistants.engine.states import MACHINES

ROOT = Path(__file__).resolve().parents[3]
FILE = ROOT / "docs" / "run-states.md"


def draw(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script of a checkout."""
    command = [sys.executable, str(root / "scripts" / "draw_states.py"), *arguments]
    environment = {"PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_the_documentation_shows_the_tables() -> None:
    """`scripts/draw-states --check` finds nothing to change."""
    done = draw(ROOT, "--check")

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)


def test_a_difference_is_noticed_and_mended(tmp_path: Path) -> None:
    """--check says what to do and changes nothing; without it the file is written."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "draw_states.py", tmp_path / "scripts")
    copy = tmp_path / "docs" / "run-states.md"
    copy.write_text(FILE.read_text(encoding="utf-8").replace("completed", "finished"))
    changed = copy.read_text()

    checked = draw(tmp_path, "--check")
    assert (1, changed) == (checked.returncode, copy.read_text())
    assert "run scripts/draw-states" in checked.stderr
    assert 0 == draw(tmp_path).returncode
    assert FILE.read_text(encoding="utf-8") == copy.read_text(encoding="utf-8")


def test_every_transition_is_drawn() -> None:
    """One arrow each, and one for every birth and end."""
    arrows = re.findall(r"^    (\S+) --> (\S+?):? ?", FILE.read_text(encoding="utf-8"), re.M)

    assert sum(len(m.table) + 1 + len(m.final) for m in MACHINES) == len(arrows)
