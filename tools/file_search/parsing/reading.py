"""From an uploaded file to a `Document`: choose the parser, keep the limits, run it where it can do no harm.

A file is hostile until parsed: a PDF of 49 kB was seen to keep a parser busy for half a minute and to take hundreds of
megabytes. So parsing happens in a child process with a wall clock and a memory limit; what the child says is checked.
It promises no OCR, and reads no office formats yet.
"""

import asyncio
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ....engine.errors import InvalidRequest, ServerFault, UnsupportedFile
from .documents import Document, PageSpan
from .pdf import pdf_document
from .plain_text import TEXT_EXTENSIONS, decode, html_text

EXTENSIONS = TEXT_EXTENSIONS | {".pdf"}
_OFFICE = frozenset({".doc", ".docx", ".pptx"})


@dataclass(frozen=True, slots=True)
class ParseLimits:
    """What parsing one file may take: seconds of wall clock, bytes of memory and file, pages, code points of text."""

    seconds: float = 120.0
    memory: int = 1 << 30
    file_bytes: int = 512 << 20
    pages: int = 5_000
    characters: int = 20_000_000  # about the contract's 5,000,000 tokens


def extension(filename: str) -> str:
    """The lower-case ending of a supported file name.

    Raises:
        UnsupportedFile: no parser for it.
    """
    suffix = Path(filename).suffix.lower()
    if suffix in EXTENSIONS:
        return suffix
    if suffix in _OFFICE:
        raise UnsupportedFile(
            f"The file type is not supported: {suffix} files cannot be read yet. Save '{filename}' as PDF."
        )
    known = " ".join(sorted(EXTENSIONS))
    raise UnsupportedFile(
        f"The file type is not supported: file search cannot read '{filename}'. It reads {known}."
    )


def read_document(path: Path, filename: str, limits: ParseLimits) -> Document:
    """Parse the file at `path` in this process; blocking, without limits on time and memory.

    Raises:
        UnsupportedFile: no parser for the ending of `filename`.
        InvalidRequest: unreadable, empty or over a limit; the message says why.
    """
    suffix = extension(filename)
    if path.stat().st_size > limits.file_bytes:
        raise _invalid(f"it is too large (over {limits.file_bytes >> 20} MB)")
    if suffix == ".pdf":
        document = pdf_document(path, limits.pages)
    else:
        text = decode(path.read_bytes())
        document = Document.of_pages([(None, html_text(text) if suffix == ".html" else text)])
    if not document.text:
        raise _invalid("it is empty")
    if len(document.text) > limits.characters:
        raise _invalid(f"it is too large (over {limits.characters:,} characters of text)")
    return document


def _invalid(reason: str) -> InvalidRequest:
    return InvalidRequest(f"The file could not be parsed: {reason}.", code="invalid_file")


async def parse(path: Path, filename: str, limits: ParseLimits) -> Document:
    """`read_document` in a child process, within all limits. Cancelling kills the child.

    Raises:
        UnsupportedFile, InvalidRequest: as `read_document`; also when the child runs out of time or memory.
        ServerFault: the child cannot be started.
    """
    extension(filename)
    try:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", f"{__package__}.child"),
            *(str(path), filename, json.dumps(asdict(limits))),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=_environment(),
        )
    except OSError as error:
        raise ServerFault(f"The parsing process cannot be started: {error.strerror}.") from error
    try:
        output, _ = await asyncio.wait_for(child.communicate(), limits.seconds)
    except TimeoutError:
        raise _invalid(f"parsing took more than {limits.seconds:g} seconds") from None
    finally:
        await _end(child)
    return await asyncio.to_thread(_document, output)


def _environment() -> dict[str, str]:
    """The child's whole environment: it finds the same modules as we do and gets no secrets."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        "PYTHONUTF8": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


async def _end(child: asyncio.subprocess.Process) -> None:
    if child.returncode is None:
        child.kill()
        await child.communicate()


def _document(output: bytes) -> Document:
    """What the child wrote, or the error it reported."""
    try:
        answer: dict[str, Any] = json.loads(output)
    except ValueError:
        raise _invalid("the parser ran out of time or memory, or crashed") from None
    if "error" in answer:
        kind = UnsupportedFile if answer["error"] == "unsupported_file" else InvalidRequest
        raise kind(str(answer["message"]), code=str(answer["error"]))
    pages = tuple(PageSpan(*span) for span in answer["pages"])
    return Document(str(answer["text"]), pages, tuple(answer["unreadable"]))
