"""The errors of parsing, in one wording: what is wrong with the file, and what its owner can do about it."""

from ....engine.errors import InvalidRequest

UNREADABLE = "its parts do not fit together"
"""The detail of damage that a library found, which says it in names that only its programmers know."""


def invalid(reason: str) -> InvalidRequest:
    """The error for a file that is of a supported kind and cannot be parsed."""
    return InvalidRequest(f"The file could not be parsed: {reason}.", code="invalid_file")


def encrypted(kind: str) -> InvalidRequest:
    """The error for a file that opens with a password only; `kind` as in "the PDF"."""
    return invalid(f"{kind} is encrypted; remove its password and upload it again")


def damaged(kind: str, detail: str) -> InvalidRequest:
    """The error for a file whose structure is broken."""
    return invalid(f"{kind} is damaged ({detail}); open it where it was made and save it anew")


def too_hungry(memory: int) -> InvalidRequest:
    """The error for a file whose parser ran out of its bytes of memory."""
    return invalid(f"it takes more than {memory >> 20} MB of memory; split it")
