"""Frames of bytes into messages: real ones are read, and of all others nothing is believed."""

import json
from typing import Any

import pytest
from jupyter_client.session import Session

from local_assistants.tools.code_interpreter.kernels import messages
from local_assistants.tools.code_interpreter.kernels.messages import Message
from local_assistants.tools.code_interpreter.kernels.zmtp import Multipart

HEADER, PARENT = b'{"msg_type": "stream"}', b'{"msg_id": "request"}'


def frames(*parts: bytes) -> list[bytes]:
    """A message's frames: a topic, the delimiter, a signature, and these."""
    return [b"topic", b"<IDS|MSG>", b"signature", *parts]


def test_what_jupyter_writes_is_read() -> None:
    """With its kind, the request that it answers, and its content."""
    session: Any = Session(key=b"secret")
    request = session.msg("execute_request", {})
    answer = session.msg("stream", {"name": "stdout", "text": "é"}, parent=request)
    expected = Message("stream", request["msg_id"], {"name": "stdout", "text": "é"})
    assert expected == messages.read(Multipart(session.serialize(answer)))


@pytest.mark.parametrize(
    "parts",
    [
        [],
        frames(),
        frames(HEADER),
        frames(b"{}", PARENT, b"{}", b"{}"),
        frames(HEADER, b"{}", b"{}", b"{}"),
        frames(HEADER, b'{"msg_id": 3}', b"{}", b"{}"),
        frames(b'{"msg_type": []}', PARENT, b"{}", b"{}"),
        frames(b"[]", PARENT, b"{}", b"{}"),
        frames(b"\xff\xfe", PARENT, b"{}", b"{}"),
        frames(b"[" * 60_000, PARENT, b"{}", b"{}"),
        frames(HEADER, b'{"msg_id": "request"}'.ljust(70_000), b"{}", b"{}"),
        [HEADER, PARENT, b"{}", b"{}"],
    ],
)
def test_what_does_not_say_its_kind_and_request_is_no_message(parts: list[bytes]) -> None:
    """It cannot belong to a call, so nobody hears of it."""
    assert messages.read(Multipart(parts)) is None


@pytest.mark.parametrize(
    "content",
    [
        [],
        [b"no JSON"],
        [b"[]"],
        [b'{"a":' * 100_000],
        [b'{"a": [' + b"[]," * 200_000 + b"[]]}"],
        [b'{"a": 1' + b"0" * 10_000 + b"}"],
    ],
)
def test_content_that_cannot_be_read_is_known_to_be_missing(content: list[bytes]) -> None:
    """The message still ends its call, or tells that something was left out."""
    read = messages.read(Multipart(frames(HEADER, PARENT, b"{}", *content)))
    assert Message("stream", "request", None) == read


@pytest.mark.parametrize("text", ["A" * 4_000_000, "a,b\n" * 20_000, "é;ü\u00a0" * 150_000])
def test_long_text_is_read_whatever_is_in_it(text: str) -> None:
    """A picture, a table of comma-separated values, another language."""
    content: dict[str, Any] = {"text": text}
    packed = json.dumps(content, ensure_ascii=False).encode()
    read = messages.read(Multipart(frames(HEADER, PARENT, b"{}", packed)))
    assert Message("stream", "request", content) == read


def test_a_message_whose_buffers_were_cut_off_is_whole() -> None:
    """Nobody looks at buffers."""
    parts = frames(HEADER, PARENT, b"{}", b'{"text": "x"}')
    assert Message("stream", "request", {"text": "x"}) == messages.read(Multipart(parts, cut=True))
