"""Starts a client in its environment and reads what it reports. Knows no client library."""

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.clients.reporting import Result

HERE = Path(__file__).resolve().parent
OPENAI = "clients.run_openai"
AGENTS = "clients.run_agents"
WAYS = ("sync", "async", "Azure", "Azure async, deployment", "Azure v1")


@dataclass(frozen=True)
class Client:
    """One library at one version.

    Attributes:
        name: the package.
        version: exactly this one; "" for the one that constraints.txt pins.
        module: what drives it; "" for the Node one.
        ways: the arguments with which that is called, one after the other.
    """

    name: str
    version: str
    module: str
    ways: tuple[str, ...] = ("",)


CLIENTS = (
    Client("openai", "1.109.1", OPENAI, WAYS),
    Client("openai", "2.54.0", OPENAI, WAYS),
    Client("openai", "", OPENAI, WAYS),
)


def drive(command: Sequence[str], addresses: Sequence[str], *, seconds: float) -> list[Result]:
    """Run a client to its end; raises when it breaks off.

    Raises:
        RuntimeError: it ended with an error; says what it wrote last.
        subprocess.TimeoutExpired: it took longer than `seconds`.
    """
    environment = {**os.environ, "PYTHONPATH": str(HERE), "NO_PROXY": "*"}
    done = subprocess.run(
        [*command, *addresses],
        cwd=HERE,
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} broke off: {done.stderr[-2000:]}")
    return [Result(**json.loads(line)) for line in done.stdout.splitlines()]


def python_command(python: Path | str, client: Client, way: str) -> list[str]:
    """How a Python client is started."""
    return [str(python), "-P", "-W", "ignore", "-m", client.module, *([way] if way else [])]
