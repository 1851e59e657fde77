"""Loads a GGUF: looks at the file, chooses settings with which it fits, has the library load it.

What was chosen is logged, and so is a second attempt with fewer layers on the GPU after its memory did not suffice.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import TypeVar

from ....engine.errors import BackendFault
from ...memory import available_memory
from ..context import NativeContext
from ..native import NativeModel, bindings
from ..settings import LlamaSettings
from .devices import Device, find_gpus, gpus
from .fitting import Plan, plan
from .inspection import ModelFacts, inspect

OnProgress = Callable[[float], None]
"""Hears how far a model is loaded, from 0 to 1; from any thread."""

_PICTURES = 512 << 20  # bytes for looking at a picture, and for those seen lately
_log = logging.getLogger("local_assistants")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in memory, and how it got there."""

    model: NativeModel
    context: NativeContext
    plan: Plan

    def free(self) -> None:
        """Let go of both. Nothing else may use them."""
        self.context.free()
        self.model.free()


def check(path: Path, mmproj: Path | None = None) -> None:
    """Refuse what no memory and no second attempt would make a model that answers. Reads headers only.

    Raises:
        BackendFault: the file is no whole model for chat, or `mmproj` no whole vision part; says why.
    """
    inspect(path).require_chat()
    _eyes(mmproj)


def prepare(path: Path, settings: LlamaSettings, memory: int | None = None) -> Plan:
    """How the model would be loaded with `memory` bytes to be had (by default what can be had now). Loads nothing.

    GPUs are asked for by a short process of its own: asking takes memory on them.

    Raises:
        BackendFault: it cannot be loaded; says why.
    """
    facts = inspect(path)
    facts.require_chat()
    return _planned(facts, settings, _memory(settings) if memory is None else memory, find_gpus())


def load(
    path: Path,
    settings: LlamaSettings,
    on_progress: OnProgress | None = None,
    stop: Event | None = None,
) -> Loaded:
    """Load a model that can chat. Blocks for seconds, for big files on slow disks minutes.

    Args:
        path: the GGUF, of a split one the first part.
        settings: as asked for.
        on_progress: hears how far it is.
        stop: when set, loading ends early.

    Raises:
        BackendFault: it cannot be loaded, there is no memory for it, or it was stopped.
        MissingDependency: llama-cpp-python is not installed.
    """
    facts = inspect(path)
    facts.require_chat()
    found = gpus(bindings())
    stop = stop or Event()

    def go_on(progress: float) -> bool:
        if on_progress is not None:
            on_progress(progress)
        return not stop.is_set()

    def attempt(chosen: Plan) -> Loaded:
        model = NativeModel(path, chosen.settings, go_on)
        try:
            return Loaded(model, NativeContext(model, chosen.settings), chosen)
        except BaseException:
            model.free()
            raise

    chosen = _planned(facts, settings, _memory(settings), found)
    for note in chosen.notes:
        _log.warning("%s: %s", path.name, note)
    fewer = _fewer(facts, settings, chosen, found)
    loaded = load_or_retry(attempt, chosen, None if stop.is_set() else fewer)
    _log.info("%s: %s", path.name, loaded.plan.text)
    return loaded


def load_or_retry(
    attempt: Callable[[Plan], _T], chosen: Plan, fewer: Callable[[], Plan] | None
) -> _T:
    """What `attempt` makes of the chosen plan, or of the one with fewer layers on GPUs if it failed with some there.

    Raises:
        BackendFault: as the last attempt.
    """
    try:
        return attempt(chosen)
    except BackendFault as error:
        if fewer is None or not chosen.placement.layers:
            raise
        less = fewer()
        _log.warning(
            "%s; trying again with %s in place of %s",
            error.message,
            less.placement.text,
            chosen.placement.text,
        )
        return attempt(less)


def _fewer(
    facts: ModelFacts, settings: LlamaSettings, chosen: Plan, found: tuple[Device, ...]
) -> Callable[[], Plan] | None:
    """Makes the plan with half as many layers on GPUs; None when their number was said."""
    if settings.gpu_layers is not None:
        return None
    half = replace(settings, gpu_layers=chosen.placement.layers // 2)
    return lambda: _planned(facts, half, _memory(settings), found)


def _planned(
    facts: ModelFacts, settings: LlamaSettings, memory: int, found: tuple[Device, ...]
) -> Plan:
    """The plan for the model and its vision part, which takes its room first."""
    eyes = _eyes(settings.mmproj)
    chosen = plan(facts, settings, memory - eyes, found)
    return replace(chosen, bytes=chosen.bytes + eyes)


def _eyes(path: Path | None) -> int:
    """Bytes that a vision part takes, about.

    Raises:
        BackendFault: it is not there, not whole, or no vision part.
    """
    if path is None:
        return 0
    facts = inspect(path)
    if not facts.is_vision:
        raise BackendFault(
            f"{path.name} is no vision part (mmproj) of a model: it is {facts.kind or 'a model for chat'}.",
            detail=str(path),
        )
    return facts.file_bytes + _PICTURES


def _memory(settings: LlamaSettings) -> int:
    """Bytes of host memory that a model may take now."""
    free = available_memory()
    return free if settings.memory is None else min(free, settings.memory)
