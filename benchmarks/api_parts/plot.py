"""The plot of the benchmark `api`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import _plot
from _report import RESULTS


def draw(rounds: Mapping[str, Sequence[float]], samples: Mapping[str, Sequence[float]]) -> None:
    """Write results/api.png."""
    figures = {"rounds": rounds, "samples": samples}
    _plot.draw(Path(__file__).with_name("drawing.py"), figures, RESULTS / "api.png")
