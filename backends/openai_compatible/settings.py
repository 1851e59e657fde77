"""What can be set about a model that answers behind `/v1/chat/completions` on other servers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ...engine.errors import BackendFault

DEFAULT_WINDOW = 8192


@dataclass(frozen=True, slots=True)
class OpenAISettings:
    """Settings of one model served elsewhere, on one or several endpoints. Times are in seconds.

    Attributes:
        endpoints: base URLs, with or without `/v1`. All must serve the same model.
        model: its name there; None: the first that an endpoint lists.
        api_key_env: the environment variable that holds the key, if one is needed.
        api_key_file: a file that holds it, in its place.
        ca_file: certificates (PEM) to trust in place of the public ones; certificates are always checked.
        environment_proxies: obey HTTP_PROXY and the like; off, endpoints are reached directly.
        context_window: tokens of prompt and answer together; None: asked of the servers, and 8192 if they do not tell.
        vision: whether pictures may be shown to the model; None: asked of the servers, and no if they do not tell.
        tools: whether the model can call tools.
        temperature_at_one: what a request's temperature of 1 (the API's default) means for this model; others are in
            proportion.
        extra_body: further keys of every request's body (top_k, chat_template_kwargs), as the server names them.
        connect_timeout: to open a connection.
        first_token_timeout: from the request to the first token: waiting in the server's line and reading the prompt.
        token_timeout: between one token and the next.
        total_timeout: for a turn as a whole, further attempts included; None: no limit.
        attempts: how often a turn is tried in all before its first token, each time on the best endpoint there is.
        backoff: before the second attempt; doubles each time, with jitter.
        max_backoff: at most so long between two attempts, also when a server asks for more.
        health_interval: between two checks of the endpoints.
        health_timeout: for one check, and for counting tokens.
        spill_at: turns at work on an endpoint at which further ones go to the least busy one; None: never.
        max_line_bytes: of one line of a stream.
        max_answer_bytes: of all of an answer.
        max_image_bytes: of one picture, before it is encoded.
    """

    endpoints: tuple[str, ...]
    model: str | None = None
    api_key_env: str | None = None
    api_key_file: Path | None = None
    ca_file: Path | None = None
    environment_proxies: bool = False
    context_window: int | None = None
    vision: bool | None = None
    tools: bool = True
    temperature_at_one: float = 1.0
    extra_body: Mapping[str, Any] = field(default_factory=dict[str, Any])
    connect_timeout: float = 5.0
    first_token_timeout: float = 600.0
    token_timeout: float = 120.0
    total_timeout: float | None = None
    attempts: int = 4
    backoff: float = 0.5
    max_backoff: float = 30.0
    health_interval: float = 10.0
    health_timeout: float = 5.0
    spill_at: int | None = 8
    max_line_bytes: int = 4 << 20
    max_answer_bytes: int = 64 << 20
    max_image_bytes: int = 20 << 20

    def __post_init__(self) -> None:
        """Check what can be checked without a connection.

        Raises:
            BackendFault: there is no endpoint, or one is no URL; says which.
        """
        if not self.endpoints:
            raise BackendFault("An openai_compatible model needs at least one endpoint.")
        for endpoint in self.endpoints:
            _check(endpoint)
        if self.attempts < 1:
            raise BackendFault("attempts of an openai_compatible model must be at least 1.")

    @classmethod
    def parse(cls, text: str) -> "OpenAISettings":
        """Settings from what follows `openai_compatible:` in the name of a model: `URL[,URL...][#MODEL]`.

        Raises:
            BackendFault: there is no endpoint, or one is no URL; says which.
        """
        addresses, _, model = text.partition("#")
        endpoints = tuple(address.strip() for address in addresses.split(",") if address.strip())
        return cls(endpoints, model=model.strip() or None)


def base_url(endpoint: str) -> str:
    """The endpoint without `/v1` and without a slash at its end."""
    return endpoint.rstrip("/").removesuffix("/v1").rstrip("/")


def _check(endpoint: str) -> None:
    try:
        parts = urlsplit(endpoint)
        host = (parts.hostname or "").encode("idna")  # fails on names that no look-up would take
        fine = parts.scheme in ("http", "https") and bool(host) and parts.port != 0
    except ValueError:
        fine = False
        parts = urlsplit("")
    if not fine:
        raise BackendFault(
            f"'{endpoint}' is not the URL of an endpoint; write one such as http://127.0.0.1:8080/v1."
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise BackendFault(
            f"The endpoint at {parts.hostname} must have no user, password, query or fragment in its URL; "
            "give the key by api_key_env or api_key_file."
        )
