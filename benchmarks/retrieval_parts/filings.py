"""Are the right file and page found? Our own questions about six filings, some of which are much alike.

One store holds all of them; questions were written from the pages before any search was tried. A result's file and
page are those that the search endpoint tells. Of the ranking only BM25's k1 was chosen with these questions among
others (docs/decisions/0020). Those that miss are printed.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from _report import Goal, Row

from . import shelf
from .bench import Bench

_HERE = Path(__file__).parent
FILES = _HERE / "data" / "pdf"
_DEPTH = 20
_QUICK = 4  # questions of a quick run, on the shortest filing
FILE_1, FILE_5 = "right file first", "right file in the top 5"
PAGE_5, PAGE_20 = "right page in the top 5", "right page in the top 20"
_MEASURES = (FILE_1, FILE_5, PAGE_5, PAGE_20)
_PREFIX = "filings: "


@dataclass(frozen=True)
class Question:
    """One question.

    Attributes:
        id: the filing's short name and a number.
        file: how the name of the only filing that answers begins.
        text: what the user asks.
        answer: what is true, for people.
        words: what stands on each of the pages.
        pages: all pages of the filing that answer, counted from 1.
        alike: another of the filings has a passage much like it, with another answer.
    """

    id: str
    file: str
    text: str
    answer: str
    words: tuple[str, ...]
    pages: tuple[int, ...]
    alike: bool = False


def questions() -> list[Question]:
    """All of them, those of a filing together."""
    tables: list[dict[str, Any]] = tomllib.loads(
        (_HERE / "filings.toml").read_text(encoding="utf-8")
    )["question"]
    made: list[Question] = []
    for table in tables:
        lists: dict[str, Any] = {key: tuple(table[key]) for key in ("words", "pages")}
        made.append(Question(**(table | lists)))
    return made


async def measure(bench: Bench) -> None:
    """Fill a store with all filings and ask all questions; print those whose page is not among the first five."""
    asked = questions()
    paths = sorted(FILES.glob("*.pdf"))
    if bench.quick:
        asked = [one for one in asked if one.file.startswith("ULTA")][:_QUICK]
        paths = [path for path in paths if path.name.startswith("ULTA")]
    async with bench.server("filings") as client:
        store = await shelf.filled(client, {path.name: path.read_bytes() for path in paths})
        for one in asked:
            await _ask(bench, client, store, one)


async def _ask(bench: Bench, client: httpx.AsyncClient, store: str, one: Question) -> None:
    found = await shelf.search(client, store, query=one.text, max_num_results=_DEPTH)
    files = [str(result["filename"]).startswith(one.file) for result in found]
    pages = [
        right and result.get("page") in one.pages
        for right, result in zip(files, found, strict=True)
    ]
    seen = {FILE_1: files[:1], FILE_5: files[:5], PAGE_5: pages[:5], PAGE_20: pages}
    for measure_, hits in seen.items():
        bench.samples[_PREFIX + measure_].append(float(any(hits)))
        if one.alike:
            bench.samples[_PREFIX + measure_ + ", look-alikes"].append(float(any(hits)))
    if not any(pages[:5]):
        place = pages.index(True) + 1 if any(pages) else "none"
        print(f"  missed {one.id}: page at {place}, file at {_place(files)}: {one.text}")


def _place(hits: Sequence[bool]) -> str:
    return str(hits.index(True) + 1) if any(hits) else "none"


def rows(bench: Bench) -> list[Row]:
    """The share of the questions, for each measure; then of those with look-alikes."""
    names = [_PREFIX + measure_ + kind for kind in ("", ", look-alikes") for measure_ in _MEASURES]
    return [
        Row(name, sum(hits) / len(hits), "of 1")
        for name in names
        if (hits := bench.samples.get(name))
    ]


def goals(bench: Bench) -> list[Goal]:
    """None was set: the figures are reported, and the misses told."""
    del bench
    return []
