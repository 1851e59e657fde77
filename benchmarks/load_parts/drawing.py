"""Draws the parts of `load` (JSON on stdin) into the file named; runs under any Python with matplotlib."""

import json
import statistics
import sys
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

OURS, PALE, LIMIT = "#1f5fa8", "#9aa5b1", "#c0392b"


def _streams(axes: Any, figures: dict[str, Any]) -> None:
    """How many runs are asked for, in progress and over, second by second."""
    spans = figures["streams"]
    end = max(span[2] for span in spans)
    times = [end * step / 300 for step in range(301)]
    for place, label, colour in ((0, "asked for", PALE), (1, "in progress or over", OURS)):
        axes.plot(
            times, [sum(s[place] <= t for s in spans) for t in times], color=colour, label=label
        )
    axes.plot(times, [sum(s[2] <= t for s in spans) for t in times], color="black", label="over")
    axes.set(xlabel="s", ylabel="runs", title=f"{len(spans)} streamed runs at once")
    axes.legend(fontsize=7)


def _queue(axes: Any, figures: dict[str, Any]) -> None:
    took = figures["queue"]["took"]
    axes.plot(took, ",", color=OURS)
    axes.set(
        xlabel="runs queued before",
        ylabel="ms",
        title="A run is queued, 64 clients",
        ylim=(0, None),
    )


def _store(axes: Any, figures: dict[str, Any]) -> None:
    ratios: dict[str, list[float]] = figures["store"]
    for at, seen in enumerate(ratios.values()):
        axes.barh(at, statistics.median(seen), 0.6, color=OURS)
        axes.plot(seen, [at] * len(seen), ".", color="black", ms=4)
    axes.axvline(1.5, color=LIMIT, label="goal")
    axes.set_yticks(range(len(ratios)), list(ratios), fontsize=7)
    axes.invert_yaxis()
    axes.set(xlabel="time in the large store / in the small one", title="100,000 threads")
    axes.legend(fontsize=7)


def _soak(axes: Any, figures: dict[str, Any]) -> None:
    """Everything against the most of the warm-up's three periods."""
    looks = figures["soak"]
    names = ("memory", "open files", "processes", "temporary files", "files in the data folder")
    for column, name in enumerate(names):
        values = [look[column] for look in looks]
        base = max(values[:3]) or 1
        axes.plot(
            range(1, len(values) + 1), [value / base for value in values], "o-", ms=3, label=name
        )
    axes.axhline(1.05, color=LIMIT, lw=1, label="goal for memory")
    axes.set(
        xlabel="period",
        ylabel="against the most of periods 1 to 3",
        title="Soak, looked at while at rest",
    )
    axes.legend(fontsize=6)


PANELS = {"streams": _streams, "queue": _queue, "store": _store, "soak": _soak}


def main() -> None:
    """A panel for each part that was measured."""
    figures = json.load(sys.stdin)
    panels = [(draw, name) for name, draw in PANELS.items() if name in figures]
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(5.4 * columns, 3.6 * rows), layout="constrained", squeeze=False
    )
    for at, (draw, _) in enumerate(panels):
        draw(axes[at // columns][at % columns], figures)
    for at in range(len(panels), rows * columns):
        axes[at // columns][at % columns].axis("off")
    figure.savefig(sys.argv[1], dpi=130)


if __name__ == "__main__":
    main()
