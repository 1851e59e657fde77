"""What every test starts from: no network, steady examples, and a switch to record expectations anew."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support.network import NetworkGuard, guarded

# The same examples in every run, and no failure because the machine is busy.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--record` rewrites tests/acceptance/recorded; read the difference before you commit it."""
    parser.addoption(
        "--record", action="store_true", help="write expectations instead of comparing"
    )


@pytest.fixture
def record(request: pytest.FixtureRequest) -> bool:
    """Whether expectations are written instead of compared."""
    return bool(request.config.getoption("--record"))


@pytest.fixture(autouse=True)
def network() -> Iterator[NetworkGuard]:
    """Nothing leaves this machine (tests.support.network says what is covered); fails also what was swallowed."""
    with guarded() as guard:
        yield guard
    assert [] == guard.attempts
