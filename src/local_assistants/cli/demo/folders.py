"""The demo's folders: where its data comes from, what it may clear, where it writes.

It removes nothing that an earlier demo did not make: the server's folder carries a marker file, and one without it is
refused.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from local_assistants import paths
from local_assistants.cli.demo import truth
from local_assistants.engine.errors import InvalidRequest, NotFound

_MARKER = "made-by-local-assistants-demo"


@dataclass(frozen=True, slots=True)
class Folders:
    """Attributes: `output` for what the demo makes, `server` for the server's data, `log` for what it prints."""

    output: Path

    @property
    def server(self) -> Path:
        return self.output / "server-data"

    @property
    def log(self) -> Path:
        return self.output / "server.log"


def example_data() -> Path:
    """The folder of the files that the demo uploads.

    Raises:
        NotFound: this is an installation without the project's checkout.
    """
    checkout = paths.checkout_root()
    folder = checkout / "examples" / "data" if checkout else None
    if folder is None or not all((folder / name).is_file() for name in _NEEDED):
        raise NotFound(
            "The demo needs the files of examples/data: run it from the project's checkout."
        )
    return folder


_NEEDED = (truth.BANKS, truth.FILING)


def prepare(output: Path, *, keep: bool) -> Folders:
    """Make the output folder, with a server folder that is empty unless `keep`.

    Raises:
        InvalidRequest: there is a server-data folder that no demo made, or the folder cannot be written.
    """
    folders = Folders(output.expanduser().absolute())
    marker = folders.server / _MARKER
    try:
        if folders.server.exists() and not marker.exists():
            raise InvalidRequest(
                f"{folders.server} was not made by a demo: choose another --output."
            )
        if not keep and folders.server.exists():
            shutil.rmtree(folders.server)
            folders.log.unlink(missing_ok=True)
        folders.server.mkdir(parents=True, exist_ok=True)
        marker.touch()
    except OSError as error:
        raise InvalidRequest(f"{folders.output} cannot be used: {error}") from error
    return folders
