"""Whether the installed llama.cpp knows a GGUF's architecture and tokenizer, found out without loading its weights.

Only its vocabulary is loaded, and by a process of its own: a broken file may end it.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

from ....engine.errors import AssistantsError
from ..child import environment
from ..native import bindings, last_errors

_PATIENCE = 60.0


def refusal(path: Path) -> str:
    """Why the library would not load the file; "" when it would. Blocks for about a second."""
    command = [sys.executable, "-P", "-m", __name__, os.fspath(path)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            check=False,
            text=True,
            timeout=_PATIENCE,
            errors="replace",
            env=environment(),
        )
    except subprocess.TimeoutExpired:
        return f"llama.cpp did not come back within {_PATIENCE:g} seconds"
    if done.returncode < 0:
        return f"llama.cpp dies of it ({signal.Signals(-done.returncode).name})"
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["the attempt ended without a word"])[-1]
    return done.stdout.strip()


def _refusal(path: Path) -> str:
    try:
        native = bindings()
    except AssistantsError as error:
        return error.message
    params = native.llama_model_default_params()
    params.vocab_only = True
    params.n_gpu_layers = 0
    handle = native.llama_model_load_from_file(os.fsencode(path), params)
    if not handle:
        return last_errors()
    native.llama_model_free(handle)
    return ""


if __name__ == "__main__":
    sys.stdout.write(_refusal(Path(sys.argv[1])))
