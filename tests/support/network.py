"""Keeps the tests on this machine: an audit hook of the interpreter that refuses to leave it.

Covers what Python's `socket` module is asked to do in this process, from any thread and by any library: connect,
sendto, sendmsg, and look-ups of names and addresses. Loopback, Unix sockets and look-ups of local names pass. Does not
cover child processes, native code that opens sockets by itself (ZeroMQ, llama.cpp), nor the look-up of a name that is
handed to a bare socket (the connection to it is refused). An audit hook cannot be taken out again, so it is put in
once and asks the guard that is on duty.
"""

import ipaddress
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

LOCAL_NAMES = frozenset({"", "localhost", "localhost.localdomain", "ip6-localhost"})

_CONNECTING = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_LOOKING_UP = frozenset({"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"})


class LeftTheMachine(AssertionError):
    """A test tried to reach another machine."""


class NetworkGuard:
    """What was tried while the guard was on duty; whoever tries on purpose clears `attempts`."""

    def __init__(self) -> None:
        self.attempts: list[str] = []

    def refuse(self, what: str) -> None:
        """Note the attempt, because the code under test may swallow the error, and raise."""
        self.attempts.append(what)
        raise LeftTheMachine(f"The tests must not use the network, but one tried: {what}")

    def check(self, event: str, args: tuple[Any, ...]) -> None:
        """Refuse what would leave the machine."""
        if event in _CONNECTING:
            sock, address = args[0], args[1]
            internet = sock.family in (socket.AF_INET, socket.AF_INET6)
            if internet and address is not None and not is_local(address[0]):
                self.refuse(f"{event} {address}")
        elif event in _LOOKING_UP and not is_local(args[0]) and not _is_address(args[0]):
            self.refuse(f"{event} {args[0]}")


def is_local(host: object) -> bool:
    """Whether a host, by name or address, is this machine."""
    name = _text(host)
    if name is None or name.lower() in LOCAL_NAMES:
        return True
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _is_address(host: object) -> bool:
    """A look-up of an address asks nobody; connecting to it is another matter."""
    try:
        ipaddress.ip_address((_text(host) or "").partition("%")[0])
    except ValueError:
        return False
    return True


def _text(host: object) -> str | None:
    if isinstance(host, bytes):
        return host.decode("ascii", "replace")
    return None if host is None else str(host)


_on_duty: list[NetworkGuard] = []
_installed: list[bool] = []


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if event.startswith("socket.") and _on_duty:
        _on_duty[-1].check(event, args)


@contextmanager
def guarded() -> Generator[NetworkGuard]:
    """A guard on duty for the length of the block."""
    if not _installed:
        sys.addaudithook(_hook)
        _installed.append(True)
    guard = NetworkGuard()
    _on_duty.append(guard)
    try:
        yield guard
    finally:
        _on_duty.remove(guard)
