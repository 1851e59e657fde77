"""What is said of the name of a model that leads nowhere, or to a model of another kind.

Only the texts: `model_store` decides what a name means. It loads nothing, and reads no more of files than headers.
"""

from difflib import get_close_matches
from pathlib import Path

from local_assistants import catalogue, model_store, paths
from local_assistants.engine.errors import AssistantsError, InvalidRequest, ModelNotFound
from local_assistants.model_store import Kind, Weights

EMBEDDING = "an embedding model"
"""What `ModelFacts.kind` says of one."""

_ELSEWHERE = "openai_compatible:"


def embedder(name: str) -> InvalidRequest:
    """The error for an embedder where a model for chat is wanted."""
    return InvalidRequest(
        f"{name} is an embedding model (for file search); it cannot answer. serve --embedder {name} uses it."
    )


def nowhere(name: str, kind: Kind | None = None) -> AssistantsError:
    """The error for a name that nothing here has; `kind`: what was wanted, None: anything."""
    entry = catalogue.find(name)
    if entry is not None:
        return ModelNotFound(
            f"{entry.title} is not on this machine. Get it: local-assistants models pull {entry.key}"
        )
    scheme = name.partition(":")[0].casefold().replace("-", "_")
    if name.startswith(("http://", "https://")) or scheme == _ELSEWHERE[:-1]:
        return _address(name, kind)
    if "/" in name or name.endswith(".gguf"):
        return ModelNotFound(_no_file(name))
    return ModelNotFound(_no_model(name, kind))


def _address(name: str, kind: Kind | None) -> InvalidRequest:
    if kind != "chat":
        return InvalidRequest(
            f"{name} is no model on this machine. Fetch weights: local-assistants models pull URL."
        )
    url = name if name.startswith("http") else name.partition(":")[2] or "URL"
    return InvalidRequest(
        f"A model on another server is written {_ELSEWHERE}URL: serve --model {_ELSEWHERE}{url} "
        "(and #NAME after it, where the server has several). Weights are fetched by local-assistants models pull URL."
    )


def _no_file(name: str) -> str:
    path = Path(name).expanduser()
    if path.is_dir():
        return f"{name} is a folder. Name the GGUF file in it."
    folders = [path.absolute().parent]
    if "/" not in name:
        folders += paths.model_folders()
    looked = ", ".join(dict.fromkeys(str(folder) for folder in folders))
    return (
        f"There is no file {name} (looked in {looked}). local-assistants models ls lists what is here, "
        "models pull gets more."
    )


def _no_model(name: str, kind: Kind | None) -> str:
    here = [each.name for each in model_store.installed() if kind in (None, _kind(each))]
    known = [each for each in catalogue.entries() if kind in (None, each.kind)]
    names = [*here, *(name for each in known for name in (each.key, *each.aliases))]
    close = get_close_matches(name.casefold(), [each.casefold() for each in names], 3, 0.5)
    meant = dict.fromkeys(map(_proper, close))
    hint = f"Did you mean {' or '.join(meant)}? " if meant else ""
    called = "embedding model" if kind == "embedder" else "model"
    folders = " or ".join(str(folder) for folder in paths.model_folders())
    return (
        f"No {called} {name!r} on this machine. {hint}Here: {', '.join(here) or 'none'}. To get one: "
        f"local-assistants models pull KEY (KEY is one of {', '.join(each.key for each in known)}); or put any GGUF "
        f"file into {folders}, or give its path."
    )


def _proper(name: str) -> str:
    """The key of what a name means in the catalogue; a name of the user's own as it is written."""
    entry = catalogue.find(name)
    own = (each.name for each in model_store.installed() if each.name.casefold() == name)
    return entry.key if entry else next(own, name)


def _kind(weights: Weights) -> Kind:
    """What a model is for; a file that cannot be read counts as one for chat."""
    if weights.entry is not None:
        return weights.entry.kind
    if weights.path.is_dir():
        return "embedder"
    from local_assistants.backends.llama_cpp.loading.inspection import inspect

    try:
        return "embedder" if inspect(weights.path).kind == EMBEDDING else "chat"
    except AssistantsError:
        return "chat"
