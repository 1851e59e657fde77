"""Folders that go with their engine: nobody takes one from a living engine, nobody keeps one of a dead engine's."""

import os
import subprocess
import sys
from pathlib import Path

from local_assistants.tools.code_interpreter.isolation.claims import Claim

_HOLD = """
import sys
from pathlib import Path
from local_assistants.tools.code_interpreter.isolation.claims import Claim
claim = Claim(Path(sys.argv[1]), "kernels-")
(claim.path / "1").touch()
print("held", flush=True)
sys.stdin.read()
"""


def names(folder: Path) -> list[str]:
    """What is in a folder."""
    return sorted(path.name for path in folder.iterdir())


def test_a_claim_is_a_private_folder_that_goes_when_it_is_released(tmp_path: Path) -> None:
    """With what is in it."""
    claim = Claim(tmp_path, "kernels-")
    assert claim.holds()
    assert claim.path.name.startswith("kernels-")
    assert 0o700 == claim.path.stat().st_mode & 0o777
    (claim.path / "1").touch()
    claim.release()
    assert [] == names(tmp_path)


def test_two_claims_leave_each_other_alone(tmp_path: Path) -> None:
    """Also those of one process."""
    first, second = Claim(tmp_path, "kernels-"), Claim(tmp_path, "kernels-")
    assert first.holds()
    assert sorted([first.path.name, second.path.name]) == names(tmp_path)


def test_what_a_killed_engine_left_is_removed_by_the_next(tmp_path: Path) -> None:
    """And not before it is dead; folders of other names and links are not looked at."""
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels-link").symlink_to(tmp_path / "kernels")
    command = [sys.executable, "-c", _HOLD, str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env
    ) as engine:
        assert engine.stdout is not None
        engine.stdout.readline()
        Claim(tmp_path, "kernels-").release()
        assert 3 == len(names(tmp_path))
        engine.kill()
    Claim(tmp_path, "kernels-").release()
    assert ["kernels", "kernels-link"] == names(tmp_path)


def test_a_claim_whose_folder_was_swept_away_holds_nothing(tmp_path: Path) -> None:
    """Neither when it is gone nor when another one lies in its place."""
    claim = Claim(tmp_path, "kernels-")
    claim.path.rmdir()
    assert not claim.holds()
    claim.path.mkdir()
    assert not claim.holds()
