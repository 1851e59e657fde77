"""Writes docs/compatibility.md from results; nothing in it changes from one run to the next but what passed.

Pure: results in, text out.
"""

from collections.abc import Iterable, Sequence

from tests.conformance.clients.behaviours import BEHAVIOURS
from tests.conformance.clients.differences import FIELDS
from tests.conformance.clients.operations import OPERATIONS
from tests.conformance.clients.reporting import Result
from tests.conformance.running import Client

# All 25 stream events of the API.
EVENTS = (
    "thread.created",
    "thread.run.created",
    "thread.run.queued",
    "thread.run.in_progress",
    "thread.run.requires_action",
    "thread.run.completed",
    "thread.run.incomplete",
    "thread.run.failed",
    "thread.run.cancelling",
    "thread.run.cancelled",
    "thread.run.expired",
    "thread.run.step.created",
    "thread.run.step.in_progress",
    "thread.run.step.delta",
    "thread.run.step.completed",
    "thread.run.step.failed",
    "thread.run.step.cancelled",
    "thread.run.step.expired",
    "thread.message.created",
    "thread.message.in_progress",
    "thread.message.delta",
    "thread.message.completed",
    "thread.message.incomplete",
    "error",
    "done",
)
YES, NO, NOTHING = "✓", "✗", "–"
SECTIONS = (
    (
        "run kinds",
        "Kinds of run",
        "The contract's kinds of run, the order of their events checked to the last one.",
    ),
    ("helpers", "Helpers", "Polling, streaming and uploading helpers of the libraries."),
    (
        "objects",
        "Objects",
        "Life of each kind of object: fields, lists in both directions, deletion.",
    ),
    ("errors", "Errors", "Classes, texts, codes and parameters of the libraries' exceptions."),
    (
        "patterns",
        "Well-known programs",
        "How LangChain, the .NET libraries and everybody's samples call the API.",
    ),
    (
        "agents",
        "azure-ai-agents",
        "What only this client does: at the server's root and below a project's path.",
    ),
)


class Column:
    """What one client came to, all its ways together."""

    def __init__(self, client: Client, results: Iterable[Result]) -> None:
        self.client = client
        self.results = list(results)
        self.ways = list(dict.fromkeys(result.client for result in self.results))

    def of_operation(self, name: str) -> str:
        """How the cases went in which this operation answered."""
        return self._mark([r for r in self.results if name in r.operations])

    def of_case(self, section: str, name: str) -> str:
        """How one case went."""
        return self._mark([r for r in self.results if (r.section, r.case) == (section, name)])

    def of_event(self, name: str) -> str:
        """How the cases went in which this event came."""
        return self._mark([r for r in self.results if name in r.events])

    def _mark(self, found: Sequence[Result]) -> str:
        if not found:
            return NOTHING
        failed = list(dict.fromkeys(_way_of(r.client) for r in found if not r.passed))
        missing = [way for way in self.ways if way not in {r.client for r in found}]
        if failed:
            return f"{NO} {', '.join(failed)}".strip()
        return f"{YES} but not {', '.join(_way_of(w) for w in missing)}" if missing else YES


def _way_of(name: str) -> str:
    return name.partition(", ")[2]


def document(
    clients: Sequence[Client], results: Sequence[Result], by: dict[str, list[Result]]
) -> str:
    """The whole page. `by` has the results by the client's title."""
    columns = [Column(client, by.get(client.title, [])) for client in clients]
    parts = [_head(columns), _operations(columns)]
    parts += [_cases(columns, *section) for section in SECTIONS]
    parts += [_events(columns), _differences(), _failures(results)]
    return "\n".join(part for part in parts if part)


def _head(columns: Sequence[Column]) -> str:
    lines = [
        "# Compatibility",
        "",
        "Written by `scripts/conformance` from its results; do not edit. Each client runs unmodified, in an "
        "environment of its own, against a real server: scripted model, real store, real index, real sandbox. Every "
        "answer and every stream event is also parsed by the `openai` package's own types in strict mode, which the "
        "package itself does not do, in each of its versions.",
        "",
        f"{YES} works in every way listed here; {NO} does not (in these ways); {NOTHING} the client has no such thing, "
        "or it is not tried with it.",
        "",
        "| client | version | ways |",
        "| --- | --- | --- |",
    ]
    for column in columns:
        ways = "; ".join(filter(None, map(_way_of, column.ways))) or "its one way"
        lines.append(f"| {column.client.title} | {column.client.version} | {ways} |")
    return "\n".join([*lines, ""])


def _operations(columns: Sequence[Column]) -> str:
    rows = [
        [
            f"{operation.number}",
            f"`{operation.name}`",
            *(c.of_operation(operation.name) for c in columns),
        ]
        for operation in OPERATIONS
    ]
    note = (
        "Each answered at least once with success and with a body that fits; 51 with the refusal that is its only "
        "answer here."
    )
    return _section("Operations", note, ["", "operation", *_titles(columns)], rows)


def _cases(columns: Sequence[Column], section: str, title: str, note: str) -> str:
    names = dict.fromkeys(
        result.case for column in columns for result in column.results if result.section == section
    )
    shown = [c for c in columns if any(r.section == section for r in c.results)]
    rows = [[name, *(column.of_case(section, name) for column in shown)] for name in names]
    return _section(title, note, ["case", *_titles(shown)], rows) if rows else ""


def _events(columns: Sequence[Column]) -> str:
    heard = [column for column in columns if any(result.events for result in column.results)]
    rows = [[f"`{name}`", *(column.of_event(name) for column in heard)] for name in EVENTS]
    note = "Received and parsed at least once; `error` by breaking a stream on purpose inside the server, case (h)."
    return _section("Stream events", note, ["event", *_titles(heard)], rows)


def _differences() -> str:
    fields = [[d.kind, f"`{d.field}`", d.reason] for d in FIELDS]
    behaviours = [list(behaviour) for behaviour in BEHAVIOURS]
    return "\n".join(
        [
            _section(
                "Fields that differ from the SDK's types, on purpose",
                "Strict parsing allows these and no others; one that is no longer needed fails the tests.",
                ["", "field", "reason"],
                fields,
            ),
            _section(
                "Behaviour that differs from the hosted service, on purpose",
                "",
                ["subject", "here", "reason"],
                behaviours,
            ),
        ]
    )


def _failures(results: Sequence[Result]) -> str:
    failed = [f"- {result.client}: {result.case}" for result in results if not result.passed]
    return "\n".join(["## What fails", "", *failed, ""]) if failed else ""


def _titles(columns: Sequence[Column]) -> list[str]:
    return [column.client.title for column in columns]


def _section(title: str, note: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    table = [head, ["---"] * len(head), *rows]
    lines = ["| " + " | ".join(row) + " |" for row in table]
    return "\n".join([f"## {title}", "", *([note, ""] if note else []), *lines, ""])
