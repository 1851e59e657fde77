"""What every request passes: the door checks, the dialect's path, the response headers, the last catch.

Plain ASGI, so that streams flow through untouched. Knows no route and no service.
"""

import asyncio
import logging
import re
import time
import uuid
from collections.abc import Mapping
from functools import partial
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..engine.errors import AssistantsError, InvalidRequest
from ..engine.log_context import working_on
from . import docs
from .access import enter_project
from .dialect import Dialect, dialect_of, rewrite
from .door import Door
from .draining import Drain, enter_drain
from .errors import REQUEST_ID, Forbidden, Stopping, error_response, unforeseen
from .settings import ServerSettings

log = logging.getLogger(__name__)

OPEN_PATHS = docs.OPEN_PATHS | {"/healthz", "/readyz"}
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s/?#@\\:\[\]]+))(?::[0-9]*)?")
_IDS = re.compile(
    r"/\w+/threads/(?P<thread_id>thread_\w{1,64})(?:/runs/(?P<run_id>run_\w{1,64}))?(?:/.*)?"
)
BETA_PATHS = ("/v1/assistants", "/v1/threads")


class Gate:
    """The outermost layer of the application."""

    def __init__(
        self, app: ASGIApp, settings: ServerSettings, door: Door, drain: Drain | None = None
    ) -> None:
        self.app = app
        self.settings = settings
        self.door = door
        self.drain = drain or Drain()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope = rewrite(scope)
        enter_drain(scope, self.drain)
        answer = _Answer(send)
        scope[REQUEST_ID] = answer.request_id
        with working_on(request_id=answer.request_id, **_ids_in(scope["path"])):
            try:
                await self._serve(scope, receive, answer)
            finally:
                _tell(scope, answer)

    async def _serve(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        try:
            await self._check(scope)
            await self.app(scope, receive, answer.send)
        except (
            asyncio.CancelledError
        ):  # by the server that stops; it would answer with a body of its own
            if not answer.started:
                on_leave = self.drain.took_leave()
                stopping = Stopping("The server was stopped before it could answer. Try again.")
                response = error_response(stopping, dialect_of(scope), {"retry-after": "1"})
                await response(scope, receive, answer.send)
                if on_leave:
                    return
            raise
        except ClientDisconnect:
            log.debug("%s went away", answer.request_id)
        except Exception as error:
            if answer.started:
                raise  # too late for an answer: the connection must break, or the body would look whole
            if not isinstance(error, AssistantsError) or error.status >= 500:
                # not even what our own error says: whoever asks has shown no key yet
                error = unforeseen(error, answer.request_id)
            response = error_response(error, dialect_of(scope))
            await response(scope, receive, answer.send)

    async def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        if scope["path"] in OPEN_PATHS:  # nothing of anybody's is behind them
            check_host(headers, self.settings, guarded=True)
            return
        guarded = await self.door.is_guarded()
        check_host(headers, self.settings, guarded=guarded)
        if guarded:
            project = await self.door.project(headers)
            enter_project(scope, project, partial(self.door.project, headers))
        if self.settings.require_beta_header and dialect_of(scope) is Dialect.OPENAI:
            check_beta(headers, scope["path"])


class _Answer:
    """The way back to the client: adds the headers that every answer carries."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._began = time.perf_counter()
        self.request_id = f"req_{uuid.uuid4().hex}"
        self.started = False
        self.status = 0  # none yet

    @property
    def seconds(self) -> float:
        """Since the request came."""
        return time.perf_counter() - self._began

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self.request_id
            elapsed = round((time.perf_counter() - self._began) * 1000)
            headers["openai-processing-ms"] = str(max(1, elapsed))
            headers["openai-version"] = "2020-10-01"
        await self._send(message)


def _tell(scope: Scope, answer: _Answer) -> None:
    """A line for the log, in which the path is that of the OpenAI dialect; a poll that is answered is no news."""
    polled = scope["method"] in ("GET", "HEAD") and answer.status < 400
    level = logging.DEBUG if polled else logging.INFO
    if log.isEnabledFor(level):
        method, path, status = scope["method"], scope["path"], answer.status
        fields = {"method": method, "path": path, "status": status}
        fields["seconds"] = round(answer.seconds, 6)
        log.log(level, "%s %s: %d", method, path, status, extra={"fields": fields})


def _ids_in(path: str) -> dict[str, str]:
    """The thread and the run that a path names, for the log."""
    found = _IDS.fullmatch(path)
    named = found.groupdict() if found else {}
    return {key: value for key, value in named.items() if value}


def check_host(headers: Mapping[str, str], settings: ServerSettings, *, guarded: bool) -> None:
    """Refuse foreign names and foreign pages: a web page must not reach this server through a visitor's browser.

    Raises:
        Forbidden: the Host header carries a name that is not ours (DNS rebinding), or, while no key is asked for,
            the Origin header names another site.
    """
    host = headers.get("host", "")
    if not settings.serves(_host_name(host), guarded=guarded):
        raise Forbidden(
            f"The host name '{host[:200]}' is not served here. Whoever runs this server can allow it: "
            "'serve --allowed-host NAME'."
        )
    origin = headers.get("origin")
    if origin and not guarded and _netloc(origin) != host.lower():
        raise Forbidden(
            f"Requests from pages of '{origin[:200]}' are refused while no API key is asked for."
        )


def _netloc(url: str) -> str:
    """Host and port of `url`, in lower case; "" where there are none."""
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""


def _host_name(host: str) -> str:
    """The name in a Host header, in lower case; "" where there is more in it than a name and a port."""
    found = _HOST.fullmatch(host)
    return (found[1] or found[2]).lower() if found else ""


def check_beta(headers: Mapping[str, str], path: str) -> None:
    """Insist on the beta header where the hosted service did.

    Raises:
        InvalidRequest: it is missing.
    """
    values = headers.get("openai-beta", "")
    if path.startswith(BETA_PATHS) and "assistants=v2" not in values.replace(" ", "").split(","):
        raise InvalidRequest(
            "You must provide the 'OpenAI-Beta' header to access the Assistants API. Please try again by setting "
            "the header 'OpenAI-Beta: assistants=v2'.",
            code="invalid_beta",
        )
