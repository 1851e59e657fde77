"""Figures become rows, goals and a plot."""

from _report import Goal, Row, median, p99, report

from api_parts.plot import draw
from api_parts.rounds import AT_A_TIME, WATCHERS, Figures

SAME = 1.3
"""Two medians of a few milliseconds count as the same up to this ratio."""


class Reader:
    """Medians over rounds, by the names that `rounds` gives."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def __call__(self, name: str) -> float:
        return median(self._figures.rounds[name])

    def ratio(self, one: str, other: str) -> float:
        """The median of the rounds' own ratios: both were measured in the same minute."""
        pairs = zip(self._figures.rounds[one], self._figures.rounds[other], strict=True)
        return median([a / b for a, b in pairs])


def tell(figures: Figures, *, check: bool) -> int:
    """Print, keep and judge; the exit status."""
    of = Reader(figures)
    rows = [*_limits(figures, of), *_runs(figures, of), *_streams(of), *_pages(figures, of)]
    rows += [
        Row("event loop, 256 runs: longest callback", of("stall"), "ms"),
        Row("event loop, 256 runs: most CPU in one callback", of("stall cpu"), "ms"),
        Row("event loop, 256 runs: worst wait for a turn", of("late"), "ms"),
    ]
    draw(figures.rounds, figures.samples)
    for error in figures.errors[:5]:
        print(f"  error: {error}")
    return report("api", rows, _goals(figures, of), check=check, notes=figures.notes)


def _limits(figures: Figures, of: Reader) -> list[Row]:
    flushes = figures.samples["flush"]
    return [
        Row("disk: 4 KiB written and flushed", median(flushes), "ms", p99(flushes)),
        Row("loopback: one TCP stream", of("loopback"), "MB/s"),
    ]


def _runs(figures: Figures, of: Reader) -> list[Row]:
    names = {"http": "run over HTTP", "embedded": "run, embedded", "bare": "its bytes, bare"}
    rows = [
        Row(
            f"{what}, {clients} at a time",
            of(f"{name} {clients} p50"),
            "ms",
            p99(figures.samples[f"{name} {clients}"]),
            of.ratio(f"{name} {clients} p50", f"{name} 1 p50"),
            "at 1",
        )
        for name, what in names.items()
        for clients in AT_A_TIME
    ]
    rows += [
        Row(f"runs a second over HTTP, {clients} at a time", of(f"http {clients} rate"), "/s")
        for clients in AT_A_TIME
    ]
    return rows + [
        Row("CPU of a run over HTTP, 32 at a time", of("http cpu 32"), "ms"),
        Row("CPU of the client for it", of("http client 32"), "ms"),
    ]


def _streams(of: Reader) -> list[Row]:
    rows: list[Row] = []
    for clients in (1, WATCHERS):
        who = f"{clients} client{'s' * (clients > 1)}"
        rows += [
            *_stream(
                of, f"finished run, {who}", f"journal {clients}", f"journal bare single {clients}"
            ),
            Row(
                f"finished run, {who}: bare, few flushes", of(f"journal bare {clients}"), "events/s"
            ),
            Row(f"finished run, {who}: embedded", of(f"embedded journal {clients}"), "events/s"),
            Row(f"finished run, {who}: bytes", of(f"journal {clients} MB/s"), "MB/s"),
            Row(f"finished run, {who}: our CPU", of(f"journal {clients} cpu"), "us an event"),
            Row(f"finished run, {who}: client's", of(f"journal {clients} client"), "us an event"),
            *_stream(of, f"live run, {who}", f"live {clients}", f"live bare {clients}"),
            Row(f"live run, {who}: our CPU", of(f"live {clients} cpu"), "us an event"),
            Row(f"live run, {who}: bare's CPU", of(f"live bare {clients} cpu"), "us an event"),
        ]
    return rows


def _stream(of: Reader, what: str, ours: str, bare: str) -> list[Row]:
    return [
        Row(what, of(ours), "events/s", None, of.ratio(ours, bare), "bare"),
        Row(f"{what}: bare", of(bare), "events/s"),
    ]


def _pages(figures: Figures, of: Reader) -> list[Row]:
    told = {
        "few": "100 messages in the store",
        "others": "100,000 in another thread",
        "same": "100,000 in this thread",
    }
    return [
        Row(
            f"page of messages ({order}), {what}",
            of(f"page {name} {order}"),
            "ms",
            p99(figures.samples[f"page {name} {order}"]),
            of.ratio(f"page {name} {order}", f"page few {order}"),
            "100 messages",
        )
        for order in ("desc", "asc")
        for name, what in told.items()
    ]


def _goals(figures: Figures, of: Reader) -> list[Goal]:
    worst = median(
        [
            a / b
            for a, b in zip(
                figures.rounds["http 32 p99"], figures.rounds["http 1 p50"], strict=True
            )
        ]
    )
    streams = [
        Goal(
            f"events/s, {what}, against the bare endpoint", of.ratio(ours, bare), 0.5, at_least=True
        )
        for what, ours, bare in (
            ("finished run to one client", "journal 1", "journal bare single 1"),
            (
                "finished run to 200 clients",
                f"journal {WATCHERS}",
                f"journal bare single {WATCHERS}",
            ),
            ("live run to 200 clients", f"live {WATCHERS}", f"live bare {WATCHERS}"),
        )
    ]
    pages = [
        Goal(
            f"a page, {what}, against 100 messages",
            of.ratio(f"page {name}", f"page few {order}"),
            SAME,
        )
        for order in ("desc", "asc")
        for what, name in (
            (f"100,000 in another thread ({order})", f"others {order}"),
            (f"100,000 in this thread ({order})", f"same {order}"),
        )
    ]
    return [
        *streams,
        Goal("errors", len(figures.errors), 0),
        Goal("p99 of a run at 32 at a time, in p50 of one at 1", worst, 10.0),
        *pages,
        Goal("CPU of the event loop's longest callback (ms)", of("stall cpu"), 20.0),
    ]
