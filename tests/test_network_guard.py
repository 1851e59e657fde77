"""The guard that keeps the tests on this machine does so, and lets through what stays here."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable

import pytest

from tests.support.network import LeftTheMachine, NetworkGuard, is_local

UNROUTED = "192.0.2.1"  # reserved for documentation: nobody answers


def connect_to(address: tuple[str, int]) -> None:
    """Try to open a connection, for a moment."""
    with socket.socket() as sock:
        sock.settimeout(0.01)
        sock.connect(address)


def send_to(address: tuple[str, int]) -> None:
    """Send a datagram."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", address)


LEAVING: list[tuple[str, Callable[[], object]]] = [
    ("connect by address", lambda: connect_to((UNROUTED, 9))),
    ("datagram", lambda: send_to((UNROUTED, 9))),
    ("look-up", lambda: socket.getaddrinfo("host.invalid", 9)),
    ("old look-up", lambda: socket.gethostbyname("host.invalid")),
    ("create_connection", lambda: socket.create_connection(("host.invalid", 9), 0.01)),
    ("asyncio", lambda: asyncio.run(asyncio.open_connection("host.invalid", 9))),
]


@pytest.mark.parametrize("leave", [case for _, case in LEAVING], ids=[name for name, _ in LEAVING])
def test_leaving_the_machine_is_refused(network: NetworkGuard, leave: Callable[[], object]) -> None:
    """Before a packet is sent; and it is noted, in case the error is swallowed."""
    with pytest.raises(LeftTheMachine):
        leave()

    assert network.attempts
    network.attempts.clear()


def test_other_threads_are_watched_too(network: NetworkGuard) -> None:
    """Even when nobody looks at their errors."""

    def leave() -> None:
        with contextlib.suppress(AssertionError):
            connect_to((UNROUTED, 9))

    thread = threading.Thread(target=leave)
    thread.start()
    thread.join()

    assert [f"socket.connect ('{UNROUTED}', 9)"] == network.attempts
    network.attempts.clear()


def test_this_machine_may_talk_to_itself(network: NetworkGuard) -> None:
    """Over loopback, by name and address, and over pairs of sockets."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for host in ("127.0.0.1", "localhost"):
            with socket.create_connection((host, port), 5):
                server.accept()[0].close()
    left, right = socket.socketpair()
    with left, right:
        left.sendall(b"x")
        assert b"x" == right.recv(1)
    socket.getaddrinfo(None, 80)

    assert [] == network.attempts


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("0.0.0.0", True),
        (b"localhost", True),
        ("LOCALHOST", True),
        ("", True),
        (None, True),
        ("10.0.0.1", False),
        ("fe80::1%eth0", False),
        ("example.org", False),
        ("localhost.example.org", False),
    ],
)
def test_what_counts_as_this_machine(host: object, local: bool) -> None:
    """Loopback and unspecified addresses, and the names of localhost."""
    assert local == is_local(host)
