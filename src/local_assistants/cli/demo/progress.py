"""What an interrupted demo had finished, so that `--resume` can go on from there.

One small JSON file in the output folder. A file that cannot be read counts as none: then the demo starts afresh.
"""

from pathlib import Path

from pydantic import BaseModel, ValidationError

from local_assistants.cli.demo.analyst import Analysis
from local_assistants.cli.demo.ledger import Record

_NAME = "progress.json"


class Progress(BaseModel):
    """Finished chapters with their checks and durations, and what chapter 4 needs of chapter 1."""

    model: str
    finished: dict[str, Record] = {}
    analysis: Analysis | None = None


def load(folder: Path, model: str) -> Progress | None:
    """The progress of an earlier demo with this model, if there is any."""
    try:
        found = Progress.model_validate_json((folder / _NAME).read_bytes())
    except (OSError, ValidationError):
        return None
    return found if found.model == model and found.finished else None


def save(folder: Path, progress: Progress) -> None:
    """Write it whole or not at all."""
    partial = folder / f"{_NAME}.partial"
    partial.write_text(progress.model_dump_json(indent=2), encoding="utf-8")
    partial.replace(folder / _NAME)


def forget(folder: Path) -> None:
    """The demo came to its end, or begins anew."""
    (folder / _NAME).unlink(missing_ok=True)
