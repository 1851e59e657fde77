"""The settings of the code interpreter, as one value. Numbers have their meaning beside them in `isolation.limits`."""

from dataclasses import dataclass, field
from pathlib import Path

from .isolation.bubblewrap import Bubblewrap
from .isolation.limits import Limits
from .sessions.sessions import SessionLimits


@dataclass(frozen=True)
class Settings:
    """Where things lie and what is allowed.

    Attributes:
        environment: the folder that `environment.install` filled.
        root: a folder of our own for sessions' files and cached profiles.
        bubblewrap: the bwrap to use; None for the system's or the one that a package carries.
        allow_unsandboxed: run code without isolation where there is none. Never a default; logged at each start.
        profiles: describe attached tables to the model.
        hints: say what to write after an error.
    """

    environment: Path
    root: Path
    limits: Limits = field(default_factory=Limits)
    sessions: SessionLimits = field(default_factory=SessionLimits)
    bubblewrap: Bubblewrap | None = None
    allow_unsandboxed: bool = False
    profiles: bool = True
    hints: bool = True
