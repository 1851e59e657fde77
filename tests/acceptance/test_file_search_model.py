"""The program of docs/file-search.md with the real 1.5B model: what it cites opens, whether or not it answers well."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from local_assistants import assemble
from tests.support.live_server import LiveServer

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = re.findall(
    r"```python\n(.*?)```", (ROOT / "docs" / "file-search.md").read_text("utf-8"), re.DOTALL
)[0]
REPORT = "ulta-beauty-q4-fiscal-2022.pdf"


@pytest.mark.model
@pytest.mark.timeout(900)
def test_what_a_small_model_cites_opens_at_its_sentence(
    serve_settings: Callable[[assemble.Settings], LiveServer],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Its answer is printed, not asserted; each marker in it is a citation, and each of these has a page."""
    shutil.copy(ROOT / "examples" / "data" / REPORT, tmp_path)
    server = serve_settings(assemble.Settings(model="1.5b", data=tmp_path / "data"))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "BASE": server.address},
        text=True,
        timeout=800,
    )
    with capfd.disabled():
        sys.stdout.write(f"\n{done.stdout}\n{done.stderr}\n")
    said = done.stdout.partition("\n")[2]
    opened = re.findall(rf"^(【\d+:\d+†{re.escape(REPORT)}】) page (\d+) ", said, re.MULTILINE)

    assert 0 == done.returncode, done.stderr
    assert opened
    for marker, page in opened:
        assert said.count(marker) >= 2
        assert 1 <= int(page) <= 9
