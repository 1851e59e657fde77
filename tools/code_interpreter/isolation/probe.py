"""Finds out whether code can be isolated on this host: runs a program in each kind of sandbox and asks what it reached.

The answer is a report with a sandbox that passed every check, or with why there is none and what mends it. Demands
are never lowered: tier A' hides more than A and not less, and tier B is tried by the same program. Everyone who has
to say how code is isolated here, or why not, says it in the report's words.
"""

import asyncio
import contextlib
import itertools
import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ....engine.errors import SandboxUnavailable
from ..environment import Environment
from .bait import Bait, Check
from .bubblewrap import INSTALL_BUBBLEWRAP, Bubblewrap, Sandbox, find_bubblewrap
from .folders import remove_tree
from .job import Finished, Job
from .landlock import LOST, Landlocked
from .limits import Limits
from .refusal import REPORT, Refusal, refused
from .runner import TIERS, Runner

__all__ = ["Attempt", "Check", "Report", "checks", "find_sandbox", "folder", "program", "survey"]

COVERS = {
    "A": "bubblewrap: own files, network, processes, users; system calls filtered; nothing outlives it",
    "A'": "bubblewrap without /proc: own files, network, processes, users; system calls filtered; nothing outlives it",
    "B": "Landlock: host files unreadable, no network, signals confined; system calls strictly filtered; a guard ends "
    "what code leaves behind",
}
"""What each tier keeps code from, in words."""
LOSES = {"A": "", "A'": "programs that read /proc (ps, top, free)", "B": LOST}
"""What code cannot do there that it can in tier A, or can see."""

_LOG = logging.getLogger(__name__)
_MASKED = "mount proc"  # what bwrap says where a container's runtime hides parts of /proc
_PATIENCE = 20.0  # seconds for a program that takes 0.2
_CHECKS = Path(__file__).parent / "probe_inside.py"


