"""The page of results: what it says of failures, and that the committed one was made from today's lists."""

import re

from tests.conformance.clients.behaviours import BEHAVIOURS
from tests.conformance.clients.differences import FIELDS
from tests.conformance.clients.operations import OPERATIONS
from tests.conformance.clients.reporting import Result
from tests.conformance.clients.run_openai import CASES
from tests.conformance.document import document
from tests.conformance.running import Client, clients
from tests.conformance.servers import ROOT

TWO_WAYS = Client("openai 3", "openai==3.0.0", "clients.run_openai", ("sync", "async"))
PAGE = ROOT / "docs" / "compatibility.md"


def result(way: str, case: str, *, passed: bool = True, operation: str = "GET /files") -> Result:
    """One result of the client with two ways."""
    name = f"openai 3.0.0, {way}"
    return Result(name, "helpers", case, passed=passed, operations=[operation])


def page_of(*results: Result) -> str:
    """The page of these results."""
    return document([TWO_WAYS], results, {TWO_WAYS.title: list(results)})


def test_what_works_in_every_way_gets_a_mark() -> None:
    """One mark for all ways together; what was not tried gets none."""
    page = page_of(result("sync", "c"), result("async", "c"))
    assert "| 40 | `GET /files` | ✓ |" in page
    assert "| 41 | `POST /files` | – |" in page
    assert "| c | ✓ |" in page
    assert "## What fails" not in page


def test_what_fails_in_one_way_is_shown_with_it() -> None:
    """In the table of operations, in that of the cases, and in a list of its own."""
    page = page_of(result("sync", "c"), result("async", "c", passed=False))
    assert "| 40 | `GET /files` | ✗ async |" in page
    assert "| c | ✗ async |" in page
    assert "- openai 3.0.0, async: c" in page


def test_what_one_way_did_not_try_is_said() -> None:
    """A mark never stands for a way that was not tried."""
    page = page_of(result("sync", "c"), result("async", "d", operation="GET /models"))
    assert "| c | ✓ but not async |" in page


def test_the_committed_page_is_of_today() -> None:
    """It names every operation, case, difference and version that the code has, and no failure."""
    page = PAGE.read_text(encoding="utf-8")
    pin = re.search(r"^openai==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pin is not None
    lines = [
        *(f"| {c.title} | {c.version} |" for c in clients(pin[1])),
        *(f"`{operation.name}`" for operation in OPERATIONS),
        *(f"| {case.name} |" for case in CASES),
        *(f"| {d.kind} | `{d.field}` | {d.reason} |" for d in FIELDS),
        *(f"| {' | '.join(behaviour)} |" for behaviour in BEHAVIOURS),
    ]
    assert [] == [line for line in lines if line not in page]
    assert "✗" not in page.replace("✗ does not", "")
