"""Every case of the conformance suite with the installed official SDK (3.x), against a real server.

`scripts/conformance` does the same with all clients and writes docs/compatibility.md; see there what is tried.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conformance.clients.differences import FIELDS
from tests.conformance.clients.operations import OPERATIONS
from tests.conformance.clients.reporting import Result
from tests.conformance.clients.run_openai import CASES
from tests.conformance.running import STRANGER, drive, keys_for, python_command
from tests.conformance.servers import serving

WAYS = ("sync", "async", "Azure")
NAMES = [case.name for case in CASES]

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Result]:
    """What every case came to, by way and name; the ways go on at once, each in a project of its own."""
    with (
        serving(tmp_path_factory.mktemp("conformance"), [*WAYS, STRANGER]) as servers,
        ThreadPoolExecutor(len(WAYS)) as pool,
    ):

        def tried(way: str) -> list[Result]:
            return drive(
                python_command(sys.executable, "clients.run_openai", way),
                [servers.address, servers.hasty],
                seconds=300,
                variables=keys_for(way, servers.keys),
            )

        found = list(pool.map(tried, WAYS))
    assert "Traceback" not in servers.log.read_text()
    return {
        (way, result.case): result for way, of in zip(WAYS, found, strict=True) for result in of
    }


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("way", WAYS)
def test_case(results: dict[tuple[str, str], Result], way: str, name: str) -> None:
    """The case works, and every answer in it fits the SDK's types in strict mode."""
    assert "" == results[way, name].detail


@pytest.mark.parametrize("way", WAYS)
def test_every_operation_is_used(results: dict[tuple[str, str], Result], way: str) -> None:
    """Each of the 51 answers at least once; deleting a served model with the refusal that it is."""
    used = {name for (by, _), result in results.items() if by == way for name in result.operations}
    assert 51 == len(OPERATIONS)
    assert {operation.name for operation in OPERATIONS} == used


def test_every_difference_is_still_met(results: dict[tuple[str, str], Result]) -> None:
    """An exception from strict parsing that nothing needs any more has to go."""
    met = {key for result in results.values() for key in result.exceptions}
    assert met == {difference.key for difference in FIELDS}
