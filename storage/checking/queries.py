"""The invariants that one SQL statement each can ask for; checks.sql has them under their names."""

from collections.abc import Callable, Iterator, Sequence

from ...engine import invariants
from ...engine.invariants import Invariant
from ...engine.states import MESSAGE, RUN, STEP
from .look import Found, Look, as_list, statements_of_checks

OBJECTS = (invariants.PROJECT_OF_RUN, invariants.LISTED_FILES)
RUNS = (
    invariants.STEP_HAS_RUN,
    invariants.MESSAGE_HAS_THREAD,
    invariants.MESSAGE_HAS_RUN,
    invariants.ONE_ACTIVE_RUN,
    invariants.FINISHED_RUN_CLOSED,
    invariants.FINISHED_RUN_FREE,
)
MESSAGES = (
    invariants.MESSAGE_ONCE,
    invariants.TRANSCRIPT_ONCE,
    invariants.MESSAGE_IN_TRANSCRIPT,
    invariants.JOURNAL_NUMBERED,
)
STORES = (
    invariants.UPLOAD_PARTS,
    invariants.STORE_FILES,
    invariants.STORE_COUNTS,
    invariants.BATCH_COUNTS,
    invariants.STORAGE_LEDGER,
    invariants.FILE_ATTRIBUTES,
)
TEXTS = (invariants.TEXT_RANGES, invariants.FILE_TEXTS, invariants.VECTORS_AGREE)


def check(wanted: Sequence[Invariant]) -> Callable[[Look], Iterator[Found]]:
    """A check of these."""

    def found(look: Look) -> Iterator[Found]:
        values = {
            "active": as_list(set(type(RUN.initial)) - RUN.final),
            "final_runs": as_list(RUN.final),
            "final_steps": as_list(STEP.final),
            "final_messages": as_list(MESSAGE.final),
        }
        for invariant in wanted:
            sql = statements_of_checks()[invariant.name.replace("-", "_")]
            for subject, seen in look.each(sql, values):
                yield Found(invariant, str(subject), str(seen))

    return found
