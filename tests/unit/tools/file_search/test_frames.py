"""What goes over the socket to the worker process, and what is refused."""

import asyncio
import json

import pytest

from local_assistants.engine.errors import NotFound, ToolFault, UnsupportedFile
from local_assistants.tools.file_search.ingestion.calls import Call
from local_assistants.tools.file_search.ingestion.frames import (
    MOST,
    FrameError,
    Message,
    chunks_of,
    chunks_written,
    fault_of,
    fault_written,
    frame,
    read_frame,
    vectors_of,
)
from local_assistants.tools.file_search.ingestion.worker import ExtractedChunk


async def _read(data: bytes) -> tuple[Message, bytes]:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return await read_frame(reader)


def _lengths(size: int, split: int) -> bytes:
    return size.to_bytes(4, "big") + split.to_bytes(4, "big")


async def test_a_frame_comes_through() -> None:
    """Text of any kind, and bytes of any kind behind it."""
    message = {"key": 1, "text": "Zürich 東京 \ud800 \x00"}

    assert (message, b"\x00{}") == await _read(frame(message, b"\x00{}"))


@pytest.mark.parametrize(
    "data",
    [
        _lengths(MOST + 1, 2),
        _lengths(2, 3) + b"{}",
        _lengths(2, 2) + b"{!",
        _lengths(2, 2) + b"[]",
        _lengths(2, 2) + b"\xff\xff",
        _lengths(100_000, 100_000) + b"[" * 100_000,
    ],
)
async def test_garbage_is_refused(data: bytes) -> None:
    """Lengths that are too large or do not fit, and what is no object."""
    with pytest.raises(FrameError):
        await _read(data)


@pytest.mark.parametrize("data", [b"", b"\x00\x00", frame({"key": 1})[:-1]])
async def test_the_end_is_told(data: bytes) -> None:
    """A line that ends anywhere is an end, not an answer."""
    with pytest.raises(EOFError):
        await _read(data)


def test_what_is_too_large_is_not_sent() -> None:
    """The other end would hang up."""
    with pytest.raises(ToolFault, match="at once"):
        frame({}, b" " * MOST)


def test_errors_come_through() -> None:
    """Class, words, code and parameter; a class that is none of ours is a ToolFault."""
    error = UnsupportedFile("Not this.", param="file_id")
    written = fault_written(3, error)
    found = fault_of(json.loads(json.dumps(written)))
    strange = fault_of({**written, "fault": "SystemExit", "param": 5})

    assert (UnsupportedFile, "Not this.", error.code, "file_id") == (
        type(found),
        found.message,
        found.code,
        found.param,
    )
    assert (ToolFault, "Not this.", None) == (type(strange), strange.message, strange.param)


def test_chunks_come_through() -> None:
    """All fields, also those that are missing."""
    chunks = [ExtractedChunk(0, 4, None, "", "text"), ExtractedChunk(4, 8, 2, "A > B", "more")]

    assert chunks == chunks_of(json.loads(json.dumps(chunks_written(chunks))))


@pytest.mark.parametrize("written", [[[1, 2]], [["a", 2, None, "", ""]], 5, [None]])
def test_malformed_chunks_are_refused(written: object) -> None:
    """A worker that says such things is not believed any more."""
    with pytest.raises(FrameError):
        chunks_of(written)


def test_vectors_are_counted() -> None:
    """So many as were asked for, all of one size."""
    assert [b"abcd", b"efgh"] == vectors_of(b"abcdefgh", 2)
    assert [] == vectors_of(b"", 0)
    for payload, count in ((b"abc", 2), (b"", 2)):
        with pytest.raises(FrameError):
            vectors_of(payload, count)


@pytest.mark.parametrize(
    "message", [{"key": 1}, {"key": 1, "part": []}, {"key": 1, "done": "x", "part": []}]
)
async def test_an_answer_to_another_question_is_refused(message: Message) -> None:
    """Chunks where vectors were asked for, or nothing at all."""
    call = Call(1, {"do": "embed", "passages": []}, 2)
    with pytest.raises(FrameError):
        call.take(message, b"")


async def test_a_file_s_answer_is_checked() -> None:
    """Its end must say how much text there was."""
    call = Call(1, {"do": "extract"})
    with pytest.raises(FrameError):
        call.take({"done": "much", "key": 1}, b"")


async def test_what_a_dead_process_said_is_forgotten() -> None:
    """The next process begins from the start, and no chunk is there twice."""
    chunk = ExtractedChunk(0, 4, None, "", "text")
    call = Call(1, {"do": "extract"})
    for _ in range(2):
        call.ask()
        call.take({"part": chunks_written([chunk]), "key": 1}, b"")
        call.forget()
    call.take({"part": chunks_written([chunk]), "key": 1}, b"")
    call.take({"done": 4, "key": 1, "unreadable": []}, b"")

    assert (chunk,) == (await call.answer).chunks


async def test_the_error_s_class_survives_the_call() -> None:
    """Whoever waits for an answer gets the error itself."""
    call = Call(1, {"do": "extract"})
    call.take(fault_written(1, NotFound("It is gone.", detail="/x", passing=True)), b"")

    with pytest.raises(NotFound, match="gone") as raised:
        await call.answer
    assert ("It is gone.", "/x", True) == (
        raised.value.message,
        raised.value.detail,
        raised.value.passing,
    )
