"""The parsing children: several files, one after another and at once, and nothing that a file does harms another."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from local_assistants.engine.errors import InvalidRequest, ToolFault, UnsupportedFile
from local_assistants.tools.code_interpreter.isolation import landlock
from local_assistants.tools.file_search.parsing import answers
from local_assistants.tools.file_search.parsing.documents import Document, Heading, PageSpan
from local_assistants.tools.file_search.parsing.supervisor import Parser
from tests.unit.tools.file_search import pdfs
from tests.unit.tools.file_search.reading import LIMITS


@pytest.fixture
async def parser() -> AsyncIterator[Parser]:
    """One child."""
    made = Parser(children=1)
    yield made
    await made.close()


def stored(folder: Path, data: bytes, name: str = "file-abc") -> Path:
    """A file as uploads lie on the disk: under a name that says nothing."""
    path = folder / name
    path.write_bytes(data)
    return path


def children() -> set[int]:
    """Ids of this process's children that parse."""
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes()
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue
        if parent == os.getpid() and b"file_search.parsing.child" in command:
            found.add(int(entry.name))
    return found


async def test_a_filing_keeps_its_pages(parser: Parser, filing: Path) -> None:
    """Each page of a real PDF is found under its number, a table's rows as lines, though the PDF holds cells apart."""
    document = await parser.parse(filing, "filing.pdf")
    third = document.pages[2]

    assert [page.number for page in document.pages] == list(range(1, 10))
    assert third.number == 3
    assert "repurchased 722,457 shares" in document.text[third.start : third.end]
    assert "Goodwill 10,870 10,870" in re.sub(" +", " ", document.text).split("\n")
    assert document.unreadable == ()


async def test_headings_and_all_come_through(parser: Parser, tmp_path: Path) -> None:
    """The child's document is the one that is given."""
    text = "# Größe\n\n😀 text\n"

    assert await parser.parse(stored(tmp_path, text.encode()), "a.md") == Document(
        text, (PageSpan(None, 0, len(text)),), (), (Heading(0, 1, "Größe"),)
    )


async def test_one_child_serves_many_files(parser: Parser, tmp_path: Path) -> None:
    """Texts and others are read by the same child; errors of one are not another's."""
    text, pdf = stored(tmp_path, b"text"), stored(tmp_path, pdfs.encrypted("x"), "b")
    assert (await parser.parse(text, "a.txt")).text == "text"
    before = children()

    with pytest.raises(InvalidRequest, match="encrypted") as caught:
        await parser.parse(pdf, "a.pdf")
    with pytest.raises(UnsupportedFile):
        await parser.parse(text, "a.csv")
    assert (await parser.parse(text, "a.html")).text == "text"
    assert caught.value.code == "invalid_file"
    assert children() == before


async def test_files_are_parsed_at_once(tmp_path: Path) -> None:
    """A long file does not hold up the others."""
    bomb, text = stored(tmp_path, pdfs.operator_bomb()), stored(tmp_path, b"text", "b")
    parser = Parser(replace(LIMITS, seconds=30), children=2)
    slow = asyncio.create_task(parser.parse(bomb, "a.pdf"))
    texts = await asyncio.gather(*(parser.parse(text, "a.txt") for _ in range(20)))

    assert [document.text for document in texts] == ["text"] * 20
    assert not slow.done()
    slow.cancel()
    await asyncio.gather(slow, return_exceptions=True)
    await parser.close()


async def test_a_bomb_is_stopped_by_the_clock(tmp_path: Path) -> None:
    """A page that would keep a parser busy ends after the time allowed, and the next file is read."""
    parser = Parser(replace(LIMITS, seconds=0.5), children=1)
    started = asyncio.get_running_loop().time()

    with pytest.raises(InvalidRequest, match=r"more than 0\.5 seconds"):
        await parser.parse(stored(tmp_path, pdfs.operator_bomb()), "a.pdf")
    assert asyncio.get_running_loop().time() - started < 20
    assert (await parser.parse(stored(tmp_path, b"text"), "a.txt")).text == "text"
    await parser.close()


async def test_a_bomb_is_stopped_by_its_hunger(tmp_path: Path) -> None:
    """A page that takes too much memory is refused, and the same child reads the next file."""
    parser = Parser(replace(LIMITS, memory_bytes=128 << 20), children=1)
    assert (await parser.parse(stored(tmp_path, b"text"), "a.txt")).text == "text"
    before = children()

    with pytest.raises(InvalidRequest, match="128 MB of memory"):
        await parser.parse(stored(tmp_path, pdfs.stream_bomb()), "a.pdf")
    assert (await parser.parse(stored(tmp_path, b"text"), "a.txt")).text == "text"
    assert children() == before
    await parser.close()


@pytest.mark.parametrize("text", ["[[1,2]" + ",[1,2]" * 500_000 + "]", "[]" * 1_500_000])
async def test_a_json_of_nothing_but_brackets_is_read(tmp_path: Path, text: str) -> None:
    """Three megabytes that are millions of tokens fit into a third of the memory that a file may take."""
    parser = Parser(replace(LIMITS, memory_bytes=352 << 20), children=1)
    document = await parser.parse(stored(tmp_path, text.encode()), "a.json")

    assert "".join(document.text.split()) == text
    await parser.close()


async def test_a_child_that_was_killed_is_replaced(parser: Parser, tmp_path: Path) -> None:
    """Whatever ends an idle child, no file pays for it."""
    text = stored(tmp_path, b"text")
    await parser.parse(text, "a.txt")
    (first,) = children()
    os.kill(first, signal.SIGKILL)

    assert (await parser.parse(text, "a.txt")).text == "text"
    assert first not in children()


