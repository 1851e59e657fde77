"""The host's sockets to a kernel, with the other ends in the test's hands."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from socket import AF_UNIX, socket

import pytest

from local_assistants.tools.code_interpreter.kernels import zmtp
from local_assistants.tools.code_interpreter.kernels.connection import Connection

MESSAGE = zmtp.encode([b"news"])


class Peer:
    """The kernel's two sockets, and the ends that the host has connected to."""

    def __init__(self, folder: Path) -> None:
        self.paths = (folder / "shell", folder / "iopub")
        self._listeners = [socket(AF_UNIX), socket(AF_UNIX)]
        for listener, path in zip(self._listeners, self.paths, strict=True):
            listener.bind(str(path))
            listener.listen()
        self.ends: list[socket] = []

    def connect(self, most_bytes: int = 1 << 20) -> Connection:
        """A connection of the host, whose hand was not shaken yet."""
        made = Connection(*self.paths, most_bytes)
        self.ends = [listener.accept()[0] for listener in self._listeners]
        return made

    def shake_hands(self) -> None:
        for end, kind in zip(self.ends, ("ROUTER", "XPUB"), strict=True):
            end.sendall(zmtp.hello(kind))

    def close(self) -> None:
        for one in (*self._listeners, *self.ends):
            one.close()


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Peer]:
    """Listens for the host."""
    peer = Peer(tmp_path)
    yield peer
    peer.close()


async def test_messages_of_both_sockets_come_with_their_names(peer: Peer) -> None:
    """Replies are told apart from all else."""
    connection = peer.connect()
    peer.shake_hands()
    for end in peer.ends:
        end.sendall(MESSAGE)
    news = zmtp.Multipart([b"news"])
    assert [("shell", news), ("iopub", news)] == await connection.receive(5)
    connection.close()


async def test_a_request_waits_for_the_handshake(peer: Peer) -> None:
    """What is sent before it would be lost."""
    connection = peer.connect()
    connection.send([b"request"])
    hello = zmtp.hello("DEALER")
    assert hello == peer.ends[0].recv(4096)
    peer.shake_hands()
    assert [] == await connection.receive(5)
    assert zmtp.encode([b"request"]) == peer.ends[0].recv(4096)
    connection.close()


async def test_a_request_waits_until_the_host_has_subscribed(peer: Peer) -> None:
    """A kernel that began before it knew of the subscription would throw away what it says of the call."""
    connection = peer.connect()
    connection.send([b"request"])
    shell, iopub = peer.ends
    assert zmtp.hello("DEALER") == shell.recv(4096)
    shell.sendall(zmtp.hello("ROUTER"))
    assert [] == await connection.receive(5)
    shell.setblocking(False)
    with pytest.raises(BlockingIOError):
        shell.recv(4096)
    iopub.sendall(zmtp.hello("XPUB"))
    assert [] == await connection.receive(5)
    assert zmtp.encode([b"request"]) == shell.recv(4096)
    assert zmtp.hello("SUB") + zmtp.SUBSCRIPTION == iopub.recv(4096)
    connection.close()


async def test_a_large_request_goes_out_as_the_kernel_takes_it(peer: Peer) -> None:
    """More than a socket's buffer, to a kernel that reads slowly."""
    connection = peer.connect()
    peer.shake_hands()
    connection.send([b"x" * 3_000_000])

    async def take() -> int:
        loop, taken = asyncio.get_running_loop(), 0
        peer.ends[0].setblocking(False)
        while taken < 3_000_000:
            taken += len(await loop.sock_recv(peer.ends[0], 100_000))
        return taken

    taking = asyncio.create_task(take())
    while not taking.done():
        await connection.receive(0.05)
    assert taking.result() > 3_000_000
    connection.close()


async def test_nothing_to_hear_ends_with_the_patience(peer: Peer) -> None:
    """And says nothing."""
    connection = peer.connect()
    peer.shake_hands()
    assert [] == await connection.receive(0.05)
    assert [] == await connection.receive(0.05)
    assert not connection.closed
    connection.close()


async def test_last_words_are_heard_before_the_end(peer: Peer) -> None:
    """What was said before the sockets closed counts."""
    connection = peer.connect()
    peer.shake_hands()
    peer.ends[1].sendall(MESSAGE)
    for end in peer.ends:
        end.close()
    assert [("iopub", zmtp.Multipart([b"news"]))] == await connection.receive(5)
    assert connection.closed
    connection.close()


async def test_a_kernel_that_has_ended_is_not_waited_for(peer: Peer) -> None:
    """Even when a stray of it holds the sockets open."""
    connection = peer.connect()
    waiting = asyncio.create_task(connection.receive(60))
    await asyncio.sleep(0)
    connection.hang_up()
    assert [] == await asyncio.wait_for(waiting, 5)
    assert connection.closed
    connection.close()


async def test_closing_ends_waiting(peer: Peer) -> None:
    """No event of a closed socket is awaited any more."""
    connection = peer.connect()
    waiting = asyncio.create_task(connection.receive(60))
    await asyncio.sleep(0)
    connection.close()
    connection.close()
    assert [] == await asyncio.wait_for(waiting, 5)


async def test_where_nobody_listens_the_connection_is_closed(tmp_path: Path) -> None:
    """A kernel may die before the host connects."""
    connection = Connection(tmp_path / "shell", tmp_path / "iopub", 1000)
    connection.send([b"request"])
    assert connection.closed
    assert [] == await connection.receive(60)
    connection.close()


async def test_a_peer_that_speaks_no_protocol_is_hung_up_on(peer: Peer) -> None:
    """The other socket is of no use either."""
    connection = peer.connect()
    peer.ends[1].sendall(b"x" * 100)
    assert [] == await connection.receive(5)
    assert connection.closed
    connection.close()


async def test_a_flood_is_read_in_turns(peer: Peer) -> None:
    """Others on the event loop run between them, however much there is."""
    connection = peer.connect()
    peer.shake_hands()
    peer.ends[1].setblocking(False)

    async def send() -> None:
        await asyncio.get_running_loop().sock_sendall(peer.ends[1], MESSAGE * 200_000)

    sending = asyncio.create_task(send())
    heard = turns = 0
    while heard < 200_000:
        heard += len(await connection.receive(1))
        turns += 1
    await sending
    assert 200_000 == heard
    assert turns > 20
    connection.close()
