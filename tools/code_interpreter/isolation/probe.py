"""Finds out whether code can be isolated on this host: runs a program in each kind of sandbox and asks what it reached.

The answer is a report with a sandbox that passed every check, or with why there is none and what mends it. Demands
are never lowered: tier A' hides more than A and not less, and tier B is tried by the same program. Everyone who has
to say how code is isolated here, or why not, says it in the report's words.
"""

import asyncio
import contextlib
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ....engine.errors import SandboxUnavailable
from ..environment import Environment
from . import cgroups
from .bait import Bait, Check
from .bubblewrap import INSTALL_BUBBLEWRAP, Bubblewrap, Sandbox, find_bubblewrap
from .folders import remove_tree
from .job import Finished, Job
from .landlock import Landlocked
from .limits import Limits
from .passage import explained
from .refusal import ANOTHER_FOLDER, REPORT, Refusal, refused
from .report import Attempt, Report
from .runner import TIERS, Runner

_BY_LOOKING = "memory and processes by looking at them four times a second: no cgroups can be made"
_LOG = logging.getLogger(__name__)
_MASKED = "mount proc"  # what bwrap says where a container's runtime hides parts of /proc
_PATIENCE = 20.0  # seconds for a program that takes 0.2
_CHECKS = Path(__file__).parent / "probe_inside.py"


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
    trial = _Trial(environment, root)
    allowed = TIERS[: TIERS.index(lowest) + 1]

    def bubblewrapped(*, proc: bool) -> Runner:
        return _bubblewrapped(environment, limits, bubblewrap, proc=proc)

    makers: dict[str, Callable[[], Runner]] = {
        "A": lambda: bubblewrapped(proc=True),
        "A'": lambda: bubblewrapped(proc=False),
        "B": lambda: Landlocked(environment, limits, root),
    }
    for tier in TIERS:
        needed = trial.chosen is None and (tier != "A'" or _MASKED in trial.attempts[0].reason)
        if needed or every:
            await trial.of(tier, makers[tier], excluded=tier not in allowed)
    bounds = await asyncio.to_thread(_bounds, limits)
    return Report(tuple(trial.attempts), trial.chosen, bounds)


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
    """What was tried so far, and the first sandbox that held and may be used."""

    def __init__(self, environment: Environment, root: Path | None) -> None:
        self._environment = environment
        self._root = root
        self.attempts: list[Attempt] = []
        self.chosen: Runner | None = None

    async def of(self, tier: str, make: Callable[[], Runner], *, excluded: bool = False) -> None:
        """Try one more; one that is excluded is tried to tell about it, never to be used."""
        try:
            runner = await asyncio.to_thread(make)
            found = tuple(await checks(runner, self._root))
        except Refusal as refusal:
            own = os.geteuid() != 0
            told = refusal if own else explained(refusal, self._environment, self._root)
            self.attempts.append(Attempt(tier, told.reason, told.mend, excluded=excluded))
            return
        except (SandboxUnavailable, OSError) as error:
            self.attempts.append(Attempt(tier, str(error), REPORT, excluded=excluded))
            return
        broken = ", ".join(each.name for each in found if not each.passed)
        reason = f"code inside could {broken}" if broken else ""
        self.attempts.append(Attempt(tier, reason, REPORT if broken else "", found, excluded))
        if not broken and not excluded:
            self.chosen = self.chosen or runner


def _bounds(limits: Limits) -> str:
    place = cgroups.found() if limits.cgroups else None
    return _BY_LOOKING if place is None else f"{place.text}, exactly"


def _bubblewrapped(
    environment: Environment, limits: Limits, bubblewrap: Bubblewrap | None, *, proc: bool
) -> Runner:
    found = bubblewrap or find_bubblewrap()
    if found is None:
        raise Refusal("bubblewrap is not installed", INSTALL_BUBBLEWRAP)
    return Sandbox(environment, limits, bubblewrap=found, proc=proc)


@contextlib.contextmanager
def folder(root: Path | None) -> Iterator[Path]:
    """A folder where sessions' folders lie, so that what they need is tried: that they can be reached.

    Args:
        root: the engine's folder for sessions. Where it is missing it is made as the engine would make it, for the
            time of the trial. None: anywhere.

    Raises:
        Refusal: it cannot be made.
    """
    missing = [] if root is None else [each for each in (root, *root.parents) if not each.exists()]
    try:
        if root is not None:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix="probe-", dir=root))
    except OSError as error:
        _LOG.warning("the folder for sessions cannot be made: %s", error)
        reason = f"the folder for sessions cannot be made: {error.strerror}"
        raise Refusal(reason, ANOTHER_FOLDER) from error
    try:
        yield made
    finally:
        remove_tree(made)
        with contextlib.suppress(OSError):  # somebody put something there meanwhile
            for each in missing:
                each.rmdir()


def _read(finished: Finished) -> dict[str, object]:
    try:
        said: dict[str, object] = json.loads(finished.stdout)
        return dict(said.items())
    except (ValueError, AttributeError):
        raise refused(finished.stderr, finished.returncode) from None
