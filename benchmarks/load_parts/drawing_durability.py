"""Draws writes a second by durability (JSON on stdin) into the file named; runs under any Python with matplotlib."""

import json
import statistics
import sys

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

LEVELS = {"full": ("FULL", "#1f5fa8"), "normal": ("NORMAL", "#9aa5b1")}


def main() -> None:
    """Bars by writers, a dot for each round, and the goal."""
    figures = json.load(sys.stdin)
    rates: dict[str, list[float]] = figures["rates"]
    columns = ["alone", *map(str, figures["writers"])]
    figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    for shift, (level, (label, colour)) in zip((-0.2, 0.2), LEVELS.items(), strict=True):
        for at, column in enumerate(columns):
            seen = rates[f"{level} {column}"]
            axes.bar(
                at + shift,
                statistics.median(seen),
                0.38,
                color=colour,
                label=label if not at else None,
            )
            axes.plot([at + shift] * len(seen), seen, ".", color="black", ms=4)
    last = len(columns) - 1
    goal = 0.5 * statistics.median(rates[f"normal {columns[-1]}"])
    axes.plot([last - 0.4, last], [goal, goal], color="#c0392b", label="goal")
    names = ["each by itself,\none connection", *(f"{count} at a time" for count in columns[1:])]
    axes.set_xticks(range(len(columns)), names)
    axes.set(ylabel="acknowledged writes/s", title="What durability costs", ylim=(0, None))
    axes.legend(fontsize=8)
    figure.savefig(sys.argv[1], dpi=130)


if __name__ == "__main__":
    main()
