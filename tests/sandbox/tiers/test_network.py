"""Nothing leaves: not to the network, not to servers of the host, not to its sockets in the file system."""

import socket
from pathlib import Path

import pytest

from .rows import Engine, breaches

_UNIX, _INET, _INET6, _NETLINK = 1, 2, 10, 16
_NO_WAY = (
    "ENETUNREACH",
    "ECONNREFUSED",
    "EPERM",
    "EACCES",
    "EAFNOSUPPORT",
    "ENOENT",
    "EADDRNOTAVAIL",
)


def _reach(engine: Engine, attempt: str, setup: str) -> str:
    """The outcome in the sandbox, and whether anything came through all the same."""
    assert engine.could(attempt, setup).startswith("done")
    engine.ask("state")  # forgets who came before
    outcome = engine.tries(attempt, setup)
    assert [] == engine.ask("state")["received"]
    return outcome


@pytest.mark.parametrize(
    ("family", "address"),
    [("AF_INET", "('127.0.0.1', $tcp)"), ("AF_INET6", "('::1', $tcp6)")],
)
def test_servers_on_the_hosts_loopback_are_out_of_reach(
    engine: Engine, family: str, address: str
) -> None:
    """Databases and the engine itself listen there."""
    if "tcp6" in address and "tcp6" not in engine.facts:
        return  # a machine without IPv6 has nothing to protect there
    attempt = f"socket.socket(socket.{family}, socket.SOCK_STREAM).connect({address})"
    assert _reach(engine, attempt, "import socket") in _NO_WAY


def test_datagrams_do_not_leave(engine: Engine) -> None:
    """UDP needs no connection."""
    attempt = "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', $udp))"
    # In a network of its own the datagram goes to a loopback where nobody listens.
    assert _reach(engine, attempt, "import socket") in (*_NO_WAY, "done 1")


def test_no_connection_leaves_the_machine(engine: Engine) -> None:
    """There is no route to anywhere."""
    attempt = "socket.create_connection(('192.0.2.1', 80), timeout=2)"
    assert engine.tries(attempt, "import socket") in _NO_WAY


def test_names_are_not_resolved(engine: Engine) -> None:
    """A question to a name server would carry data out."""
    seen = engine.tries("socket.getaddrinfo('example.invalid', 80)", "import socket")
    assert not seen.startswith("done")


@pytest.mark.parametrize("victim", ["stream", "abstract_stream"])
def test_unix_sockets_of_the_host_cannot_be_connected(engine: Engine, victim: str) -> None:
    """A path or an abstract name: whoever listens there (docker, dbus, X11) trusts its users."""
    attempt = f"socket.socket(socket.AF_UNIX).connect(${victim})"
    assert _reach(engine, attempt, "import socket") in _NO_WAY


def test_unix_datagrams_do_not_reach_the_host(engine: Engine) -> None:
    """System logs and service managers listen so; half of a pair can send to anyone, too."""
    senders = (
        "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)",
        "socket.socketpair(type=socket.SOCK_DGRAM)[0]",
    )
    attempts = [
        f"{sender}.{way}"
        for sender in senders
        for victim in ("$datagram", "$abstract_datagram")
        for way in (f"sendto(b'x', {victim})", f"sendmsg([b'x'], [], 0, {victim})")
    ]
    assert engine.could(attempts[0], "import socket").startswith("done")
    engine.ask("state")  # forgets who came before
    outcomes = engine.each(attempts, "import socket")
    assert [] == engine.ask("state")["received"]
    assert {} == breaches(outcomes, _NO_WAY)


def test_abstract_names_of_the_host_cannot_be_taken(engine: Engine) -> None:
    """A name that code holds there, another user of the host might trust."""
    name = f"taken-{engine.facts['engine']}"
    engine.start(
        "import socket\nmade = socket.socket(socket.AF_UNIX)\n"
        f"outcome(lambda: (made.bind('\\0{name}'), made.listen()))"
    )
    assert name not in Path("/proc/net/unix").read_text()


def test_only_families_that_lead_nowhere_can_be_opened(engine: Engine) -> None:
    """AF_VSOCK leads to the hypervisor and no namespace covers it; the rest is what attackers of kernels use."""
    setup = (
        "import socket\n"
        "kinds = (1, 2, 3, 4, 5, 10)\n"
        "def opens(family): return any(outcome(lambda: socket.socket(family, kind))[:4] == 'done' for kind in kinds)"
    )
    seen = engine.tries("[family for family in range(64) if opens(family)]", setup)
    inside = [_UNIX] if engine.row.tier == "B" else [_UNIX, _INET, _INET6, _NETLINK]
    assert f"done {inside}" == seen


def test_only_the_question_for_interfaces_can_be_asked_by_netlink(engine: Engine) -> None:
    """The other protocols (audit, uevents, netfilter) are the kernel's inner doors."""
    setup = (
        "import socket\n"
        "def opens(n): return outcome(lambda: socket.socket(16, socket.SOCK_RAW, n))[:4] == 'done'"
    )
    seen = engine.tries("[n for n in range(32) if opens(n)]", setup)
    assert seen == ("done []" if engine.row.tier == "B" else "done [0]")


def test_raw_packets_cannot_be_made(engine: Engine) -> None:
    """Neither raw IP nor pings."""
    setup = "import socket\npairs = [(2, 3, 255), (2, 3, 1), (2, 2, 1), (10, 3, 58), (17, 3, 768)]"
    attempt = "[outcome(lambda: socket.socket(*pair))[:4] for pair in pairs]"
    assert "'done'" not in engine.tries(attempt, setup)


def test_interfaces_of_the_host_are_unknown(engine: Engine) -> None:
    """Inside there is a loopback and nothing else, or no answer."""
    seen = engine.tries("[name for _, name in socket.if_nameindex()]", "import socket")
    assert not seen.startswith("done") or "done ['lo']" == seen


def test_the_hosts_connections_are_unknown(engine: Engine) -> None:
    """/proc/net tells who talks to whom."""
    port = f"{engine.facts['tcp']:04X}"
    assert port not in engine.tries("open('/proc/net/tcp').read()")
    assert "stream.sock" not in engine.tries("open('/proc/net/unix').read()")


def test_a_server_inside_is_not_seen_on_the_host(engine: Engine) -> None:
    """Code cannot offer anything to the host's other users."""
    port = _free_port()
    engine.start(
        "import socket\nmade = None\n"
        f"def serve(): global made; made = socket.create_server(('127.0.0.1', {port}))\n"
        "outcome(serve)"
    )
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=2)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
