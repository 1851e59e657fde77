"""The catalogue is sound, and models/README.md shows the same figures."""

import re
from pathlib import Path

import pytest

from local_assistants import catalogue
from local_assistants.catalogue import CatalogueEntry

README = Path(__file__).resolve().parents[3] / "models" / "README.md"
ENTRIES = catalogue.entries()


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.key)
def test_every_entry_is_pinned(entry: CatalogueEntry) -> None:
    """A full hash and an exact version a part: weights cannot change under one name."""
    assert re.fullmatch(r"[0-9a-f]{64}", entry.sha256)
    assert re.fullmatch(r"[a-z0-9-]+==[0-9.]+", entry.requirement(entry.parts))


def test_further_files_are_pinned_and_told() -> None:
    """What comes with a model from another package has an exact version, a hash, and a place in models/README.md."""
    extras = [extra for entry in ENTRIES for extra in entry.extras]
    page = README.read_text(encoding="utf-8")
    told = [
        all(str(fact) in page for fact in (extra.requirement(1), extra.sha256, extra.bytes))
        for extra in extras
    ]

    assert ["all-MiniLM-L6-v2/onnx/model.onnx"] == [extra.file for extra in extras]
    assert [True] == told
    assert all(re.fullmatch(r"[0-9a-f]{64}", extra.sha256) for extra in extras)


def test_no_two_entries_answer_to_one_name() -> None:
    """Keys, aliases and files are unique over the whole catalogue."""
    names = [name for entry in ENTRIES for name in (entry.key, *entry.aliases, entry.target)]

    assert len(set(names)) == len(names)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.key)
def test_the_readme_shows_the_catalogue(entry: CatalogueEntry) -> None:
    """The table in models/README.md has this entry's row, to the byte."""
    packages = (
        entry.requirement(1) if entry.parts == 1 else f"{entry.requirement(1)} … {entry.parts}"
    )
    row = (
        f"| `{entry.key}` | {entry.title} | {entry.bytes} | {entry.context} | {entry.licence} "
        f"| `{packages}` | `{entry.sha256}` | {entry.purpose} |"
    )

    assert row in README.read_text(encoding="utf-8").splitlines()
