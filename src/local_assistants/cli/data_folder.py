"""The data folder that a command works on: named by `--data`, else where a server would keep it."""

from pathlib import Path
from typing import Annotated

import typer

from local_assistants import paths
from local_assistants.engine.errors import NotFound

Data = Annotated[
    Path | None,
    typer.Option(help="Data folder of the server.", envvar="LOCAL_ASSISTANTS_DATA"),
]
"""The option."""


def named(data: Path | None) -> Path:
    """The folder, whether there is one or not."""
    return (data or paths.data_root()).expanduser().resolve()


def existing(data: Path | None) -> Path:
    """The folder, which must hold data: one that was misspelt has nothing to list.

    Raises:
        NotFound: it holds none.
    """
    folder = named(data)
    if not (folder / "store.db").is_file():
        raise NotFound(f"There is no data in {folder}. Name the server's data folder: --data.")
    return folder
