"""Events come out whole, however the bytes come in."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_assistants.backends.openai_compatible.sse import Event, EventParser
from local_assistants.engine.errors import BackendFault


def read(*chunks: bytes, max_line: int = 1000, max_total: int = 10_000) -> list[Event]:
    """All events of a stream."""
    parser = EventParser(max_line, max_total)
    return [event for chunk in chunks for event in parser.feed(chunk)] + parser.end()


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: one\n\ndata: two\n\n", ["one", "two"]),
        (b"data: one\r\n\r\ndata: two\r\n\r\n", ["one", "two"]),
        (b"data: one\r\rdata: two\r\r", ["one", "two"]),
        (b"data:one\n\n", ["one"]),
        (b"data:  one\n\n", [" one"]),
        (b"data: one\ndata: two\n\n", ["one\ntwo"]),
        (b"data\n\n", [""]),
        (b": a comment\n\n: ping\n\ndata: one\n\n", ["one"]),
        (b"event: message\nid: 7\nretry: 10\ndata: one\n\n", ["one"]),
        (b"event: message\n\n", []),
        (b"\xef\xbb\xbfdata: one\n\n", ["one"]),
        (b"data: one\n\ndata: unended", ["one", "unended"]),
        ("data: é😀\n\n".encode(), ["é😀"]),
        (b"data: \xff\n\n", ["\ufffd"]),
        (b"", []),
    ],
)
def test_data_of_each_event(stream: bytes, expected: list[str]) -> None:
    """Line endings, comments, other fields, several lines, a missing end."""
    assert expected == [event.data for event in read(stream)]


@given(st.data())
def test_the_same_events_wherever_the_bytes_are_cut(data: st.DataObject) -> None:
    """Also inside a character, a CRLF and the byte order mark."""
    stream = "\ufeffdata: é😀\r\n: c\r\n\r\ndata: a\ndata: b\n\nevent: error\rdata: c\r\r".encode()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=8)))
    bounds = [0, *cuts, len(stream)]
    chunks = [stream[a:b] for a, b in pairwise(bounds)]
    assert [Event("é😀"), Event("a\nb"), Event("c", is_error=True)] == read(*chunks)


def test_errors_are_marked() -> None:
    """By the event's name, or by the field that old llama-servers used."""
    stream = b'event: error\ndata: {"a": 1}\n\nerror: {"b": 2}\n\ndata: x\n\n'
    expected = [Event('{"a": 1}', is_error=True), Event('{"b": 2}', is_error=True), Event("x")]
    assert expected == read(stream)


@pytest.mark.parametrize(
    "chunks",
    [
        [b"data: " + b"x" * 1000],
        [b"x" * 600, b"x" * 600],
        [b"data: " + b"x" * 600 + b"\n", b"data: " + b"x" * 600 + b"\n"],
        [b"data: " + b"x" * 600 + b"\n", b"x" * 600],
    ],
)
def test_a_line_without_end_is_cut_off(chunks: list[bytes]) -> None:
    """Whether it comes at once, in pieces, or as many lines of one event."""
    with pytest.raises(BackendFault, match="more than 1000 bytes"):
        read(*chunks, b"x" * 500, b"\n\n")


def test_a_stream_without_end_is_cut_off() -> None:
    """Comments count, too."""
    with pytest.raises(BackendFault, match="more than 10000 bytes for one answer"):
        read(*[b": ping\n\n"] * 2000)
