"""What is said of the name of a model that leads nowhere, or to a model of another kind.

Only the texts: `model_store` knows what is here, and decides what a name means.
"""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from local_assistants import catalogue, paths
from local_assistants.catalogue import Kind
from local_assistants.engine.errors import AssistantsError, InvalidRequest, ModelNotFound

EMBEDDING = "an embedding model"
"""What `ModelFacts.kind` says of one."""

_ELSEWHERE = "openai_compatible:"


def embedder(name: str) -> InvalidRequest:
    """The error for an embedder where a model for chat is wanted."""
    return InvalidRequest(
        f"{name} is an embedding model (for file search); it cannot answer. serve --embedder {name} uses it."
    )


def nowhere(name: str, kind: Kind | None, here: Sequence[str]) -> AssistantsError:
    """The error for a name that nothing here has.

    Args:
        name: as it was given.
        kind: what was wanted; None: anything.
        here: the names of all that is on this machine and of that kind.
    """
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
    return ModelNotFound(_no_model(name, kind, here))


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


def _no_model(name: str, kind: Kind | None, here: Sequence[str]) -> str:
    known = [each for each in catalogue.entries() if kind in (None, each.kind)]
    names = [*here, *(name for each in known for name in (each.key, *each.aliases))]
    close = get_close_matches(name.casefold(), [each.casefold() for each in names], 3, 0.5)
    meant = dict.fromkeys(_proper(each, here) for each in close)
    hint = f"Did you mean {' or '.join(meant)}? " if meant else ""
    called = "embedding model" if kind == "embedder" else "model"
    folders = " or ".join(str(folder) for folder in paths.model_folders())
    return (
        f"No {called} {name!r} on this machine. {hint}Here: {', '.join(here) or 'none'}. To get one: "
        f"local-assistants models pull KEY (KEY is one of {', '.join(each.key for each in known)}); or put any GGUF "
        f"file into {folders}, or give its path."
    )


def _proper(name: str, here: Sequence[str]) -> str:
    """The key of what a name means in the catalogue; a name of the user's own as it is written."""
    entry = catalogue.find(name)
    own = (each for each in here if each.casefold() == name)
    return entry.key if entry else next(own, name)
