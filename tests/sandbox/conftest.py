"""The real sandbox and the real interpreter; tests that need them fail with the command that provides them."""

import asyncio
import itertools
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from local_assistants import paths
from local_assistants.tools.code_interpreter import environment as environments
from local_assistants.tools.code_interpreter.environment import Environment
from local_assistants.tools.code_interpreter.isolation import probe
from local_assistants.tools.code_interpreter.isolation.bubblewrap import Sandbox
from local_assistants.tools.code_interpreter.isolation.folders import remove_tree
from local_assistants.tools.code_interpreter.isolation.limits import Limits
from local_assistants.tools.code_interpreter.kernels.kernel import Kernel
from local_assistants.tools.code_interpreter.kernels.provisioner import Place
from local_assistants.tools.code_interpreter.sessions.sessions import SessionLimits
from local_assistants.tools.code_interpreter.tool import CodeInterpreter, Settings

from .room import Desk, HandClock

_numbers = itertools.count()


@pytest.fixture(scope="session")
def environment() -> Environment:
    """The interpreter that the set-up installed."""
    found = environments.find(paths.interpreter_root())
    if found is None:
        pytest.fail(
            f"no interpreter in {paths.interpreter_root()}: run local-assistants interpreter install"
        )
    return found


@pytest.fixture
def limits() -> Limits:
    """Limits of the sandbox under test; tests that need others override this fixture."""
    return Limits()


@pytest.fixture(scope="session")
def isolation(environment: Environment) -> Sandbox:
    """A sandbox that passed its self-test; where there is none, the error says what to install."""
    found = asyncio.run(probe.find_sandbox(environment, Limits(), lowest="A'"))
    assert isinstance(found, Sandbox)
    return found


@pytest.fixture
def sandbox(isolation: Sandbox, limits: Limits) -> Sandbox:
    """The same sandbox with the limits of the test."""
    return Sandbox(
        isolation.environment, limits, bubblewrap=isolation.bubblewrap, proc=isolation.proc
    )


@pytest.fixture
def data(sandbox: Sandbox, tmp_path: Path) -> Iterator[Path]:
    """The host folder behind /mnt/data; deleted here, as pytest's own cleaning up fails on folders nested too deep."""
    folder = tmp_path / "session" / "data"
    sandbox.prepare(folder)
    yield folder
    remove_tree(folder)


@pytest.fixture(scope="session")
def sockets() -> Iterator[Path]:
    """A short folder for the kernels' sockets."""
    with tempfile.TemporaryDirectory(prefix="k-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
async def kernel(sandbox: Sandbox, data: Path, sockets: Path) -> AsyncIterator[Kernel]:
    """A kernel in the sandbox, started by its first call."""
    made = Kernel(Place(sandbox, data, sockets / str(next(_numbers))))
    yield made
    await made.close()
    await sandbox.release(data)


@pytest.fixture
def clock() -> HandClock:
    """Time for sessions."""
    return HandClock()


@pytest.fixture
async def desk(
    environment: Environment, limits: Limits, clock: HandClock, tmp_path: Path
) -> AsyncIterator[Desk]:
    """A thread with the tool in front of it, and no kernel but those that are asked for."""
    settings = Settings(
        environment.prefix, tmp_path / "root", limits, sessions=SessionLimits(pool=0)
    )
    tool = CodeInterpreter(settings, clock)
    yield Desk(tool)
    await tool.close()
