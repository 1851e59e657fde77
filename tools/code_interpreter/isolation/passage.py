"""Folders that keep a sandbox's user from what it needs, where a root engine gives sandboxes users of their own.

Looks at modes only: rights that are given otherwise are not seen, so it explains a failure and foretells none.
"""

import stat
from collections.abc import Iterator
from pathlib import Path

from ..environment import Environment
from .refusal import ORDINARY_USER, Refusal

_ELSEWHERE = (
    "move these elsewhere (PYTHON=/usr/bin/python3 LOCAL_ASSISTANTS_CACHE=/var/cache/local-assistants ./scripts/setup "
    "with a fresh .venv, then LOCAL_ASSISTANTS_CACHE=/var/cache/local-assistants local-assistants serve "
    "--data /var/lib/local-assistants)"
)


def explained(refusal: Refusal, environment: Environment, root: Path | None) -> Refusal:
    """A root engine's refusal with the folders that are in the way, where it complains of missing rights.

    Args:
        refusal: what the system said.
        environment: the interpreter that was to run.
        root: the engine's folder for sessions.
    """
    obstacles = dict(_obstacles(environment, root))
    if "Permission denied" not in refusal.reason or not obstacles:
        return refusal
    told = "; ".join(f"{folder} on the way to {what}" for what, folder in obstacles.items())
    blocked = " ".join(dict.fromkeys(str(folder) for folder in obstacles.values()))
    return Refusal(
        f"the engine is root, its sandboxes belong to other users, and these cannot pass {told}",
        f"let them pass (chmod o+x {blocked}), or {_ELSEWHERE}, or {ORDINARY_USER}",
    )


def _obstacles(environment: Environment, root: Path | None) -> Iterator[tuple[str, Path]]:
    """What is needed, in words, and the folder that is in the way there."""
    needed = {
        f"the interpreter {environment.prefix}": environment.prefix,
        f"the interpreter's Python {environment.base}": environment.base,
    }
    if root is not None:
        # Root itself is opened for sandboxes' users.
        needed[f"the sessions' folder {root}"] = root.parent
    for what, path in needed.items():
        folder = _impassable(path.absolute())
        if folder is not None:
            yield what, folder


def _impassable(path: Path) -> Path | None:
    """The topmost folder on the way to `path` that strangers may not pass; what does not exist yet blocks nobody."""
    ways = (way for way in (*reversed(path.parents), path) if way.exists())
    return next((way for way in ways if not way.stat().st_mode & stat.S_IXOTH), None)
