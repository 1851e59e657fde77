"""A server whose runs live for two seconds. Usage: python hasty.py MODEL DATA_FOLDER."""

import sys
from functools import partial
from pathlib import Path

from local_assistants import assemble
from local_assistants.engine.settings import CoreSettings

RUN_LIFETIME = 2


def main(model: str, data: str) -> None:
    """Serve until the process is told to stop; the address is the first line of stdout."""
    core = CoreSettings(run_lifetime=RUN_LIFETIME)
    settings = assemble.Settings(model=model, data=Path(data), port=0, core=core)
    assemble.serve(settings, announce=partial(print, flush=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
