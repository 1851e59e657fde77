"""The demo itself, with the real 1.5B model: uploads, code, charts, citations, functions, restart."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.model
@pytest.mark.timeout(1800)
def test_the_demo_does_its_job(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The product does its part in every check; what the model got wrong is printed, not asserted."""
    command = [sys.executable, "-m", "local_assistants", "demo", "--model", "1.5b"]
    output = tmp_path / "demo"
    done = subprocess.run(
        [*command, "--output", str(output)], capture_output=True, text=True, check=False
    )
    with capfd.disabled():
        sys.stdout.write(f"\n{done.stdout}\n{done.stderr}\n")

    assert done.returncode == 0, done.stderr
    assert (output / "failures-by-state.png").read_bytes().startswith(b"\x89PNG")
    assert (output / "failures-by-state.xlsx").read_bytes().startswith(b"PK")
