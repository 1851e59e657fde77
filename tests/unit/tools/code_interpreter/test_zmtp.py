"""The wire protocol against libzmq itself, and against bytes that no honest peer would send."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from socket import AF_UNIX, socket
from typing import Any

import pytest
import zmq

from local_assistants.tools.code_interpreter.kernels import zmtp
from local_assistants.tools.code_interpreter.kernels.zmtp import Decoder, Multipart, NotZmtp

MOST = 1000
GREETING = zmtp.hello("ROUTER")
"""What a peer says first, its READY included."""


@pytest.fixture
def libzmq() -> Iterator["zmq.Context[Any]"]:
    """The real one, ended with the test."""
    context: zmq.Context[Any] = zmq.Context()
    yield context
    context.term()


class Client:
    """Our side: a blocking socket and a decoder."""

    def __init__(self, path: Path, socket_type: str) -> None:
        self._socket = socket(AF_UNIX)
        self._socket.settimeout(10)
        self._socket.connect(str(path))
        self._socket.sendall(zmtp.hello(socket_type))
        self._decoder = Decoder(1 << 20)
        while not self._decoder.ready:
            assert [] == self.receive()

    def send(self, message: bytes) -> None:
        self._socket.sendall(message)

    def receive(self) -> Sequence[Multipart]:
        return list(self._decoder.feed(self._socket.recv(65536)))

    def receive_one(self) -> Sequence[bytes]:
        """The frames of the next message, which is the only one on its way."""
        came: Sequence[Multipart] = []
        while not came:
            came = self.receive()
        assert 1 == len(came)
        return came[0].frames

    def close(self) -> None:
        self._socket.close()


@pytest.mark.parametrize(
    "frames", [[b"one"], [b"", b""], [b"a", b"b" * 255, b"c" * 256, b"d" * 70_000]]
)
def test_a_request_reaches_a_router_and_its_answer_comes_back(
    libzmq: "zmq.Context[Any]", tmp_path: Path, frames: list[bytes]
) -> None:
    """Frames of every length form, both ways."""
    with libzmq.socket(zmq.ROUTER) as router:
        router.bind(f"ipc://{tmp_path}/router")
        client = Client(tmp_path / "router", "DEALER")
        client.send(zmtp.encode(frames))
        identity, *received = router.recv_multipart()
        router.send_multipart([identity, *reversed(received)])
        assert frames == received
        assert frames[::-1] == client.receive_one()
        client.close()


def test_a_subscriber_hears_a_publisher(libzmq: "zmq.Context[Any]", tmp_path: Path) -> None:
    """With the subscription that asks for everything."""
    with libzmq.socket(zmq.XPUB) as publisher:
        publisher.bind(f"ipc://{tmp_path}/publisher")
        client = Client(tmp_path / "publisher", "SUB")
        client.send(zmtp.SUBSCRIPTION)
        assert b"\x01" == publisher.recv()
        publisher.send_multipart([b"topic", b"news"])
        assert [b"topic", b"news"] == client.receive_one()
        client.close()


@pytest.mark.parametrize("size", [1, 2, 7, 64, 10_000])
def test_pieces_of_any_size_make_the_same_messages(size: int) -> None:
    """A stream has no borders but those that it says."""
    messages = [[b"a"], [b"b", b"", b"c" * 300], [b""]]
    wire = GREETING + b"".join(zmtp.encode(frames) for frames in messages)
    assert messages == [message.frames for message in _decode(Decoder(MOST), wire, size)]


def test_nothing_counts_before_the_handshake() -> None:
    """A peer is ready with its first command."""
    decoder = Decoder(MOST)
    assert [] == list(decoder.feed(GREETING[:64]))
    assert not decoder.ready
    assert [] == list(decoder.feed(GREETING[64:]))
    assert decoder.ready


@pytest.mark.parametrize("size", [100, 10_000])
def test_what_goes_beyond_the_bound_is_cut_off(size: int) -> None:
    """The frames that fit are there, what follows them is not, and the next message is whole."""
    large = [b"head", b"x" * (MOST - 4), b"y", b"tail"]
    wire = GREETING + zmtp.encode(large) + zmtp.encode([b"next"])
    found = _decode(Decoder(MOST), wire, size)
    assert [Multipart(large[:2], cut=True), Multipart([b"next"])] == found


def test_a_message_has_a_bounded_number_of_frames() -> None:
    """Empty frames take memory too."""
    wire = GREETING + zmtp.encode([b""] * (zmtp.MOST_FRAMES + 1)) + zmtp.encode([b"next"])
    found = _decode(Decoder(MOST), wire, 10_000)
    assert [
        Multipart([b""] * zmtp.MOST_FRAMES, cut=True),
        Multipart([b"next"]),
    ] == found


def test_a_message_of_one_frame_that_is_too_large_is_told_without_it() -> None:
    """So that somebody can say that something is missing."""
    wire = GREETING + zmtp.encode([b"x" * (MOST + 1)])
    assert [Multipart([], cut=True)] == _decode(Decoder(MOST), wire, 100)


def test_commands_between_messages_are_passed_over() -> None:
    """A peer may ping; whatever it is, it is no message."""
    ping = b"\x04\x07\x04PING\0\0"
    wire = GREETING + zmtp.encode([b"a"]) + ping + zmtp.encode([b"b"])
    assert [Multipart([b"a"]), Multipart([b"b"])] == _decode(Decoder(MOST), wire, 3)


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 400 Bad Request".ljust(64),
        b"\xff" + bytes(63),
        GREETING[:10] + b"\x01" + GREETING[11:],  # version 1
        GREETING + b"\x08\x00",  # an unknown flag
    ],
)
def test_bytes_that_are_no_protocol_are_refused(wire: bytes) -> None:
    """There is no way to find the next message in them."""
    with pytest.raises(NotZmtp):
        list(Decoder(MOST).feed(wire))


def _decode(decoder: Decoder, wire: bytes, size: int) -> list[Multipart]:
    pieces = [wire[start : start + size] for start in range(0, len(wire), size)]
    return [message for piece in pieces for message in decoder.feed(piece)]
