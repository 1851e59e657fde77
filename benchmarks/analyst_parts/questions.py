"""The questions, as read from questions.toml: what is asked about which file, and what is true.

They were written before any advice was tuned to them; those set aside were first asked when the first tuning was over.
Their mistakes were looked at since; so there is a fresh table, that nobody looked at.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_BANKS = _HERE.parents[1] / "examples" / "data" / "failed_banks.csv"


@dataclass(frozen=True)
class Question:
    """One question.

    Attributes:
        id: the file's short name and a number.
        file: name of the table.
        text: what the user asks.
        answer: all of this must be in an answer: numbers, and words, where `|` parts what means the same.
        within: how far a number may be off; for what is asked in rounded form.
        set_aside: not looked at while advice was first tuned.
        fresh: not looked at at all.
    """

    id: str
    file: str
    text: str
    answer: tuple[str | float, ...]
    within: float = 0.0
    set_aside: bool = False
    fresh: bool = False

    @property
    def path(self) -> Path:
        """Where the table lies."""
        return _BANKS if self.file == _BANKS.name else _HERE / "data" / self.file


def questions() -> list[Question]:
    """All of them, those of a file together."""
    tables: list[dict[str, Any]] = tomllib.loads(
        (_HERE / "questions.toml").read_text(encoding="utf-8")
    )["question"]
    return [Question(**{**table, "answer": tuple(table["answer"])}) for table in tables]
