"""The socket that the server listens on, and where that is in truth: the address a name was resolved to.

Binds and names; serves nothing.
"""

import socket


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes a free one. Nobody can connect before it is served.

    Raises:
        OSError: the address is taken, not this machine's, or no address at all.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio turns Nagle's algorithm off only then: else each small event waits 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def bound_address(listener: socket.socket) -> str:
    """The IP address that the socket is bound to."""
    return str(listener.getsockname()[0])


def url_of(listener: socket.socket) -> str:
    """The address as clients write it."""
    address, port = listener.getsockname()[:2]
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"
