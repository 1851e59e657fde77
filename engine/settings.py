"""The knobs of the core, with the values that suit a small model on a laptop."""

from dataclasses import dataclass
from enum import StrEnum


class BusyPolicy(StrEnum):
    """What becomes of a new message or run while a run holds its thread."""

    REFUSE = "refuse"  # as the API does
    QUEUE = "queue"  # it waits until the thread is free
    INTERRUPT = "interrupt"  # the run is cancelled, then as queue


MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class CoreSettings:
    """Times in seconds.

    Attributes:
        run_lifetime: a run that is not over this long after its creation expires.
        lease: how long a worker owns a run without a heartbeat.
        heartbeat: how often the worker extends its leases and looks for overdue runs.
        flush_interval: deltas are journaled at most this often.
        max_concurrent_runs: runs executed at a time; the rest wait in the queue.
        max_queued_runs: runs of one project that may wait in the queue; one more is refused with 429.
        max_tool_turns: turns of a run that may call engine-side tools; after that the model has to answer.
        max_failed_calls: calls of a run whose code may fail; after that no code is run and the model has to answer.
        tool_output_tokens: how much of one tool output a slow model reads, or one whose speed is not known.
        reading_seconds: a faster model gets as much as it reads in about this time, see `reading`.
        index_wait: how long a new run waits for the thread's vector store.
        indexed_at_once: files that are made searchable at a time; a vector store leaves two of the places to others.
        nudges: tell the model under a tool's output to answer when it has enough, and not to repeat itself.
        named_citations: citation markers name the file (【4:0†name.txt】), else they say "source" as older ones did.
        closing_marks: cite the best passage and link made files when the model forgot to.
        max_file_bytes: largest file that comes in one piece.
        max_part_bytes: largest part of an upload.
        max_upload_bytes: largest file that comes in parts; also all parts of one upload together.
        upload_lifetime: an upload that is not completed this long after its creation expires.
        housekeeping: what expires is looked for at its time, and at least this often.
        min_free_bytes: no file and no part is taken in while the data folder's disk has less room than this left.
        orphan_age: bytes that nothing names are removed when they are this old; younger ones may be on their way.
    """

    run_lifetime: int = 600
    lease: float = 15.0
    heartbeat: float = 1.0
    flush_interval: float = 0.025
    max_concurrent_runs: int = 32
    max_queued_runs: int = 10_000
    max_tool_turns: int = 8
    max_failed_calls: int = 5
    tool_output_tokens: int = 1200
    reading_seconds: float = 20.0
    index_wait: float = 60.0
    indexed_at_once: int = 16
    nudges: bool = True
    named_citations: bool = True
    closing_marks: bool = True
    max_file_bytes: int = 512 * MIB
    max_part_bytes: int = 64 * MIB
    max_upload_bytes: int = 8192 * MIB
    upload_lifetime: int = 3600
    housekeeping: float = 30.0
    min_free_bytes: int = 256 * MIB
    orphan_age: float = 3600.0

    @property
    def project_share(self) -> int:
        """How many runs of one project are executed at a time while there are other projects.

        An eighth of the places, at least one, is left to these, so that their first runs start at once.
        """
        return max(1, self.max_concurrent_runs - max(1, self.max_concurrent_runs // 8))
