"""How many turns are best put into one step: measured when a model is first loaded on this machine.

More turns in a step are not always more tokens a second: on some CPUs eight in a step are slower in all than six. So a
few widths are timed for about two seconds on the empty pool, and the result is kept in a file for the next start.
It holds for this model, these threads, this CPU and this version of the library; where one of them is another, or the
file is damaged, it is measured again.

Does not promise the best width for long contexts: the pool is empty when it measures.
"""

import json
import logging
import os
import platform
import tempfile
import time
from collections.abc import Mapping
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ..batch import Span
from ..context import NativeContext, Outcome
from ..own_thread import in_own_thread
from ..settings import LlamaSettings

_PROBED = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
_BUDGET = 2.0  # seconds after which no further round begins
_MOST_ROUNDS = 6
_CONTENDER = 0.85  # of the best rate; wider and narrower ones are timed once
_AS_GOOD = 0.97  # of the best rate: then rather more turns at a time

_log = logging.getLogger(__name__)


class Widths:
    """The number of turns to put into a step, by how many want to be in it.

    Attributes:
        seconds: of a step, by its width; empty when nothing was measured.
    """

    def __init__(self, seconds: Mapping[int, float] | None = None, cap: int | None = None) -> None:
        """`cap`: a width that was set; it goes before what was measured."""
        self.seconds = dict(sorted((seconds or {}).items()))
        self._cap = cap
        self._best: dict[int, int] = {}

    @property
    def rates(self) -> dict[int, float]:
        """Tokens a second in all, by width, as measured."""
        return {width: round(width / taken, 1) for width, taken in self.seconds.items()}

    def best(self, turns: int) -> int:
        """The width for `turns` turns that generate."""
        if self._cap is not None:
            return min(turns, self._cap)
        if not self.seconds or turns <= 1:
            return turns
        if turns not in self._best:
            self._best[turns] = self._fastest(turns)
        return self._best[turns]

    def _fastest(self, turns: int) -> int:
        rates = {width: width / taken for width, taken in self.seconds.items() if width <= turns}
        between = self._between(turns)
        if between is not None:
            rates[turns] = turns / between
        good = max(rates.values()) * _AS_GOOD
        return max(width for width, rate in rates.items() if rate >= good)

    def _between(self, turns: int) -> float | None:
        """Seconds of a width that was not timed itself but lies between two that were."""
        below = max((width for width in self.seconds if width <= turns), default=None)
        above = min((width for width in self.seconds if width >= turns), default=None)
        if below is None or above is None or below == above:
            return None
        share = (turns - below) / (above - below)
        return self.seconds[below] + share * (self.seconds[above] - self.seconds[below])


def find_widths(context: NativeContext, settings: LlamaSettings, identity: str) -> Widths:
    """The best widths for a model whose pool is still empty: as set, as kept on disk, or measured now.

    Args:
        context: evaluates the steps; its pool is empty again afterwards.
        settings: the model's.
        identity: of the model, from `model_identity`.

    Raises:
        BackendFault: the library failed in a step.
    """
    if settings.decode_width is not None:
        return Widths(cap=settings.decode_width)
    most = min(settings.parallel, settings.sequences)
    if most == 1:
        return Widths()
    key = _key(context, settings, identity)
    seconds = _read(settings.probe_folder, key)
    if seconds is None:
        seconds = in_own_thread(lambda: measure(context, most))
        _log.info("Tokens a second in all, by width: %s", Widths(seconds).rates)
        _write(settings.probe_folder, key, seconds)
    return Widths(seconds)


def measure(context: NativeContext, most: int) -> dict[int, float]:
    """Seconds of a step by its width, up to `most`.

    Every width is timed once, then those near the best again while there is time; the quickest time of each counts.
    """
    _step(context, 1)  # the first one pages the weights in
    widths = [width for width in _PROBED if width < most] + [most]
    began = time.perf_counter()
    seconds: dict[int, float] = {}
    for _ in range(_MOST_ROUNDS):
        for width in widths:
            taken = _step(context, width)
            if taken is None:
                break
            seconds[width] = min(taken, seconds.get(width, taken))
        best = max(width / taken for width, taken in seconds.items())
        widths = [width for width, taken in seconds.items() if width / taken >= _CONTENDER * best]
        if time.perf_counter() - began > _BUDGET:
            break
    return seconds


def _step(context: NativeContext, width: int) -> float | None:
    """Seconds of one step of `width` sequences, which are empty before and after; None: they do not fit."""
    # Tokens that differ: a mixture of experts would have less to do for the same one over and over.
    tokens = [number * context.vocabulary_size // width for number in range(width)]
    spans = [Span([token], 0, number, wants_logits=True) for number, token in enumerate(tokens)]
    began = time.perf_counter()
    outcome = context.decode(spans)
    taken = time.perf_counter() - began
    for number in range(width):
        context.rewind(number, 0)
    return taken if outcome is Outcome.DONE else None


def _key(context: NativeContext, settings: LlamaSettings, identity: str) -> dict[str, Any]:
    try:
        library = version("llama-cpp-python")
    except PackageNotFoundError:
        library = ""
    return {
        "model": identity,
        "threads": context.threads,
        "cpu": _cpu(),
        "library": library,
        "most": min(settings.parallel, settings.sequences),
        "gpu_layers": settings.gpu_layers,
        "flash_attention": settings.flash_attention,
        "kv_type": settings.kv_type,
        "repack": settings.repack,
    }


def _cpu(info: Path = Path("/proc/cpuinfo")) -> str:
    try:
        lines = info.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def _file(folder: Path, key: dict[str, Any]) -> Path:
    name = sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    return folder / f"{name}.json"


def _read(folder: Path | None, key: dict[str, Any]) -> dict[int, float] | None:
    """What was measured before; None where there is nothing that can be trusted."""
    if folder is None:
        return None
    try:
        kept: Any = json.loads(_file(folder, key).read_bytes())
        if kept["key"] != key:
            return None
        seconds = {int(width): float(taken) for width, taken in kept["seconds"].items()}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        _log.warning("The width probe kept in %s is measured again: %r", folder, error)
        return None
    sane = bool(seconds) and all(
        0 < width <= key["most"] and 0 < taken < float("inf") for width, taken in seconds.items()
    )
    return seconds if sane else None


def _write(folder: Path | None, key: dict[str, Any], seconds: dict[int, float]) -> None:
    """Keep a result; without it the next start measures again, so that a full disk is no fault."""
    if folder is None:
        return
    kept = {"key": key, "seconds": seconds}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder, suffix=".new", delete=False) as file:
            json.dump(kept, file)
        os.replace(file.name, _file(folder, key))
    except OSError as error:
        _log.warning("The width probe cannot be kept in %s: %s", folder, error.strerror)