async def test_a_child_that_is_killed_at_work_costs_its_file_only(tmp_path: Path) -> None:
    """The file at work is refused with a reason; the next one is read."""
    parser = Parser(children=1)
    text = stored(tmp_path, b"text", "b")
    await parser.parse(text, "a.txt")
    (first,) = children()
    task = asyncio.create_task(parser.parse(stored(tmp_path, pdfs.operator_bomb()), "a.pdf"))
    await asyncio.sleep(0.2)
    os.killpg(first, signal.SIGKILL)

    with pytest.raises(InvalidRequest, match="its parser crashed"):
        await task
    assert (await parser.parse(text, "a.txt")).text == "text"
    await parser.close()


async def test_cancelling_ends_the_child(parser: Parser, tmp_path: Path) -> None:
    """Nobody parses on for a caller who has gone, and the next caller is served."""
    bomb = stored(tmp_path, pdfs.operator_bomb())
    task = asyncio.create_task(parser.parse(bomb, "a.pdf"))
    while not (before := children()):  # noqa: ASYNC110  # the kernel sends no event for this
        await asyncio.sleep(0.01)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not before & children()
    assert (await parser.parse(stored(tmp_path, b"text"), "a.txt")).text == "text"


async def test_closing_is_no_fault_of_the_file(parser: Parser, tmp_path: Path) -> None:
    """A file that was at work when the children were ended is not said to be bad; parsing can go on afterwards."""
    await parser.parse(stored(tmp_path, b"text"), "a.txt")
    task = asyncio.create_task(parser.parse(stored(tmp_path, pdfs.operator_bomb()), "a.pdf"))
    await asyncio.sleep(0.2)
    await parser.close()

    with pytest.raises(ToolFault, match="stopped"):
        await task
    assert not children()
    assert (await parser.parse(stored(tmp_path, b"text"), "a.txt")).text == "text"


@pytest.mark.parametrize(
    "name", ["😀" * 70_000 + ".md", "a\udc80.md", "a\0.md", "\u202edm.md", "../../a.md", " .MD"]
)
async def test_any_name_that_ends_well_is_a_name(parser: Parser, tmp_path: Path, name: str) -> None:
    """Its ending says how the file is read; the rest of it is looked at by nobody."""
    document = await parser.parse(stored(tmp_path, b"# One"), name)

    assert [heading.title for heading in document.headings] == ["One"]


async def test_a_file_that_is_gone_says_so(parser: Parser, tmp_path: Path) -> None:
    """No file, no text."""
    with pytest.raises(InvalidRequest, match="cannot be read"):
        await parser.parse(tmp_path / "none", "a.txt")


async def test_the_child_gets_no_secrets(
    parser: Parser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the engine's environment but what imports need, and no descriptors but its socket."""
    monkeypatch.setenv("SOME_API_KEY", "secret")
    await parser.parse(stored(tmp_path, b"text"), "a.txt")
    (child,) = children()
    variables = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
    opened = [os.readlink(entry) for entry in Path(f"/proc/{child}/fd").iterdir()]

    assert {each.partition(b"=")[0] for each in variables if each} == {
        b"PATH",
        b"PYTHONPATH",
        b"PYTHONUTF8",
        b"PYTHONDONTWRITEBYTECODE",
    }
    assert [name for name in opened if name.startswith("socket:")] == opened[-1:]
    assert set(opened[:-1]) == {"/dev/null"}


CONFINED = """
import socket, sys
from local_assistants.tools.file_search.parsing.confinement import confine
whole = confine(1 << 30)
import pypdf, docx, pptx, selectolax.lexbor
def tried(what):
    try:
        what()
    except OSError as error:
        return type(error).__name__
    return "done"
print(whole, tried(lambda: open(sys.argv[1])), tried(lambda: open("/etc/passwd")), tried(socket.socket),
      tried(lambda: open(sys.argv[1] + "2", "w").write("x")))
"""


def test_a_confined_process_reaches_nothing(tmp_path: Path) -> None:
    """Where the kernel has Landlock a parser imports its libraries, and opens no file and no socket; none writes."""
    path = tmp_path / "secret"
    path.write_text("secret")
    done = subprocess.run(
        [sys.executable, "-c", CONFINED, str(path)], capture_output=True, text=True, check=True
    )
    whole, read, system, net, write = done.stdout.split()

    if landlock.abi():
        assert (whole, read, system, net) == (
            "True",
            "PermissionError",
            "PermissionError",
            "OSError",
        )
        assert write == "PermissionError"
    else:
        assert (whole, read, write) == ("False", "done", "OSError")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"1",
        b"{}",
        b'{"text": "ab", "pages": [[1, 0, 9]], "unreadable": [], "headings": []}',
        b'{"text": "ab", "pages": [[1, -1, 1]], "unreadable": [], "headings": []}',
        b'{"text": "ab", "pages": [[1, 2, 1]], "unreadable": [], "headings": []}',
        b'{"text": "ab", "pages": [[1, 0]], "unreadable": [], "headings": []}',
        b'{"text": "ab", "pages": 7, "unreadable": [], "headings": []}',
        b'{"text": "ab", "pages": [], "unreadable": ["x"], "headings": []}',
        b'{"text": "ab", "pages": [], "unreadable": [], "headings": [[3, 1, "t"]]}',
        b"[" * 100_000,
    ],
)
def test_a_false_answer_is_none(answer: bytes) -> None:
    """A parser that a file has taken over may write what it likes; only an answer's form is taken."""
    with pytest.raises(answers.FalseAnswerError):
        answers.document_of(answer)
