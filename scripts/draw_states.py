"""Draws the life cycles in docs/run-states.md from the tables in engine/states.py; scripts/draw-states calls it.

The diagrams are Mermaid, which the usual hosts and editors show as pictures. What each status means is written here,
because the tables do not say it; a status without words here is an error.
"""

import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from local_assistants.engine.states import (
    BATCH,
    MACHINES,
    MESSAGE,
    RUN,
    STEP,
    STORE_FILE,
    UPLOAD,
    VECTOR_STORE,
    Machine,
    Transition,
)

FILE = Path(__file__).resolve().parents[1] / "docs" / "run-states.md"

INTRODUCTION = """\
# Life cycles

<!-- Written by scripts/draw-states from engine/states.py. Change those, not this file. -->

Every status of the API moves by one of the tables in `engine/states.py` and in no other way. An arrow is an event that
the status takes, with the fields that it stamps with the current time and the fields that it sets to null. An event
without an arrow is refused, and changes nothing.
"""

ABOUT: dict[str, str] = {
    RUN.name: """\
A run locks its thread until it is over. `expires_at` is ten minutes after its creation, whatever happens in between;
a run that has expired keeps it, every other end sets it to null. `usage` is null until the end. `cancel` is a request:
the work may end by itself first.""",
    STEP.name: """\
A step that calls client-side functions stays in progress while the run waits for their outputs. A step that is
interrupted ends as its run ends, except that a token budget completes it.""",
    MESSAGE.name: """\
A message that a client creates is complete from the start; this is the life of one that a run writes. It is created
with its first words, and cut short by whatever ends its run: `incomplete_details.reason` says what, and what was said
is kept.""",
    VECTOR_STORE.name: """\
The status follows the files: in progress while any of them is.""",
    STORE_FILE.name: """\
A file of a vector store, apart from the file itself.""",
    BATCH.name: """\
Look at `file_counts`: a batch is completed even if some of its files failed.""",
    UPLOAD.name: """\
A file that is sent in parts.""",
}

MEANING: dict[str, dict[str, str]] = {
    RUN.name: {
        "queued": "accepted and waiting for a worker; also for a moment after tool outputs have arrived",
        "in_progress": "the model speaks, or a tool of the engine works",
        "requires_action": "the client has to submit the outputs of the functions that the model called",
        "cancelling": "somebody asked to stop, and the work has not stopped yet",
        "cancelled": "stopped as asked",
        "failed": "an error ended it; `last_error` says which",
        "completed": "the model has given its answer",
        "incomplete": "a token budget is used up; `incomplete_details` says which",
        "expired": "its ten minutes were over",
    },
    STEP.name: {
        "in_progress": "being written or worked on, or waiting for the client's outputs",
        "completed": "done, or cut short by a token budget",
        "failed": "its run failed, or the process died and the step is done again in a new one",
        "cancelled": "its run was cancelled",
        "expired": "its run expired",
    },
    MESSAGE.name: {
        "in_progress": "the model is writing it",
        "completed": "whole",
        "incomplete": "cut short",
    },
    VECTOR_STORE.name: {
        "in_progress": "some of its files are being indexed",
        "completed": "none is, even if there are no files",
        "expired": "not used for as many days as `expires_after` allows; it can be read and deleted",
    },
    STORE_FILE.name: {
        "in_progress": "being indexed, or waiting for it",
        "completed": "can be found",
        "cancelled": "its batch was cancelled before its turn came",
        "failed": "could not be indexed; `last_error` says why",
    },
    BATCH.name: {
        "in_progress": "some of its files are being indexed",
        "completed": "none is any more",
        "cancelled": "stopped as asked; files indexed before stay",
        "failed": "not used by this runtime; part of the API",
    },
    UPLOAD.name: {
        "pending": "takes parts",
        "completed": "the parts have become a file",
        "cancelled": "given up by the client",
        "expired": "not completed within its hour",
    },
}


def main(arguments: list[str]) -> int:
    """Write the file, or with --check compare it; 1 when it differs."""
    drawn = "\n".join([INTRODUCTION, *(_section(machine) for machine in MACHINES)])
    if "--check" not in arguments:
        FILE.write_text(drawn, encoding="utf-8")
        return 0
    if FILE.is_file() and FILE.read_text(encoding="utf-8") == drawn:
        return 0
    print(
        "docs/run-states.md differs from engine/states.py: run scripts/draw-states", file=sys.stderr
    )
    return 1


def _section(machine: Machine) -> str:
    return "\n".join(
        [
            f"## {machine.name.capitalize()}",
            "",
            ABOUT[machine.name],
            "",
            "```mermaid",
            "stateDiagram-v2",
            *(f"    {line}" for line in _diagram(machine)),
            "```",
            "",
            "| status | meaning |",
            "|---|---|",
            *_meanings(machine),
            "",
        ]
    )


def _diagram(machine: Machine) -> Iterator[str]:
    yield f"[*] --> {machine.initial}"
    for (status, event), transition in machine.table.items():
        yield f"{status} --> {transition.to}: {event}{_effects(transition)}"
    for status in _statuses(machine):
        if machine.is_final(status):
            yield f"{status} --> [*]"


def _effects(transition: Transition) -> str:
    stamps = [f"{name} = now" for name in transition.stamps]
    clears = [f"{name} = null" for name in transition.clears]
    effects = stamps + clears
    return f" ({', '.join(effects)})" if effects else ""


def _meanings(machine: Machine) -> Iterator[str]:
    for status in _statuses(machine):
        final = ", final" if machine.is_final(status) else ""
        yield f"| `{status}`{final} | {MEANING[machine.name][status]} |"


def _statuses(machine: Machine) -> list[StrEnum]:
    return list(type(machine.initial))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
