"""Draws the figures on stdin into the file named; runs under any Python with matplotlib.

A panel is left empty when none of its rows was measured.
"""

import json
import statistics
import sys
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

OURS, PROCESS, BARE, PEER, LIMIT = "#1f5fa8", "#3a9d6e", "#9aa5b1", "#d98e04", "#c0392b"
SIDES = (
    ("bare", "bare loop", BARE),
    ("inline", "ours", OURS),
    ("process", "ours, process", PROCESS),
)
CHATS = (("peer", "llama.cpp's server", PEER), *SIDES[1:], ("api", "ours, HTTP API", LIMIT))
FIRSTS = (
    ("history whole", "whole prompt, bare", BARE),
    ("history new", "new tokens, bare", BARE),
    ("history ours", "ours, turn 6", OURS),
    ("parked prefill", "ours, new thread", BARE),
    ("parked back", "ours, back from disk", OURS),
    ("parked restart", "ours, after a restart", PROCESS),
)
GAPS = ("p50", "p95", "most")


def _median(rounds: dict[str, list[float]], name: str) -> float:
    return statistics.median(rounds[name]) if rounds.get(name) else 0.0


def _goals(axes: Any, goals: list[dict[str, Any]]) -> None:
    if not goals:
        return
    margins = [
        goal["seen"] / goal["limit"]
        if goal["at_least"]
        else goal["limit"] / max(goal["seen"], 1e-9)
        for goal in goals
    ]
    shown = [min(max(margin, 0.1), 30) for margin in margins]
    colours = [PROCESS if margin >= 1 else LIMIT for margin in margins]
    axes.barh(range(len(goals)), [x - 1 for x in shown], left=1, color=colours)
    axes.axvline(1, color="black", lw=1)
    axes.set_yticks(range(len(goals)), [_label(goal) for goal in goals], fontsize=7)
    axes.invert_yaxis()
    axes.set(
        xscale="log", xlim=(0.09, 40), xlabel="times better than the goal asks for (1: just met)"
    )
    axes.set_title("Goals: seen, and what was wanted")


def _label(goal: dict[str, Any]) -> str:
    sign = "≥" if goal["at_least"] else "≤"
    return f"{goal['what']}: {goal['seen']:.3g} ({sign} {goal['limit']:g})"


def _decode(axes: Any, models: dict[str, Any]) -> None:
    groups = [
        (f"{model}\n{kind}", {name: _median(rounds, key.format(name)) for name, *_ in sides}, sides)
        for model, rounds in models.items()
        for kind, key, sides in (
            ("1 seq.", "decode 1 {}", SIDES),
            ("8 seq.", "decode 8 {}", SIDES),
            ("16 seq.", "decode 16 {}", SIDES),
            ("8 chats", "streams {}", CHATS),
        )
        if any(_median(rounds, key.format(name)) for name, *_ in sides)
    ]
    named: set[str] = set()
    for at, (_, values, sides) in enumerate(groups):
        for number, (name, label, colour) in enumerate(sides):
            shown = label if label not in named else None
            named.add(label)
            axes.bar(at + 0.2 * (number - 1.5), values[name], 0.19, color=colour, label=shown)
    axes.set_xticks(range(len(groups)), [label for label, *_ in groups], fontsize=8)
    axes.set(ylabel="tokens/s, all together")
    axes.set_title("Decoding (chats: prompts included)")
    if named:
        axes.legend(fontsize=7)


def _firsts(axes: Any, models: dict[str, Any]) -> None:
    found = [
        (label if len(models) == 1 else f"{model}: {label}", 1000 * value, colour)
        for model, rounds in models.items()
        for name, label, colour in FIRSTS
        if (value := _median(rounds, name))
    ]
    if not found:
        return
    axes.barh(range(len(found)), [ms for _, ms, _ in found], color=[c for *_, c in found])
    for at, (_, ms, _) in enumerate(found):
        axes.text(ms * 1.05, at, f"{ms:.0f}", va="center", fontsize=7)
    axes.set_yticks(range(len(found)), [label for label, *_ in found], fontsize=8)
    axes.invert_yaxis()
    axes.set(xscale="log", xlim=(min(ms for _, ms, _ in found) / 2, None))
    axes.set(xlabel="ms to the first token")
    axes.set_title("First token with about 1,500 tokens of history")


def _gaps(axes: Any, models: dict[str, Any]) -> None:
    found = {m: r for m, r in models.items() if r.get("gap alone p50")}
    for number, rounds in enumerate(found.values()):
        for shift, name, colour in ((-0.2, "alone", BARE), (0.2, "beside", OURS)):
            heights = [1000 * _median(rounds, f"gap {name} {kind}") for kind in GAPS]
            at = [number * 4 + kind + shift for kind in range(len(GAPS))]
            label = {"alone": "streams alone", "beside": "while a prompt is admitted"}[name]
            axes.bar(at, heights, 0.38, color=colour, label=None if number else label)
        goal = 2.5 * 1000 * _median(rounds, "gap alone p95")
        axes.plot([number * 4 + 0.6, number * 4 + 1.4], [goal] * 2, color=LIMIT, label="goal")
    places = [n * 4 + kind for n in range(len(found)) for kind in range(len(GAPS))]
    names = ["p50", "p95", "longest"]
    labels = [f"{model}\n{kind}" for model in found for kind in names]
    axes.set_xticks(places, labels, fontsize=8)
    axes.set(ylabel="ms between tokens")
    axes.set_title("Three streams beside a prompt of 2,000 tokens")
    if found:
        axes.legend(fontsize=7)


def main() -> None:
    """Four panels."""
    figures = json.load(sys.stdin)
    models = {model: rounds for model, rounds in figures["rounds"].items() if rounds}
    figure, axes = plt.subplots(2, 2, figsize=(17, 11))
    _goals(axes[0][0], figures["goals"])
    _decode(axes[0][1], models)
    _firsts(axes[1][0], models)
    _gaps(axes[1][1], models)
    figure.suptitle(figures["title"], fontsize=9)
    figure.tight_layout()
    figure.savefig(sys.argv[1], dpi=100)


if __name__ == "__main__":
    main()
