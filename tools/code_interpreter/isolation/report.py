"""What was found out about isolation on this host, and the words for it, which are the same wherever it is told."""

from collections.abc import Iterator
from dataclasses import dataclass

from .bait import Check
from .landlock import LOST
from .runner import Runner

COVERS = {
    "A": "bubblewrap: own files, network, processes, users; system calls filtered; nothing outlives it",
    "A'": "bubblewrap without /proc: own files, network, processes, users; system calls filtered; nothing outlives it",
    "B": "Landlock: host files unreadable, no network, signals confined; system calls strictly filtered; a guard ends "
    "what code leaves behind",
}
"""What each tier keeps code from, in words."""
LOSES = {"A": "", "A'": "programs that read /proc (ps, top, free)", "B": LOST}
"""What code cannot do there that it can in tier A, or can see."""

_EXCLUDED = "it would do, but lowest_tier in the settings file excludes it"
_ADMIT = 'set lowest_tier = "{}" in the settings file, if that much isolation will do'


@dataclass(frozen=True)
class Attempt:
    """One tier that was tried.

    Attributes:
        tier: A, A' or B.
        reason: why it cannot be used; "" when it can.
        mend: a command or step that mends that.
        checks: what the self-test found; empty when it could not even be run.
        excluded: whether the settings rule it out, be it as it may.
    """

    tier: str
    reason: str = ""
    mend: str = ""
    checks: tuple[Check, ...] = ()
    excluded: bool = False

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
    """What was tried, best tier first, and the sandbox that is to be used, if any.

    Attributes:
        bounds: what keeps memory and processes within their limits, in words; "" where that was not looked at.
    """

    attempts: tuple[Attempt, ...]
    sandbox: Runner | None = None
    bounds: str = ""

    @property
    def tier(self) -> str | None:
        """The tier in use, None when code cannot be isolated here."""
        return None if self.sandbox is None else self.sandbox.tier

    @property
    def problem(self) -> str:
        """Why there is no sandbox; of a lower tier in use, why there is no better one; else ""."""
        told: dict[str, list[str]] = {}
        for each in self._better():
            told.setdefault(each.reason or _EXCLUDED, []).append(each.tier)
        return "; ".join(f"tier {' and '.join(tiers)}: {why}" for why, tiers in told.items())

    @property
    def mend(self) -> str:
        """What mends that: each way there is, the best tier's first; "" when the best of all is in use."""
        ways = (each.mend or _ADMIT.format(each.tier) for each in self._better())
        return "; or: ".join(dict.fromkeys(ways))

    @property
    def verdict(self) -> str:
        """How code is isolated, or that it is not, in a few words."""
        if self.tier is None:
            return "no sandbox on this host"
        return f"sandbox tier {self.tier}: every check of the self-test held"

    @property
    def details(self) -> dict[str, str]:
        """What is to be said beside the verdict, by what it is about."""
        if self.tier is None:
            return {"Why": self.problem, "To mend it": self.mend}
        found = {"It covers": COVERS[self.tier]}
        if self.bounds:
            found["Limits"] = self.bounds
        if self.problem:
            found["Not available"] = LOSES[self.tier]
            found[f"For a better tier ({self.problem})"] = self.mend
        return found

    @property
    def text(self) -> str:
        """The whole in a few sentences, for logs, errors and people."""
        if self.tier is None:
            return f"{self.verdict}: {self.problem}. To mend it: {self.mend}"
        return ". ".join((self.verdict, *(f"{key}: {text}" for key, text in self.details.items())))

    def _better(self) -> Iterator[Attempt]:
        """What might be in use and is not: tiers above the one that is, all when none is."""
        for each in self.attempts:
            if each.tier == self.tier:
                return
            # Of those that the settings exclude, only one that would do is worth a word.
            if each.passed == each.excluded:
                yield each
