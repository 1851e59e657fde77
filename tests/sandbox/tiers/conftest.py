"""One engine a row, opened once; rows that the machine cannot offer are named at the end of the run."""

import functools
import sys
from collections.abc import Iterator

import pytest

from local_assistants import paths
from local_assistants.tools.code_interpreter import environment as environments
from local_assistants.tools.code_interpreter.environment import Environment

from .rows import PROBED_OFTEN, ROWS, Engine, Row, often, why_not

_missing: dict[str, str] = {}


@functools.cache
def _offered() -> tuple[Row, ...]:
    """The rows of this machine. Without an interpreter all of them: then each test names what installs it."""
    environment = environments.find(paths.interpreter_root())
    if environment is not None:
        for row in ROWS:
            reason = why_not(row, environment)
            if reason is not None:
                _missing[row.name] = reason
    return tuple(row for row in ROWS if row.name not in _missing)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that asks for an engine runs on every row that this machine offers; on some only when asked to."""
    if "row" in metafunc.fixturenames:
        names = vars(sys.modules[metafunc.function.__module__]).get("OFTEN", PROBED_OFTEN)
        chosen = often(_offered(), names)
        rows = [
            pytest.param(row, id=row.name, marks=() if row in chosen else pytest.mark.sandbox)
            for row in _offered()
        ]
        metafunc.parametrize("row", rows, scope="session")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was not tested here, so that nobody takes silence for a pass."""
    for name, reason in _missing.items():
        terminalreporter.write_line(f"sandbox tier not offered by this machine: {name}: {reason}")


@pytest.fixture(scope="session")
def engine(row: Row, environment: Environment) -> Iterator[Engine]:
    """An engine of this row, shared by the tests: they leave it as they found it."""
    made = Engine(row, environment)
    if "unavailable" in made.hello:
        made.close()
        pytest.fail(f"{row.name}: {made.hello['unavailable']}")
    yield made
    made.close()
