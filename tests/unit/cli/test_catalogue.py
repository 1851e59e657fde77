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
