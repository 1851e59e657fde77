"""Draws the samples on stdin (name: milliseconds or MB) into the file named; runs under any Python with matplotlib."""

import json
import statistics
import sys
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

OURS, PLAIN, LIMIT = "#1f5fa8", "#9aa5b1", "#c0392b"
Samples = dict[str, list[float]]


def _pairs(axes: Any, samples: Samples, names: dict[str, str], goal: float | None) -> None:
    """Bars of plain and ours side by side; `goal`: the most that ours may be of plain."""
    for at, name in enumerate(names):
        plain, ours = (statistics.median(samples[f"{name} {side}"]) for side in ("plain", "ours"))
        first = at == 0
        axes.bar(at - 0.2, plain, 0.38, color=PLAIN, label="plain ipykernel" if first else None)
        axes.bar(at + 0.2, ours, 0.38, color=OURS, label="sandboxed" if first else None)
        if goal is not None:
            axes.plot(
                [at, at + 0.4], [goal * plain] * 2, color=LIMIT, label="goal" if first else None
            )
    axes.set_xticks(range(len(names)), list(names.values()))
    axes.legend(fontsize=7)


def _trips(axes: Any, samples: Samples) -> None:
    shown = [samples["trip plain"], samples["trip ours"]]
    drawn = axes.boxplot(shown, showfliers=False, patch_artist=True, whis=(5, 95))
    for box, colour in zip(drawn["boxes"], (PLAIN, OURS), strict=True):
        box.set_facecolor(colour)
    axes.axhline(1.1 * statistics.median(shown[0]), color=LIMIT, lw=1, label="goal for the median")
    axes.set_xticks([1, 2], ["plain ipykernel", "sandboxed"])
    axes.set(ylabel="ms", ylim=(0, None), title="1+1 there and back, 5 to 95 %")
    axes.legend(fontsize=7)


def _neighbours(axes: Any, samples: Samples) -> None:
    names = ["alone", *(name.removeprefix("loop ") for name in samples if name.startswith("loop "))]
    high = {name: sorted(samples[name])[int(len(samples[name]) * 0.95)] for name in names}
    for at, name in enumerate(names):
        axes.bar(at, high[name], 0.6, color=PLAIN if at == 0 else OURS)
        axes.plot([at], [statistics.median(samples[name])], "o", color="black", ms=4)
    axes.axhline(3 * high["alone"], color=LIMIT, lw=1, label="goal for p95")
    axes.set_xticks(range(len(names)), names)
    axes.set(ylabel="ms", title="1+1 beside a hostile one: p95, median")
    axes.legend(fontsize=7)


def main() -> None:
    """Four panels."""
    samples: Samples = json.load(sys.stdin)
    figure, axes = plt.subplots(1, 4, figsize=(17, 4.2))
    _pairs(axes[0], samples, {"cold": "bare", "cold with imports": "pandas, pyplot"}, 1.1)
    axes[0].set(ylabel="ms", title="From nothing to the first reply")
    _trips(axes[1], samples)
    _pairs(axes[2], samples, {"memory bare": "bare", "memory with imports": "pandas, pyplot"}, None)
    axes[2].set(ylabel="MB", title="Memory at rest (PSS)")
    _neighbours(axes[3], samples)
    figure.tight_layout()
    figure.savefig(sys.argv[1], dpi=110)


if __name__ == "__main__":
    main()
