"""Refusals of the sandbox, by Python's words for them: which are known, and which are somebody else's matter."""

import pytest

from local_assistants.tools.code_interpreter.advice import refused
from local_assistants.tools.code_interpreter.isolation.limits import Limits
from local_assistants.tools.code_interpreter.kernels.outputs import Failure

POOL = "File multiprocessing/synchronize.py"


def said(name: str, message: str, traceback: str = "", tier: str = "B") -> str:
    """The hint for an error in a session that has one file."""
    failure = Failure(name, message, traceback)
    return refused.hint(failure, Limits(), tier=tier, files=["plots/a.png", "b.csv"])


@pytest.mark.parametrize(
    ("name", "message", "traceback"),
    [
        ("BlockingIOError", "[Errno 11] Resource temporarily unavailable", "sock.recv(1)"),
        ("PermissionError", "[Errno 13] Permission denied: '/etc/shadow'", "open('/etc/shadow')"),
        ("FileNotFoundError", "[Errno 2] No such file or directory: '/mnt/data/c.csv'", ""),
        ("FileNotFoundError", "[Errno 2] No such file or directory: '/srv/b.csv'", ""),
        ("ValueError", "x", POOL),
    ],
)
def test_other_errors_are_left_to_others(name: str, message: str, traceback: str) -> None:
    """A hint that is beside the point is worse than none."""
    assert "" == said(name, message, traceback)


@pytest.mark.parametrize("path", ["/mnt/data/b.csv", "/mnt/data/plots", "/mnt/data/plots/a.png"])
def test_a_file_that_is_there_is_named_as_it_can_be_opened(path: str) -> None:
    """In tier B a path that was put together does not lead there; elsewhere it does."""
    message = f"[Errno 2] No such file or directory: '{path}'"
    relative = path.removeprefix("/mnt/data/")
    assert said("FileNotFoundError", message).endswith(f"leave it away: {relative!r}")
    assert "" == said("FileNotFoundError", message, tier="A")


def test_gaps_of_a_tier_are_not_told_in_another() -> None:
    """There they mean something else."""
    assert "use a plain loop" in said("PermissionError", "[Errno 13] Permission denied", POOL)
    assert "" == said("PermissionError", "[Errno 13] Permission denied", POOL, tier="A")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("!pip install torch", True),
        ("x = 1\n  %pip install torch", True),
        ("!python3 -m pip install torch", True),
        ("subprocess.run([sys.executable, '-m', 'pip', 'install', 'torch'])", True),
        ("pipe = make_pipeline(a, b)", False),
        ("print('a pipe')", False),
    ],
)
def test_attempts_to_install_are_known(code: str, told: bool) -> None:
    """However they are written."""
    assert told is bool(refused.about_installing(code, ["pandas"]))
