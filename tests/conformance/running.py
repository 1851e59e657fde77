"""The clients, how each is started in its environment, and what it reports. Knows no client library."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.clients.operations import operation_of
from tests.conformance.clients.reporting import Result

STRANGER = "stranger"
HERE = Path(__file__).resolve().parent
WAYS = ("sync", "async", "Azure", "Azure async, deployment", "Azure v1")


@dataclass(frozen=True)
class Client:
    """One library at one version.

    Attributes:
        title: how the page calls it.
        requirement: what its environment is made of, exactly.
        module: what drives it; "" for the Node one.
        ways: arguments with which that is called in turn.
    """

    title: str
    requirement: str
    module: str
    ways: tuple[str, ...] = ("",)

    @property
    def version(self) -> str:
        """The version that the requirement pins."""
        return self.requirement.replace("@", "==").rpartition("==")[2]

    @property
    def folder(self) -> str:
        """A name for its environment."""
        return self.requirement.replace("==", "-") if self.module else f"node-{self.requirement}"


def clients(pinned_openai: str) -> tuple[Client, ...]:
    """All of them; the youngest SDK is the one that constraints.txt pins."""
    return (
        Client("openai 1", "openai==1.109.1", "clients.run_openai", WAYS),
        Client("openai 2", "openai==2.54.0", "clients.run_openai", WAYS),
        Client("openai 3", f"openai=={pinned_openai}", "clients.run_openai", WAYS),
        Client("azure-ai-agents", "azure-ai-agents==1.1.0", "clients.azure_agents"),
        Client("openai for Node", "openai@6.49.0", "", ("OpenAI", "AzureOpenAI")),
    )


def python_command(python: Path | str, module: str, way: str) -> list[str]:
    """How a Python client is started."""
    return [str(python), "-P", "-W", "ignore", "-m", module, *([way] if way else [])]


def node_command(way: str) -> list[str]:
    """How the Node client is started; it finds the package through NODE_MODULES."""
    return ["node", str(HERE / "node" / "run.mjs"), way]


def drive(
    command: Sequence[str],
    addresses: Sequence[str],
    *,
    seconds: float,
    variables: Mapping[str, str],
) -> list[Result]:
    """Run a client to its end.

    Raises:
        RuntimeError: it ended with an error; says what it wrote last.
        subprocess.TimeoutExpired: it took longer than `seconds`.
    """
    environment = {**os.environ, "PYTHONPATH": str(HERE), "NO_PROXY": "*", **variables}
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
    return [_result(json.loads(line)) for line in done.stdout.splitlines()]


def keys_for(project: str, keys: Mapping[str, str]) -> dict[str, str]:
    """The variables that give a client the key to its project, and one to a stranger's."""
    return {"CONFORMANCE_KEY": keys[project], "STRANGERS_KEY": keys[STRANGER]}


def _result(fields: dict[str, object]) -> Result:
    result = Result(**fields)  # type: ignore[arg-type]
    named = {_operation_name(raw) for raw in result.operations}
    result.operations = sorted(name for name in named if name)
    return result


def _operation_name(raw: str) -> str:
    """The operation's name for what a client wrote down: that name, or a method and a real path."""
    method, _, path = raw.partition(" ")
    operation = operation_of(method, path)
    return operation.name if operation else ""
