"""The settings of the code interpreter, as one value. Numbers have their meaning beside them in `isolation.limits`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from ...engine.errors import InvalidRequest
from .isolation.bubblewrap import Bubblewrap
from .isolation.limits import Limits
from .isolation.runner import TIERS
from .sessions.sessions import SessionLimits


@dataclass(frozen=True)
class Settings:
    """Where things lie and what is allowed.

    Attributes:
        environment: the folder that `environment.install` filled.
        root: a folder of our own for sessions' files and cached profiles.
        bubblewrap: the bwrap to use; None for the system's or the one that a package carries.
        lowest_tier: the least isolation that will do: "A", "A'" or "B", which is all of them.
        allow_unsandboxed: run code without isolation where there is none. Never a default; logged at each start.
        profiles: describe attached tables to the model.
        hints: say what to write after an error, doubt empty results, make what code takes for granted.
        CHOICES: the words that a setting may have, for whoever takes them from an operator.
    """

    environment: Path
    root: Path
    limits: Limits = field(default_factory=Limits)
    sessions: SessionLimits = field(default_factory=SessionLimits)
    bubblewrap: Bubblewrap | None = None
    lowest_tier: str = TIERS[-1]
    allow_unsandboxed: bool = False
    profiles: bool = True
    hints: bool = True

    CHOICES: ClassVar[Mapping[str, tuple[str, ...]]] = {"lowest_tier": TIERS}

    def __post_init__(self) -> None:
        if self.lowest_tier not in TIERS:
            raise InvalidRequest(
                f"lowest_tier of the code interpreter is one of {', '.join(TIERS)}, not {self.lowest_tier!r}"
            )
