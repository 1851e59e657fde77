"""`Bare` in a process of its own.

Two teams of OpenMP threads in one process are more threads than cores to libgomp, which then lets them sleep sooner:
the bare loop and ours beside it in one process each decode one sequence at half their speed (135M, two cores: 63 and 64
tokens/s together, 128 alone). So the sides that are compared live apart.
"""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Self

from model_parts.bare import Bare

_held: list[Bare] = []


class BareApart:
    """The part of `Bare` that is timed where it runs; same arguments. Calls block."""

    def __init__(self, path: Path, threads: int, context: int, sequences: int = 1) -> None:
        self._process = ProcessPoolExecutor(
            1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_open,
            initargs=(path, threads, context, sequences),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.shutdown()

    def prompt(self, messages: Sequence[dict[str, Any]]) -> list[int]:
        """The tokens of a conversation, by the template of the GGUF."""
        return list(self._ask("prompt", messages))

    def clear(self) -> None:
        """Empty the pool."""
        self._ask("clear")

    def decode_rate(self, prompts: Sequence[Sequence[int]], steps: int) -> float:
        """Tokens a second of all prompts together, once these are evaluated."""
        return float(self._ask("decode_rate", prompts, steps))

    def seconds(self, count: int, after: int) -> float:
        """How long `count` tokens take at the end of a sequence of `after` tokens."""
        return float(self._ask("seconds", count, after))

    def _ask(self, name: str, *arguments: object) -> Any:
        return self._process.submit(_answer, name, arguments).result()


def _open(path: Path, threads: int, context: int, sequences: int) -> None:
    _held.append(Bare(path, threads, context, sequences))


def _answer(name: str, arguments: tuple[Any, ...]) -> Any:
    return getattr(_held[0], name)(*arguments)
