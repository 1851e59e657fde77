"""The questions about the filings: each answer stands on the pages that are named for it."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

ROOT = Path(__file__).parents[3]


@pytest.fixture
def filings(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The benchmark's module, which is of no package of ours."""
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    return importlib.import_module("retrieval_parts.filings")


@pytest.mark.parametrize(
    "short", ["AMCOR", "BESTBUY_2023", "BESTBUY_2024", "JOHNSON", "MGM", "ULTA"]
)
def test_answers_stand_on_their_pages(filings: Any, short: str) -> None:
    """Of all questions about this filing, six at least."""
    [path] = filings.FILES.glob(f"{short}*.pdf")
    own = [one for one in filings.questions() if path.name.startswith(one.file)]
    reader: Any = PdfReader(path)

    assert len(own) >= 6
    for page in {page for one in own for page in one.pages}:
        text = " ".join(reader.pages[page - 1].extract_text().split())
        asked = [one for one in own if page in one.pages]
        assert [] == [(one.id, word) for one in asked for word in one.words if word not in text]


def test_there_are_forty_and_half_have_look_alikes(filings: Any) -> None:
    """Each about one filing, no id twice."""
    asked, names = filings.questions(), [path.name for path in filings.FILES.glob("*.pdf")]

    assert 40 == len(asked) == len({one.id for one in asked})
    assert 20 == sum(one.alike for one in asked)
    assert all(1 == sum(name.startswith(one.file) for name in names) for one in asked)
