"""What an operator may set about the HTTP server."""

import ipaddress
from dataclasses import dataclass, field

from ..engine.settings import BusyPolicy

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """All defaults suit a single user on the own machine.

    Attributes:
        host: address the server is bound to; decides whether a key is needed and how the Host header is checked.
        no_auth: ask nobody for a key, wherever the server is bound and whatever keys there are.
        allowed_hosts: further names that a Host header may carry (without port). Bound to loopback, the loopback
            names are always allowed and nothing else. Elsewhere, unless names are given here, everything is while a
            key is asked for, and any address (no name) while none is.
        require_beta_header: insist on `OpenAI-Beta: assistants=v2` as the hosted service did.
        max_body_bytes: largest JSON body.
        max_bodies_bytes: memory for JSON bodies on their way in; a body that finds no room is refused with 503.
        body_silence: seconds without a byte after which a body, JSON or a form, is no longer waited for.
        poll_after_ms: what clients are told to wait between two polls, in milliseconds.
        busy_thread: what becomes of a new message or run while a run holds its thread; a request may say otherwise.
        busy_wait: seconds that a request may wait for a busy thread at most.
        ping_seconds: pause after which an idle stream sends a comment line.
    """

    host: str = "127.0.0.1"
    no_auth: bool = False
    allowed_hosts: frozenset[str] = field(default_factory=frozenset[str])
    require_beta_header: bool = False
    max_body_bytes: int = 64 * MIB
    max_bodies_bytes: int = 256 * MIB
    body_silence: float = 60.0
    poll_after_ms: int = 100
    busy_thread: BusyPolicy = BusyPolicy.REFUSE
    busy_wait: float = 60.0
    ping_seconds: float = 15.0

    @property
    def on_loopback(self) -> bool:
        """Whether nobody but this machine can reach the server."""
        return is_loopback(self.host)

    def serves(self, name: str, *, guarded: bool) -> bool:
        """Whether a Host header may carry `name`; `guarded`: a key is asked for."""
        known = {self.host, *self.allowed_hosts, *(LOOPBACK if self.on_loopback else ())}
        if name in {each.lower() for each in known}:
            return True
        if self.on_loopback or self.allowed_hosts:
            return False
        # A page's own name can be bent to this machine (DNS rebinding), an address cannot.
        return guarded or _address(name) is not None

    @property
    def poll_headers(self) -> dict[str, str]:
        """What answers to pollers carry."""
        return {"openai-poll-after-ms": str(self.poll_after_ms)}


def is_loopback(host: str) -> bool:
    """Whether `host` is an address (or `localhost`) that only this machine reaches; another name is taken for none."""
    if host.lower() == "localhost":
        return True
    address = _address(host)
    if address is None:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
