"""The parsing child: `python -m local_assistants.tools.file_search.parsing.child PATH FILENAME LIMITS`.

Lowers its own limits, parses one file and writes one JSON object to standard output: the document, or the error as
{"error": code, "message": text}. Nothing else is ever written there. It is killed when it takes too long, and ends
itself by alarm should its parent have died before that.
"""

import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from ....engine.errors import AssistantsError
from .reading import ParseLimits, read_document


def confine(limits: ParseLimits) -> None:
    """Bind this process to the limits, for good."""
    seconds = int(limits.seconds) + 1
    for kind, value in (
        (resource.RLIMIT_AS, limits.memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, 0),  # a parser has nothing to write but its pipe
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))
    signal.alarm(seconds)


def answer(path: Path, filename: str, limits: ParseLimits) -> dict[str, Any]:
    """The document or the error, ready for JSON."""
    try:
        document = read_document(path, filename, limits)
    except AssistantsError as error:
        return {"error": error.code or "invalid_file", "message": error.message}
    except MemoryError:
        reason = f"it takes more than {limits.memory >> 20} MB of memory"
    except RecursionError:
        reason = "it is nested too deeply"
    except OSError as error:
        reason = f"it cannot be read ({error.strerror})"
    else:
        return {
            "text": document.text,
            "pages": [[page.number, page.start, page.end] for page in document.pages],
            "unreadable": document.unreadable,
        }
    return {"error": "invalid_file", "message": f"The file could not be parsed: {reason}."}


def main() -> None:
    """Parse what the command line names."""
    path, filename, limits = sys.argv[1:]
    pipe = os.dup(1)
    os.dup2(2, 1)  # a parser that prints must not spoil the answer
    settings = ParseLimits(**json.loads(limits))
    confine(settings)
    with os.fdopen(pipe, "wb") as stream:
        stream.write(json.dumps(answer(Path(path), filename, settings)).encode())


if __name__ == "__main__":
    main()
