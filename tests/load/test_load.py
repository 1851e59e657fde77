"""What a server bears, as `./scripts/bench load` measures it: no error, no event lost, no growth, no slower store."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def measured(*options: str, seconds: int) -> tuple[int, str]:
    """The exit status of the benchmark, 1 when a goal was missed, and what it printed."""
    command = [sys.executable, str(ROOT / "benchmarks" / "load.py"), "--check", *options]
    ended = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False
    )
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.slow
def test_some_streams_and_a_short_queue() -> None:
    """Forty runs streamed at once and a hundred that wait behind others: every event of each is there, in order."""
    status, told = measured(
        "--only", "streams,queue", "--streams", "40", "--queued", "100", seconds=110
    )
    assert 0 == status, told


@pytest.mark.load
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("part", ["streams", "queue", "store", "soak"])
def test_the_whole_load(part: str) -> None:
    """A thousand streams, ten thousand queued runs, a hundred thousand threads, minutes of everything."""
    status, told = measured("--only", part, seconds=1150)
    assert 0 == status, told
