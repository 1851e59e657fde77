"""`scripts/bench model` measures; here only that its parts still fit the model room and the peers, on a toy."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.toy_gguf import write_random_model

ROOT = Path(__file__).resolve().parents[3]
PARTS = "limits,overhead,decode,prefill,streams,turns,history,grammar,parked,admission,choice"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The benchmarks by themselves, so that no figures of this machine are overwritten."""
    names = shutil.ignore_patterns("results", "__pycache__")
    shutil.copytree(ROOT / "benchmarks", tmp_path / "benchmarks", ignore=names)
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    return tmp_path


def bench(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the benchmark."""
    command = [sys.executable, str(checkout / "benchmarks" / "model.py"), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_part_is_measured_and_told(checkout: Path, tmp_path: Path) -> None:
    """A quick run on a toy gives rows and goals of all parts; a toy misses some, which --check makes an error."""
    toy = write_random_model(tmp_path / "toy.gguf")

    done = bench(checkout, "--model", str(toy), "--threads", "1", "--quick", "--check")

    figures = json.loads((checkout / "benchmarks" / "results" / "model-quick.json").read_text())
    rounds = figures["notes"]["rounds"]["toy"]
    assert set(PARTS.split(",")) == {part_of(name) for name in rounds}
    assert figures["goals"]
    assert (1, "missed: ") == (done.returncode, done.stderr.splitlines()[-1][:8])


def part_of(figure: str) -> str:
    """The part that a figure is of, by its first word."""
    word = figure.split()[0]
    return {"limit": "limits", "step": "overhead", "gap": "admission"}.get(word, word)


def test_a_part_that_is_not_there_is_refused(checkout: Path) -> None:
    """The message names all that there are."""
    done = bench(checkout, "--only", "speed")

    assert (2, True) == (done.returncode, "there is no speed; there are limits" in done.stderr)
