"""Files damaged at random: each is read or refused with a reason, and nothing else comes out of a parser."""

import json
import random
import re
from collections.abc import Callable
from io import BytesIO
from zipfile import ZipFile

import pytest

from local_assistants.engine.errors import InvalidRequest
from local_assistants.tools.file_search.parsing import answers
from tests.unit.tools.file_search import office, pdfs
from tests.unit.tools.file_search.reading import read

FILES = {
    "a.docx": office.word("Some words.", "More words."),
    "a.pptx": office.slides("One", "Two"),
    "a.pdf": pdfs.written(pdfs.with_texts(["one two", "three"])),
    "a.html": b"<h1>Title</h1><table><tr><td>a</td><td>b</td></tr></table><ul><li>c</li></ul>" * 3,
    "a.json": json.dumps({"a": [{"b": number} for number in range(300)]}).encode(),
    "a.md": b"# One\n\ntext\n\nTwo\n---\n\n```\n# code\n```\n",
    "a.tex": rb"\section{One} text \begin{abstract} {a} \section*{Two}" * 3,
    "a.cpp": b"namespace n {\nclass A {\n  void f(int x) {\n" * 5,
}
ROUNDS = 60
CLASS_NAME = re.compile(r"\w*(?:Error|Exception|Warning|Fault)\b")  # as Python's and libraries'
SENTENCE = re.compile(r"The file could not be parsed: \w.+\.")


def damaged(data: bytes, chance: random.Random) -> bytes:
    """`data` with some bytes changed, lost, doubled or put in."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        at, size = chance.randrange(len(changed) + 1), chance.randint(1, 100)
        changed[at : at + chance.choice((0, 1, size))] = chance.choice(
            (b"", chance.randbytes(4), bytes(changed[:size]))
        )
    return bytes(changed)


def damaged_inside(data: bytes, chance: random.Random) -> bytes:
    """An archive of which one part of XML is damaged."""
    buffer = BytesIO()
    with ZipFile(BytesIO(data)) as old, ZipFile(buffer, "w") as new:
        parts = [name for name in old.namelist() if name.endswith((".xml", ".rels"))]
        chosen = chance.choice(parts)
        for name in old.namelist():
            part = old.read(name)
            new.writestr(name, damaged(part, chance) if name == chosen else part)
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore")  # libraries warn of what they mend
@pytest.mark.parametrize(
    ("name", "harm"),
    [
        *((name, damaged) for name in FILES),
        ("a.docx", damaged_inside),
        ("a.pptx", damaged_inside),
    ],
)
def test_a_damaged_file_is_read_or_refused(
    name: str, harm: Callable[[bytes, random.Random], bytes]
) -> None:
    """What is read can be handed on; what is refused says why in a sentence."""
    chance = random.Random(name)
    said = [outcome(name, harm(FILES[name], chance)) for _ in range(ROUNDS)]
    refused = [words for words in said if words]

    assert [words for words in refused if not SENTENCE.fullmatch(words)] == []
    assert [words for words in refused if CLASS_NAME.search(words)] == []
    assert refused


def outcome(name: str, data: bytes) -> str:
    """What is said of a file; "" when it is read, and its document the same when it has come through the pipe."""
    try:
        document = read(name, data)
    except InvalidRequest as refused:
        return refused.message
    assert answers.document_of(answers.of_document(document)) == document
    return ""
