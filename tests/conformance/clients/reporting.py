"""What a client's run reports: one JSON line per case, on standard output.

Standard library only; read and written in every client's environment.
"""

import json
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Result:
    """How one case went with one client.

    Attributes:
        client: the client's name, as the page shows it.
        section: which table the case belongs to; "" for none.
        case: what was tried, in words.
        passed: it worked, and every answer fitted the client's types.
        seconds: how long it took.
        detail: what went wrong; "" when nothing did.
        operations: names of the operations that answered with success meanwhile.
        events: names of the stream events received meanwhile.
        exceptions: keys of the deliberate differences that were met.
    """

    client: str
    section: str
    case: str
    passed: bool = False
    seconds: float = 0.0
    detail: str = ""
    operations: list[str] = field(default_factory=list[str])
    events: list[str] = field(default_factory=list[str])
    exceptions: list[str] = field(default_factory=list[str])

    def line(self) -> str:
        """As one line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)


@dataclass(frozen=True)
class Case:
    """One thing to try, given the client's world."""

    section: str
    name: str
    run: Callable[[Any], Awaitable[None]]


class Cases(list[Case]):
    """The cases of a module, collected by its decorator: `@CASES("section", "name")`."""

    def __call__(
        self, section: str, name: str
    ) -> Callable[[Callable[[Any], Awaitable[None]]], Callable[[Any], Awaitable[None]]]:
        """Add the decorated coroutine function."""

        def add(run: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
            self.append(Case(section, name, run))
            return run

        return add


class Traffic:
    """What went over the wire during the current case."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin the next case."""
        self.operations: set[str] = set()
        self.events: set[str] = set()
        self.exceptions: set[str] = set()
        self.findings: list[str] = []


async def attempt(client: str, case: Case, world: Any, traffic: Traffic) -> Result:
    """Run a case; never raises for what goes wrong in it."""
    traffic.clear()
    result = Result(client, case.section, case.name)
    began = time.perf_counter()
    try:
        await case.run(world)
        result.detail = "; ".join(dict.fromkeys(traffic.findings))
    except Exception as error:
        result.detail = _told(error, traffic.findings)
    result.seconds = round(time.perf_counter() - began, 3)
    result.passed = not result.detail
    result.operations = sorted(traffic.operations)
    result.events = sorted(traffic.events)
    result.exceptions = sorted(traffic.exceptions)
    return result


def _told(error: Exception, findings: Iterable[str]) -> str:
    """Where and why, short enough for a line."""
    frames = [f"{f.name}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)]
    told = f"{type(error).__name__}: {error} (at {' > '.join(frames[-4:])})"
    return "; ".join(dict.fromkeys([told, *findings]))[:2000]


def holds(fact: object, what: str) -> None:
    """An assertion about anything that is not a plain comparison.

    Raises:
        AssertionError: `fact` is not so.
    """
    if not fact:
        raise AssertionError(f"not so: {what}")


def same(expected: object, actual: object, what: str = "") -> None:
    """An assertion that says what it saw; these cases run without pytest.

    Raises:
        AssertionError: they differ.
    """
    if expected != actual:
        raise AssertionError(f"{what}: expected {expected!r}, got {actual!r}".removeprefix(": "))
