"""All the HTTP there is: one client for all endpoints, bounded answers, foreign exceptions mapped.

Goes only where the endpoints are: no redirects, no proxies of the environment unless asked for, no compressed answers
(they could be bombs). The key is in one header and nowhere else; it is taken out of what servers say.
"""

import asyncio
import contextlib
import json
import os
import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx

from ...engine.errors import AssistantsError, BackendFault
from .faults import TryAgain, status_fault
from .settings import OpenAISettings
from .untrusted import fields, parsed, plain

_LARGEST_ANSWER = 4 << 20  # bytes of an answer to a question about the server
_LARGEST_ERROR = 64 << 10
_KEEP_ALIVE = 2.0  # seconds; servers close idle connections after about five
_KEY = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered to a question about itself."""

    status: int
    body: object

    @property
    def fields(self) -> dict[str, Any]:
        """The body's fields; {} when it is no object or the server refused."""
        return fields(self.body) if self.status == 200 else {}


class Connection:
    """The HTTP client of one model.

    Raises:
        BackendFault: the key or the certificates cannot be read.
    """

    def __init__(self, settings: OpenAISettings) -> None:
        self._settings = settings
        self._key = _key(settings)
        headers = {"Accept-Encoding": "identity", "User-Agent": "local-assistants"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        self._client = httpx.AsyncClient(
            headers=headers,
            verify=_certificates(settings),
            trust_env=settings.environment_proxies,
            timeout=httpx.Timeout(None, connect=settings.connect_timeout),
            limits=httpx.Limits(max_connections=None, keepalive_expiry=_KEEP_ALIVE),
            follow_redirects=False,
        )

    async def ask(self, method: str, url: str, body: object = None) -> Answer:
        """A short question about the server, within `health_timeout`.

        Raises:
            TryAgain: there is no answer.
        """
        limit = self._settings.health_timeout
        content = None if body is None else encode(body)
        try:
            async with asyncio.timeout(limit), self._open(method, url, content) as response:
                data = await _read(response, _LARGEST_ANSWER)
                return Answer(response.status_code, parsed(data.decode("utf-8", "replace")))
        except TimeoutError as error:
            text = f"The model's server does not answer within {limit:g} seconds."
            raise TryAgain(BackendFault(text), down=True) from error

    @contextlib.asynccontextmanager
    async def stream(self, url: str, content: bytes) -> AsyncGenerator["Chunks"]:
        """A streamed answer. Leaving the block closes the connection, so that the server stops.

        Raises:
            TryAgain: the server cannot be reached, or cannot at the moment.
            ContextOverflow: the prompt does not fit.
            InvalidRequest: the server cannot enforce a schema.
            BackendFault: the server refuses, or does not stream.
        """
        async with self._open("POST", url, content) as response:
            if response.status_code != 200:
                data = await _read(response, _LARGEST_ERROR)
                wait = response.headers.get("retry-after")
                raise self.cleaned(status_fault(response.status_code, data, wait))
            kind = response.headers.get("content-type", "")
            if not kind.lower().startswith("text/event-stream"):
                raise BackendFault(
                    f"The model's server did not stream its answer (it sent '{plain(kind, 60)}'). "
                    "Check that the endpoint's URL is that of an OpenAI-compatible server."
                )
            yield Chunks(response.aiter_raw())

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    def cleaned(self, error: Exception) -> Exception:
        """The error without the key, should the server have repeated it."""
        inner = error.fault if isinstance(error, TryAgain) else error
        if self._key and isinstance(inner, AssistantsError):
            inner.message = inner.message.replace(self._key, "***")
            inner.args = (inner.message,)
        return error

    @contextlib.asynccontextmanager
    async def _open(
        self, method: str, url: str, content: bytes | None
    ) -> AsyncGenerator[httpx.Response]:
        headers = {"Content-Type": "application/json"} if content is not None else {}
        try:
            request = self._client.build_request(method, url, content=content, headers=headers)
            response = await self._client.send(request, stream=True)
            try:
                yield response
            finally:
                await response.aclose()
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
            raise self.cleaned(TryAgain(BackendFault(_failure(error)), down=True)) from error


class Chunks:
    """The bytes of a streamed answer as they come."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks

    async def next(self) -> bytes | None:
        """The next bytes; None at the end.

        Raises:
            TryAgain: the connection broke.
        """
        try:
            return await anext(self._chunks, None)
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise TryAgain(BackendFault(_failure(error)), down=True) from error


def encode(body: object) -> bytes:
    """A body as bytes."""
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


async def _read(response: httpx.Response, limit: int) -> bytes:
    """At most `limit` bytes of the body; the rest is not waited for."""
    data = bytearray()
    async for chunk in response.aiter_raw():
        data += chunk
        if len(data) > limit:
            break
    return bytes(data[:limit])


def _failure(error: Exception) -> str:
    said = plain(str(error), 200) or type(error).__name__
    if isinstance(error, httpx.ConnectTimeout):
        return "The model's server does not take connections in time."
    if isinstance(error, httpx.ConnectError) and "CERTIFICATE" in said.upper():
        return f"The certificate of the model's server is not trusted: give its CA by ca_file. ({said})"
    if isinstance(error, httpx.ConnectError):
        return f"The model's server cannot be reached ({said})."
    return f"The connection to the model's server broke ({said})."


def check_secrets(settings: OpenAISettings) -> None:
    """Refuse settings with which no connection can be made, before one is.

    Raises:
        BackendFault: the key or the certificates cannot be read.
    """
    _key(settings)
    _certificates(settings)


def _key(settings: OpenAISettings) -> str | None:
    """The key, read once. It is never part of an error."""
    if settings.api_key_env is not None:
        place, detail = f"the environment variable {settings.api_key_env}", ""
        key = os.environ.get(settings.api_key_env)
    elif settings.api_key_file is not None:
        place, detail, key = "api_key_file", str(settings.api_key_file), None
        with contextlib.suppress(OSError, UnicodeDecodeError):
            key = settings.api_key_file.read_text("utf-8")
    else:
        return None
    key = (key or "").strip()
    if not _KEY.fullmatch(key):
        raise BackendFault(f"There is no usable API key in {place}.", detail=detail)
    return key


def _certificates(settings: OpenAISettings) -> ssl.SSLContext | bool:
    if settings.ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(settings.ca_file))
    except (OSError, ssl.SSLError) as error:
        raise BackendFault(
            "There are no certificates in ca_file.", detail=str(settings.ca_file)
        ) from error
