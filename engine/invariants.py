"""What has to hold in every data folder, at every moment, whoever was killed when.

Names and words only: `local-assistants db check` looks (the SQL is storage's), docs/durability.md lists them. An
invariant is told by its name in reports and programs, so a name stays.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Invariant:
    """One thing that holds.

    Attributes:
        name: by which reports and programs know it.
        holds: what is true, in a sentence.
        mend: what to do where it is not.
    """

    name: str
    holds: str
    mend: str


_RESTORE = "Restore the data folder from a backup (docs/durability.md)."
_REPORT = (
    "Keep a copy of the data folder and report it: no crash may leave this behind. Deleting the thread "
    "clears it."
)
_RECOUNT = "Add a file to the vector store or take one out: what it says is then counted anew; if not, report it."

DATABASE_INTACT = Invariant(
    "database-intact",
    "SQLite's own check finds every page, index and constraint in order.",
    _RESTORE,
)
SCHEMA_WHOLE = Invariant(
    "schema-whole",
    "Every table, index and trigger that the schema has is there.",
    f"Somebody changed the schema by hand. {_RESTORE}",
)
REFERENCES = Invariant(
    "references",
    "What belongs to another object finds it: every foreign key leads somewhere.",
    f"Somebody deleted rows by hand. {_RESTORE}",
)

OBJECT_READABLE = Invariant(
    "object-readable",
    "Every stored object can be read, as an object of its kind.",
    f"It is damaged or of another version. {_RESTORE}",
)
COLUMNS_AGREE = Invariant(
    "columns-agree",
    "What columns repeat of an object, for lists and locks, is what the object says.",
    _REPORT,
)
STATUS_LEGAL = Invariant(
    "status-legal",
    "Every status is one of its life cycle (docs/run-states.md).",
    _REPORT,
)
FIELDS_FIT = Invariant(
    "fields-fit",
    "What a status stamps is set, what it clears is empty; a run that waits says for which calls.",
    _REPORT,
)
PROJECT_OF_RUN = Invariant(
    "project-of-run",
    "A run is of its thread's project.",
    _REPORT,
)
LISTED_FILES = Invariant(
    "listed-files",
    "The index of who lists which file for the code interpreter is what their owners say, and the files are there.",
    "Modify the assistant's or thread's tool_resources: the index follows.",
)

STEP_HAS_RUN = Invariant(
    "step-has-run", "Every step belongs to a run, in the run's thread.", _REPORT
)
MESSAGE_HAS_THREAD = Invariant("message-has-thread", "Every message belongs to a thread.", _REPORT)
MESSAGE_HAS_RUN = Invariant(
    "message-has-run", "A message that a run made belongs to a run of its thread.", _REPORT
)
ONE_ACTIVE_RUN = Invariant(
    "one-active-run",
    "A thread has at most one run that is not over.",
    "Cancel all of them but one.",
)
FINISHED_RUN_CLOSED = Invariant(
    "finished-run-closed",
    "No step and no message of a run that is over is in progress.",
    _REPORT,
)
FINISHED_RUN_FREE = Invariant(
    "finished-run-free",
    "A run that is over or waits for its client is nobody's work.",
    _REPORT,
)
RUN_HAS_OWNER = Invariant(
    "run-has-owner",
    "While a server is at work, a run in progress or cancelling has an owner who extends its lease. Without a server "
    "it waits for the next start: a note.",
    "Start the server again; it takes up such runs. The server's log says why this one did not.",
)
RUN_IN_TIME = Invariant(
    "run-in-time",
    "While a server is at work, no run is left past its expires_at. Without one: a note.",
    "Start the server again; it ends such runs. The server's log says why this one did not.",
)

MESSAGE_ONCE = Invariant(
    "message-once",
    "A message that a run made was made by exactly one of its steps.",
    _REPORT,
)
TRANSCRIPT_ONCE = Invariant(
    "transcript-once",
    "What the model is told has a message once.",
    "Delete the message: its lines go with it.",
)
MESSAGE_IN_TRANSCRIPT = Invariant(
    "message-in-transcript",
    "The model is told what clients said: each of their messages has a line in the transcript, and no line stands for "
    "one that is gone.",
    "Delete the message and send it again.",
)

JOURNAL_NUMBERED = Invariant(
    "journal-numbered",
    "A run's events are numbered from 1 without gaps.",
    _REPORT,
)
JOURNAL_PATH = Invariant(
    "journal-path",
    "The events of a run are a walk through the tables of docs/run-states.md, for the run, its steps and its messages.",
    _REPORT,
)
JOURNAL_AGREES = Invariant(
    "journal-agrees",
    "The last event of a run, step or message shows it as it is stored, metadata aside.",
    _REPORT,
)

FILE_BYTES = Invariant(
    "file-bytes",
    "Every file and every part of an upload has its bytes, as many as its record says.",
    "Take the bytes from a backup (blobs/, the same place), or delete the file and upload it again.",
)
FILE_CONTENT = Invariant(
    "file-content",
    "The bytes of a file have the SHA-256 that they had when they were written, and when they were indexed.",
    "The disk is failing, or somebody changed the file. Take the bytes from a backup, or upload it again.",
)
STRAY_BYTES = Invariant(
    "stray-bytes",
    "A server at work leaves no bytes that nothing names for more than two hours. Younger ones are a note, and so are "
    "all without a server: the next one removes them.",
    "Start the server again; it removes them. Its log says why it did not.",
)
UPLOAD_PARTS = Invariant(
    "upload-parts",
    "A pending upload has the parts and bytes that it counts; one that is over has no parts, a completed one a file.",
    "Cancel the upload and send the file again.",
)

STORE_FILES = Invariant(
    "store-files",
    "Every file in a vector store is there as a file.",
    "Take it out of the vector store.",
)
STORE_COUNTS = Invariant(
    "store-counts",
    "A vector store's counts, bytes and status are what its files say.",
    _RECOUNT,
)
BATCH_COUNTS = Invariant(
    "batch-counts",
    "The counts of a file batch in progress are what its files say.",
    _RECOUNT,
)
STORAGE_LEDGER = Invariant(
    "storage-ledger",
    "The ledger's open period of a vector store says what it takes; one that is gone, expired or empty has none.",
    _RECOUNT,
)
FILE_ATTRIBUTES = Invariant(
    "file-attributes",
    "The index that filters use is what the files' attributes say.",
    "Set the file's attributes again: the index follows.",
)

TEXT_RANGES = Invariant(
    "text-ranges",
    "Every text lies in the range of its vector store, and the store's counters are right.",
    "Delete the vector store and make it again.",
)
FILE_TEXTS = Invariant(
    "file-texts",
    "An indexed file has all its chunks, each with its vector once it is completed; no text is left of a file that was "
    "taken out.",
    "Take the file out of the vector store and put it in again.",
)
VECTORS_AGREE = Invariant(
    "vectors-agree",
    "Every vector is a chunk's, and all vectors of a store have one length.",
    "Take the vector store's files out and put them in again.",
)
WORDS_AGREE = Invariant(
    "words-agree",
    "The word indexes hold exactly the words of the texts.",
    "Stop the server, then have SQLite make the index anew: INSERT INTO chunk_words (chunk_words) VALUES ('rebuild'), "
    "and the same for file_words.",
)

INVARIANTS: tuple[Invariant, ...] = (
    DATABASE_INTACT,
    SCHEMA_WHOLE,
    REFERENCES,
    OBJECT_READABLE,
    COLUMNS_AGREE,
    STATUS_LEGAL,
    FIELDS_FIT,
    PROJECT_OF_RUN,
    LISTED_FILES,
    STEP_HAS_RUN,
    MESSAGE_HAS_THREAD,
    MESSAGE_HAS_RUN,
    ONE_ACTIVE_RUN,
    FINISHED_RUN_CLOSED,
    FINISHED_RUN_FREE,
    RUN_HAS_OWNER,
    RUN_IN_TIME,
    MESSAGE_ONCE,
    TRANSCRIPT_ONCE,
    MESSAGE_IN_TRANSCRIPT,
    JOURNAL_NUMBERED,
    JOURNAL_PATH,
    JOURNAL_AGREES,
    FILE_BYTES,
    FILE_CONTENT,
    STRAY_BYTES,
    UPLOAD_PARTS,
    STORE_FILES,
    STORE_COUNTS,
    BATCH_COUNTS,
    STORAGE_LEDGER,
    FILE_ATTRIBUTES,
    TEXT_RANGES,
    FILE_TEXTS,
    VECTORS_AGREE,
    WORDS_AGREE,
)
"""All of them, in the order in which they are looked at."""
