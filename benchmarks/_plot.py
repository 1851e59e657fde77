"""Plots: drawn by whichever Python here has matplotlib, ours or the code interpreter's; else there are none."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from local_assistants import paths
from local_assistants.tools.code_interpreter import environment


def draw(drawing: Path, figures: Any, target: Path) -> None:
    """Run the script `drawing` with the name of the picture; it finds the figures (JSON) on stdin."""
    python = _python()
    if python is None:
        print("no plot: neither this Python nor the code interpreter's has matplotlib")
        return
    command = [str(python), str(drawing), str(target)]
    drawn = subprocess.run(
        command, input=json.dumps(figures), text=True, capture_output=True, check=False
    )
    print(f"plot: {target}" if drawn.returncode == 0 else drawn.stderr[-2000:])


def _python() -> Path | None:
    if find_spec("matplotlib") is not None:
        return Path(sys.executable)
    found = environment.find(paths.interpreter_root())
    return found.python if found is not None and "matplotlib" in found.packages else None
