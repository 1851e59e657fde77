"""Draws the figures on stdin (see rounds.Figures) into the file named; runs under any Python with matplotlib."""

import json
import statistics
import sys
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

OURS, BARE, EMBEDDED, LIMIT = "#1f5fa8", "#9aa5b1", "#3a9d6e", "#c0392b"


def _median(rounds: dict[str, list[float]], name: str) -> float:
    return statistics.median(rounds[name])


def _runs(axes: Any, rounds: dict[str, list[float]], flush: float) -> None:
    at = [1, 32, 256]
    for name, label, colour in (
        ("http", "over HTTP", OURS),
        ("embedded", "embedded", EMBEDDED),
        ("bare", "bare endpoint, its bytes only", BARE),
    ):
        middle = [_median(rounds, f"{name} {n} p50") for n in at]
        high = [_median(rounds, f"{name} {n} p99") for n in at]
        axes.plot(at, middle, "o-", color=colour, label=f"{label}, p50")
        axes.plot(at, high, "x:", color=colour, label=f"{label}, p99")
    axes.axhline(flush, color=LIMIT, lw=1, ls="--", label="one flush of the disk")
    goal = 10 * _median(rounds, "http 1 p50")
    axes.plot([32], [goal], "v", color=LIMIT, label="goal for p99 at 32")
    axes.set(xscale="log", yscale="log", xticks=at, xlabel="at a time", ylabel="ms")
    axes.set_xticklabels([str(n) for n in at])
    axes.minorticks_off()
    axes.set_title("A run from create to completed")
    axes.set_ylim(top=20 * max(_median(rounds, "http 256 p99"), goal))
    axes.legend(fontsize=6, loc="upper left", ncols=2)


def _streams(axes: Any, rounds: dict[str, list[float]]) -> None:
    shown = (
        ("journal 1", "journal bare single 1", "finished run,\n1 client"),
        ("journal 200", "journal bare single 200", "finished run,\n200 clients"),
        ("live 200", "live bare 200", "live run,\n200 clients"),
    )
    for at, (ours, bare, _) in enumerate(shown):
        rate, floor = _median(rounds, ours) / 1000, _median(rounds, bare) / 1000
        named = at == 0
        axes.bar(at - 0.2, rate, 0.38, color=OURS, label="ours" if named else None)
        axes.bar(at + 0.2, floor, 0.38, color=BARE, label="bare endpoint" if named else None)
        line = [floor / 2] * 2
        axes.plot([at - 0.4, at], line, color=LIMIT, label="goal" if named else None)
    axes.set_xticks(range(len(shown)), [label for *_, label in shown], fontsize=8)
    axes.set(ylabel="thousand events/s")
    axes.set_title("Server-sent events")
    axes.legend(fontsize=7)


def _pages(axes: Any, samples: dict[str, list[float]]) -> None:
    names = [f"{name} {order}" for order in ("desc", "asc") for name in ("few", "others", "same")]
    shown = {"few": "100", "others": "100k\nothers", "same": "100k\nsame"}
    data = [samples[f"page {name}"] for name in names]
    axes.boxplot(data, showfliers=False, medianprops={"color": OURS})
    axes.set_xticks(range(1, len(names) + 1), [shown[n.split()[0]] for n in names], fontsize=8)
    axes.axvline(3.5, color=BARE, lw=0.8)
    axes.set(ylabel="ms", ylim=(0, None), xlabel="newest page | oldest page")
    axes.set_title("A page of 20 messages")


def main() -> None:
    """Three panels."""
    figures = json.load(sys.stdin)
    rounds, samples = figures["rounds"], figures["samples"]
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.2))
    _runs(axes[0], rounds, statistics.median(samples["flush"]))
    _streams(axes[1], rounds)
    _pages(axes[2], samples)
    figure.tight_layout()
    figure.savefig(sys.argv[1], dpi=110)


if __name__ == "__main__":
    main()
