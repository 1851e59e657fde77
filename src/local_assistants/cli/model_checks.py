"""What `doctor` and `models show` say of a model without loading it: whether it can be, what it takes, and where."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from local_assistants import catalogue, model_store, paths
from local_assistants.chat_models import Runtime, default_budget, llama_settings, weights_of
from local_assistants.engine.clock import SystemClock
from local_assistants.engine.errors import AssistantsError
from local_assistants.models_file import ModelConfig, ModelsConfig, read_models_file


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a model can be loaded: `text` says how, or why not."""

    ok: bool
    text: str


def configured() -> ModelsConfig | None:
    """The models that the environment names for `serve`; None when it names none.

    Raises:
        InvalidRequest: the models file is wrong.
    """
    file, name = (os.environ.get(f"LOCAL_ASSISTANTS_MODEL{end}") for end in ("S", ""))
    if file:
        return read_models_file(Path(file).expanduser())
    return ModelsConfig((ModelConfig(name),)) if name else None


def verdict(model: ModelConfig, path: Path, budget: int | None = None) -> Verdict:
    """Whether a GGUF could be loaded now; `budget` as in a models file."""
    from local_assistants.backends.llama_cpp.loading import trial
    from local_assistants.backends.llama_cpp.loading.inspection import inspect
    from local_assistants.backends.llama_cpp.loading.opening import prepare
    from local_assistants.backends.memory import available_memory

    try:
        kind = inspect(path).kind
        if kind and not model.name:
            return Verdict(True, f"not for chat: it is {kind}")
        runtime = Runtime(data=paths.data_root(), clock=SystemClock())
        memory = min(available_memory(), budget or default_budget())
        plan = prepare(path, llama_settings(model, path, runtime), memory)
    except AssistantsError as error:
        return Verdict(False, str(error))
    refused = trial.refusal(path)
    if refused:
        return Verdict(False, f"llama.cpp refuses it: {refused}")
    return Verdict(True, "; ".join((f"can be loaded: {plan.text}", *plan.notes)))


def installed_verdicts() -> Iterator[tuple[str, Path, Verdict]]:
    """Every GGUF in the models folders: name, file, verdict."""
    for weights in model_store.installed():
        if weights.path.is_file() and (weights.entry is None or weights.entry.kind == "chat"):
            found = verdict(ModelConfig(str(weights.path)), weights.path)
            if weights.entry is not None and weights.bytes != weights.entry.bytes:
                text = f"{found.text} (and it has not the size that the catalogue names)"
                found = Verdict(False, text)
            yield weights.name, weights.path, found


def configured_verdicts() -> Iterator[tuple[str, Verdict]]:
    """Every model that the environment names for `serve`: name, verdict. Others' servers are not asked."""
    try:
        config = configured()
    except AssistantsError as error:
        yield "models file", Verdict(False, str(error))
        return
    for model in config.models if config else ():
        name = model.called
        try:
            path = weights_of(model)
        except AssistantsError as error:
            yield name, Verdict(False, str(error))
            continue
        if path is not None:
            yield name, verdict(model, path, config.memory_budget if config else None)


def mend(name: str, path: Path) -> str:
    """The command that gets weights again, where there is one."""
    entry = catalogue.find(path.name)
    return f"rm '{path}' && local-assistants models pull {name}" if entry else ""


def gpu_line() -> str:
    """The GPUs that llama.cpp sees, or that it sees none."""
    from local_assistants.backends.llama_cpp.loading.devices import find_gpus

    found = [f"{each.description} ({each.free / 1e9:.1f} GB free)" for each in find_gpus()]
    return ", ".join(found) or "none that this llama.cpp was built for; models run on the CPU"