@dataclass(frozen=True)
class Attempt:
    """One tier that was tried.

    Attributes:
        tier: A, A' or B.
        reason: why it cannot be used; "" when it can.
        mend: a command or step that mends that.
        checks: what the self-test found; empty when it could not even be run.
    """

    tier: str
    reason: str = ""
    mend: str = ""
    checks: tuple[Check, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether code can be isolated so."""
        return not self.reason

    @property
    def covers(self) -> str:
        """What this tier keeps code from."""
        return COVERS[self.tier]

    @property
    def loses(self) -> str:
        """What code cannot do here, or can see, other than in tier A; "" for nothing."""
        return LOSES[self.tier]


@dataclass(frozen=True)
class Report:
    """What was tried, best tier first, and the sandbox that is to be used, if any."""

    attempts: tuple[Attempt, ...]
    sandbox: Runner | None = None

    @property
    def tier(self) -> str | None:
        """The tier in use, None when code cannot be isolated here."""
        return None if self.sandbox is None else self.sandbox.tier

    @property
    def problem(self) -> str:
        """Why there is no sandbox; of a lower tier in use, why there is no better one; else ""."""
        return "; ".join(f"tier {each.tier}: {each.reason}" for each in self._better())

    @property
    def mend(self) -> str:
        """What mends the best tier that failed, "" when the best of all is in use."""
        return next((each.mend for each in self._better()), "")

    @property
    def text(self) -> str:
        """The whole in one or two sentences, for logs, errors and people."""
        if self.tier is None:
            return f"no sandbox on this host: {self.problem}. To mend it: {self.mend}"
        text = f"sandbox tier {self.tier} ({COVERS[self.tier]}); every check of the self-test held"
        if self.problem:
            text += f". Not available: {LOSES[self.tier]}. For a better tier ({self.problem}): {self.mend}"
        return text

    def _better(self) -> Iterator[Attempt]:
        """Attempts that failed before one held."""
        return itertools.takewhile(lambda each: not each.passed, self.attempts)


async def survey(
    environment: Environment,
    limits: Limits,
    *,
    bubblewrap: Bubblewrap | None = None,
    root: Path | None = None,
    lowest: str = TIERS[-1],
    every: bool = False,
) -> Report:
    """Try the tiers, best first, up to the one that holds.

    Args:
        environment: the interpreter that is to run.
        limits: what a session may use.
        bubblewrap: the bwrap to use; None for the system's or the one that a package carries.
        root: the engine's folder for sessions, which their programs must be able to reach.
        lowest: the last tier that will do.
        every: go on after a tier that holds, to tell about all of them.
    """
    trial = _Trial(root)

    def bubblewrapped(*, proc: bool) -> Runner:
        return _bubblewrapped(environment, limits, bubblewrap, proc=proc)

    makers: dict[str, Callable[[], Runner]] = {
        "A": lambda: bubblewrapped(proc=True),
        "A'": lambda: bubblewrapped(proc=False),
        "B": lambda: Landlocked(environment, limits, root),
    }
    for tier in TIERS[: TIERS.index(lowest) + 1]:
        needed = trial.chosen is None and (tier != "A'" or _MASKED in trial.attempts[0].reason)
        if needed or every:
            await trial.of(tier, makers[tier])
    return Report(tuple(trial.attempts), trial.chosen)


async def find_sandbox(
    environment: Environment,
    limits: Limits,
    *,
    bubblewrap: Bubblewrap | None = None,
    root: Path | None = None,
    lowest: str = TIERS[-1],
) -> Runner:
    """The best sandbox that passed its self-test; arguments as `survey` has them.

    Raises:
        SandboxUnavailable: none does; the message says why and how to mend it.
    """
    report = await survey(environment, limits, bubblewrap=bubblewrap, root=root, lowest=lowest)
    if report.sandbox is None:
        raise SandboxUnavailable(report.text)
    if report.problem:
        _LOG.warning("code_interpreter: %s", report.text)
    return report.sandbox


async def checks(runner: Runner, root: Path | None = None) -> Sequence[Check]:
    """Every check with its outcome, tried by a program of its own.

    Raises:
        SandboxUnavailable: the program did not run.
    """
    with folder(root) as place:
        data = place / "data"
        await asyncio.to_thread(runner.prepare, data)
        try:
            with Bait(place, data, runner) as bait:
                told = json.dumps(bait.told((bait.held,))).encode()
                job = Job(
                    argv=("/run/probe.py", "/run/told.json"),
                    data=data,
                    files={"/run/probe.py": program(), "/run/told.json": told},
                    descriptors=(bait.held,),
                )
                finished = await runner.run(job, seconds=_PATIENCE)
                return (*bait.checks(_read(finished)), bait.outlived())
        finally:
            await runner.release(data)


def program() -> bytes:
    """The program that reaches for the host; its argument is a file with what it is told, as JSON."""
    return _CHECKS.read_bytes()


class _Trial:
    """What was tried so far, and the first sandbox that held."""

    def __init__(self, root: Path | None) -> None:
        self._root = root
        self.attempts: list[Attempt] = []
        self.chosen: Runner | None = None

    async def of(self, tier: str, make: Callable[[], Runner]) -> None:
        """Try one more."""
        try:
            runner = await asyncio.to_thread(make)
            found = tuple(await checks(runner, self._root))
        except Refusal as refusal:
            self.attempts.append(Attempt(tier, refusal.reason, refusal.mend))
            return
        except (SandboxUnavailable, OSError) as error:
            self.attempts.append(Attempt(tier, str(error), REPORT))
            return
        broken = ", ".join(each.name for each in found if not each.passed)
        reason = f"code inside could {broken}" if broken else ""
        self.attempts.append(Attempt(tier, reason, REPORT if broken else "", found))
        if not broken:
            self.chosen = self.chosen or runner


def _bubblewrapped(
    environment: Environment, limits: Limits, bubblewrap: Bubblewrap | None, *, proc: bool
) -> Runner:
    found = bubblewrap or find_bubblewrap()
    if found is None:
        raise Refusal("bubblewrap is not installed", INSTALL_BUBBLEWRAP)
    return Sandbox(environment, limits, bubblewrap=found, proc=proc)


@contextlib.contextmanager
def folder(root: Path | None) -> Iterator[Path]:
    """A folder where sessions' folders lie, so that what they need is tried: that they can be reached."""
    place = root if root is not None and root.is_dir() else None
    made = Path(tempfile.mkdtemp(prefix="probe-", dir=place))
    try:
        yield made
    finally:
        remove_tree(made)


def _read(finished: Finished) -> dict[str, object]:
    try:
        said: dict[str, object] = json.loads(finished.stdout)
        return dict(said.items())
    except (ValueError, AttributeError):
        raise refused(finished.stderr, finished.returncode) from None
