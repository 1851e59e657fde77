"""Prints the GPUs that llama.cpp sees as JSON: the process that `devices.ask_for_gpus` starts."""

import json
import sys
from dataclasses import asdict

from ..native import bindings
from .devices import gpus


def main() -> None:
    """Print one line."""
    sys.stdout.write(json.dumps([asdict(device) for device in gpus(bindings())]) + "\n")


if __name__ == "__main__":
    main()
