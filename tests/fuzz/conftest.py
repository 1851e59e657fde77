"""One world for all fuzzers of a test run; its counts are shown at the end."""

from collections import Counter
from collections.abc import Iterator

import pytest

from .world import World

COUNTS: Counter[tuple[str, int]] = Counter()


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A running server."""
    made = World(tmp_path_factory.mktemp("world"))
    yield made
    COUNTS.update(made.counts)
    made.close()


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How often each operation answered what."""
    if not COUNTS:
        return
    terminalreporter.section("answers of the fuzzed server")
    statuses = sorted({status for _, status in COUNTS})
    for operation in sorted({operation for operation, _ in COUNTS}):
        told = "  ".join(f"{status}: {COUNTS[operation, status]:5}" for status in statuses)
        terminalreporter.write_line(f"{operation:75} {told}")
    sums = {each: sum(n for (_, s), n in COUNTS.items() if s == each) for each in statuses}
    terminalreporter.write_line(f"{sum(sums.values())} requests: {sums}")
