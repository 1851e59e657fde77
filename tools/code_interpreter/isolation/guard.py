"""How the engine starts `confine.py`: its command line, and its order in a descriptor, where nobody else reads it."""

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

_CONFINE = Path(__file__).parent / "confine.py"


def command(order: int) -> list[str]:
    """The guard's command line; `order` is a descriptor that it must inherit."""
    return [sys.executable, "-I", "-S", str(_CONFINE), str(order)]


@contextlib.contextmanager
def order(content: Mapping[str, object]) -> Iterator[int]:
    """A descriptor from which the guard reads `content`."""
    descriptor = os.memfd_create("order")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(json.dumps(content).encode())
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)
