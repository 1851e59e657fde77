"""Draws the samples on stdin (name: figures) into the file named; runs under any Python with matplotlib."""

import json
import statistics
import sys
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

OURS, NAIVE, LIMIT = "#1f5fa8", "#9aa5b1", "#c0392b"
Samples = dict[str, list[float]]

# name of the samples: (label, Chroma and MiniLM used plainly, goal); the middle figures are published or measured
# once, see README.md
QUALITY = {
    "SciFact nDCG@10": ("SciFact\nnDCG@10", 0.645, 0.74),
    "chunking set, 1000 tokens": ("answers within\n1,000 tokens", 0.47, 0.88),
    "chunking set, 4000 tokens": ("answers within\n4,000 tokens", 0.78, 0.98),
}


def _quality(axes: Any, samples: Samples) -> None:
    for at, (name, (_, naive, goal)) in enumerate(QUALITY.items()):
        first = at == 0
        axes.bar(at - 0.2, naive, 0.38, color=NAIVE, label="plain Chroma" if first else None)
        ours = statistics.mean(samples[name])
        axes.bar(at + 0.2, ours, 0.38, color=OURS, label="ours" if first else None)
        axes.annotate(f"{ours:.3f}", (at + 0.2, ours), ha="center", va="bottom", fontsize=8)
        axes.plot([at, at + 0.4], [goal, goal], color=LIMIT, label="goal" if first else None)
    axes.set_xticks(range(len(QUALITY)), [label for label, _, _ in QUALITY.values()])
    axes.set(ylim=(0, 1.05), title="Is the right passage found?")
    axes.legend(fontsize=7, loc="lower right")


def _answers(axes: Any, samples: Samples) -> None:
    """How many questions have how much of their answer in the context."""
    for tokens, colour in ((1000, NAIVE), (4000, OURS)):
        shares = sorted(samples[f"chunking set, {tokens} tokens"], reverse=True)
        places = [100 * at / len(shares) for at in range(len(shares))]
        axes.step(places, shares, color=colour, label=f"{tokens:,} tokens")
    axes.set(xlabel="% of the questions", ylabel="share of the answer", title="What is missed")
    axes.legend(fontsize=7)


def _times(axes: Any, samples: Samples) -> None:
    axes.hist(samples["search over HTTP, ms"], bins=40, color=OURS)
    axes.set(xlabel="ms", ylabel="searches", title="A search over HTTP, its query embedded")


def _filters(axes: Any, samples: Samples) -> None:
    """Medians of searches that need no embedding, and their 99th percentiles."""
    for at, (size, colour) in enumerate((("10,000", NAIVE), ("100,000", OURS))):
        found = [sorted(samples[f"search of {size} chunks, {share}"]) for share in SHARES]
        middle = [statistics.median(times) for times in found]
        late = [times[int(len(times) * 0.99)] for times in found]
        places = [place + 0.4 * at - 0.2 for place in range(len(SHARES))]
        axes.bar(places, middle, 0.38, color=colour, label=f"{size} chunks")
        axes.plot(places, late, "_", color=LIMIT, label=None if at else "p99")
    axes.set_xticks(range(len(SHARES)), [f"{share} of\nthe files" for share in SHARES])
    axes.set(yscale="log", ylabel="ms", title="Filtered searches, queries embedded already")
    axes.legend(fontsize=7)


SHARES = ("all", "1 %", "10 %", "33 %")
SPEED = [f"search of {size} chunks, {share}" for size in ("10,000", "100,000") for share in SHARES]
PANELS = (
    (_quality, QUALITY),
    (_answers, QUALITY),
    (_times, ["search over HTTP, ms"]),
    (_filters, SPEED),
)


def main() -> None:
    """One panel for each part that was measured."""
    samples: Samples = json.load(sys.stdin)
    shown = [draw for draw, names in PANELS if all(samples.get(name) for name in names)]
    if not shown:
        sys.exit("nothing to draw: no part with a panel was measured")
    figure, axes = plt.subplots(1, len(shown), figsize=(5.5 * len(shown), 4.2), squeeze=False)
    for draw, place in zip(shown, axes[0], strict=True):
        draw(place, samples)
    figure.tight_layout()
    figure.savefig(sys.argv[1], dpi=110)


if __name__ == "__main__":
    main()
