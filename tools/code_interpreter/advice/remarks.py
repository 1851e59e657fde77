"""What is said under output of code that did not fail: what helps to read it, and what makes it doubtful.

A doubt keeps the model from answering with what is no answer: it is told what to write instead. Everything else is a
remark, and the model may answer. Asks the kernel by a callable; the answers are untrusted text.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from . import counting, filters, hints, row_numbers, slips

Ask = Callable[[str], Awaitable[str]]
"""Runs code silently and gives what it printed."""


@dataclass(frozen=True)
class Remarks:
    """What to say; `doubtful`: the output is no answer."""

    notes: Sequence[str] = ()
    doubtful: bool = False


async def remarks(code: str, text: str, ask: Ask) -> Remarks:
    """What to say of `code` that printed `text`."""
    numbers = row_numbers.shown(code)
    rows = row_numbers.hint(await ask(row_numbers.question(numbers)) if numbers else "")
    wanted = filters.conditions(code)
    fits = filters.findings(await ask(filters.question(wanted)) if wanted else "", code)
    sought = counting.looked(code)
    asked = sought.counted or sought.extremes
    counts = counting.findings(await ask(counting.question(sought)) if asked else "", code)
    nothing = hints.is_nothing(text) and not rows
    left_out, unused = slips.years_left_out(code), slips.unused(code)
    if nothing or fits.share or counts.words or counts.meant or left_out or unused:
        tables = hints.read_tables(await ask(hints.COLUMNS_CODE))
        if hints.has_table(code, tables):
            year = _years(left_out, code, tables)
            empty = (fits.no_row or year or hints.DOUBT) if nothing else ""
            doubts = [empty, fits.share, counts.words, counts.meant, year, _unused(unused, code)]
            return Remarks([next(doubt for doubt in doubts if doubt)], doubtful=True)
    return Remarks([fits.every_row, rows, counts.rows, hints.grouped(text)])


def _years(years: Sequence[str], code: str, tables: Sequence[hints.Table]) -> str:
    """What to write to look for years that were left out."""
    if not years:
        return ""
    date = slips.date_column(code)
    named = (column for _, columns in tables for column in columns)
    year = next((column for column in named if column.casefold() == "year"), "")
    given = f"[{year!r}]" if year and not date else f"[{date or '...'!r}].dt.year"
    column, lines = f"df{given}", slips.by_condition(code, given)
    if len(years) == 1 and not lines:
        lines = [line for line in [slips.narrowed(code, f"{column} == {years[0]}")] if line]
    general = f"Take rows by conditions: df[({column} == {years[0]}) & (...)]"
    instead = "Instead of those lines write:\n" + "\n".join(lines) if lines else general
    return f"Hint: the code speaks of {' and '.join(years)} but never looks for it. {instead}"


def _unused(names: Sequence[str], code: str) -> str:
    if not names:
        return ""
    line, meant = slips.untouched(code)
    if line:
        instead = f"; write: {meant}" if meant else "; mend that line"
        return f"Hint: wrong is the line: {line}. It uses nothing of the table{instead}"
    return f"Hint: the code makes {' and '.join(names)} and never uses it. Use it in the result, or print it."
