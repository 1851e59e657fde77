"""What an operator may set about the HTTP server."""

from dataclasses import dataclass, field

from ..engine.services import BusyPolicy

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """All defaults suit a single user on the own machine.

    Attributes:
        host: address the server is bound to; decides whether the Host header is checked.
        api_keys: keys that open the server; empty: no key is asked for.
        allowed_hosts: further names that a Host header may carry (without port). Bound to loopback, the loopback
            names are always allowed and nothing else; elsewhere everything is, unless names are given here.
        require_beta_header: insist on `OpenAI-Beta: assistants=v2` as the hosted service did.
        max_body_bytes: largest JSON body.
        max_file_bytes: largest file of an upload.
        poll_after_ms: what clients are told to wait between two polls, in milliseconds.
        busy_thread: what becomes of a new message or run while a run holds its thread; a request may say otherwise.
        busy_wait: seconds that a request may wait for a busy thread at most.
        ping_seconds: pause after which an idle stream sends a comment line.
    """

    host: str = "127.0.0.1"
    api_keys: frozenset[str] = field(default_factory=frozenset[str], repr=False)
    allowed_hosts: frozenset[str] = field(default_factory=frozenset[str])
    require_beta_header: bool = False
    max_body_bytes: int = 64 * MIB
    max_file_bytes: int = 512 * MIB
    poll_after_ms: int = 100
    busy_thread: BusyPolicy = BusyPolicy.REFUSE
    busy_wait: float = 60.0
    ping_seconds: float = 15.0

    @property
    def host_names(self) -> frozenset[str] | None:
        """Names a Host header may carry; None: any."""
        if self.host in LOOPBACK:
            return LOOPBACK | self.allowed_hosts
        return self.allowed_hosts | {self.host} if self.allowed_hosts else None

    @property
    def poll_headers(self) -> dict[str, str]:
        """What answers to pollers carry."""
        return {"openai-poll-after-ms": str(self.poll_after_ms)}
