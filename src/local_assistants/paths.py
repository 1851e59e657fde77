"""Where things lie on this machine: the cache, the weights, the interpreter's environment, the data.

One rule each, the same as in scripts/_lib.sh. It only names places: it creates nothing, and it does not
promise that anything is there.
"""

import os
from pathlib import Path


def cache_root() -> Path:
    """The folder for what can be fetched or built again: weights, wheels, the interpreter's environment.

    `$LOCAL_ASSISTANTS_CACHE`, else `$XDG_CACHE_HOME/local-assistants`, else `~/.cache/local-assistants`.
    """
    own = os.environ.get("LOCAL_ASSISTANTS_CACHE")
    if own:
        return Path(own).expanduser().resolve()
    xdg = os.environ.get("XDG_CACHE_HOME")
    base = Path(xdg) if xdg else Path.home() / ".cache"
    return base.resolve() / "local-assistants"


def data_root() -> Path:
    """The folder for what cannot be fetched again: the store, the files, the vector index.

    `$LOCAL_ASSISTANTS_DATA`, else `$XDG_DATA_HOME/local-assistants`, else `~/.local/share/local-assistants`.
    """
    own = os.environ.get("LOCAL_ASSISTANTS_DATA")
    if own:
        return Path(own).expanduser().resolve()
    xdg = os.environ.get("XDG_DATA_HOME")
    base = Path(xdg) if xdg else Path.home() / ".local" / "share"
    return base.resolve() / "local-assistants"


def interpreter_root() -> Path:
    """The Python environment that model-written code runs in."""
    return cache_root() / "interpreter"


def models_root() -> Path:
    """Where `local-assistants models pull` puts weights."""
    return cache_root() / "models"


def checkout_root() -> Path | None:
    """The project's own checkout when this package runs from one, else None."""
    root = Path(__file__).resolve().parents[2]
    here = (root / "pyproject.toml").is_file() and (root / "models" / "README.md").is_file()
    return root if here else None


def model_folders() -> list[Path]:
    """Every folder in which weights are looked for, first match wins; some may not exist.

    `models/` of the working folder, `models/` of the checkout, then the cache.
    """
    checkout = checkout_root()
    folders = [Path.cwd() / "models", models_root()]
    if checkout is not None:
        folders.insert(1, checkout / "models")
    return list(dict.fromkeys(folders))
