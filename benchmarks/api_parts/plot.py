"""The plot: drawn by whichever Python here has matplotlib, ours or the code interpreter's; else there is none."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from _report import RESULTS

from local_assistants import paths
from local_assistants.tools.code_interpreter import environment

_DRAWING = Path(__file__).with_name("drawing.py")


def _python() -> Path | None:
    if find_spec("matplotlib") is not None:
        return Path(sys.executable)
    found = environment.find(paths.interpreter_root())
    return found.python if found is not None and "matplotlib" in found.packages else None


def draw(rounds: Mapping[str, Sequence[float]], samples: Mapping[str, Sequence[float]]) -> None:
    """Write results/api.png."""
    python = _python()
    if python is None:
        print("no plot: neither this Python nor the code interpreter's has matplotlib")
        return
    figures = json.dumps({"rounds": rounds, "samples": samples})
    command = [str(python), str(_DRAWING), str(RESULTS / "api.png")]
    drawn = subprocess.run(command, input=figures, text=True, capture_output=True, check=False)
    print(f"plot: {RESULTS / 'api.png'}" if drawn.returncode == 0 else drawn.stderr[-2000:])
