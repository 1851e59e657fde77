"""Every failure as the API's error envelope, in the dialect of the request.

A client gets four keys (message, type, param, code) or, for 401 and 404 under an Azure path, Azure's two. It never gets
a framework's own body or a traceback; what was not foreseen is logged with its request id and answered with 500.
"""

import json
import logging
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ..engine.errors import (
    AssistantsError,
    InvalidRequest,
    MissingDependency,
    NotFound,
    RateLimited,
    SandboxUnavailable,
    ServerFault,
)
from .dialect import Dialect, dialect_of, original_path

log = logging.getLogger(__name__)

REQUEST_ID = "local_assistants.request_id"
"""Where a request's scope names it."""

SORRY = "The server had an error while processing your request. Sorry about that!"
AZURE_DENIED = (
    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an "
    "active subscription and use a correct regional API endpoint for your resource."
)


class InvalidUrl(NotFound):
    """No such path."""


class MethodNotAllowed(InvalidRequest):
    """The path exists, but not with this method."""

    status = 405


class Forbidden(InvalidRequest):
    """A browser on somebody else's page, or a name that is not ours."""

    status = 403


class SilentBody(InvalidRequest):
    """The rest of the body did not come. Its connection is closed: what still comes is no request."""

    status = 408


class Crowded(RateLimited):
    """The memory for bodies is used up. No 429: it is not the client's own share."""

    status = 503
    type = "server_error"
    default_code = None


class Stopping(ServerFault):
    """The server is being stopped and waits for nothing more."""

    status = 503


def error_response(
    error: AssistantsError,
    dialect: Dialect = Dialect.OPENAI,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The response for `error`."""
    body: Mapping[str, object] = error.envelope()
    headers = dict(headers or {})
    if isinstance(error, RateLimited):
        headers.setdefault("retry-after", str(error.retry_after))
    if isinstance(error, SilentBody):
        headers["connection"] = "close"
    if dialect is Dialect.AZURE and error.status == 401:
        body = {"error": {"code": "401", "message": AZURE_DENIED}}
    elif dialect is Dialect.AZURE and isinstance(error, InvalidUrl):
        body = {"error": {"code": "404", "message": "Resource not found"}}
    return Response(
        json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"),
        status_code=error.status,
        media_type="application/json",
        headers=headers,
    )


def unforeseen(error: Exception, request_id: str) -> ServerFault:
    """Log what nobody foresaw; what the client is told says nothing about the inside."""
    log.error("request %s failed", request_id, exc_info=error)
    return ServerFault(SORRY)


async def on_assistants_error(request: Request, error: Exception) -> Response:
    """An error from our own tree."""
    assert isinstance(error, AssistantsError)
    where = request.scope.get(REQUEST_ID), request.method, original_path(request.scope)
    if isinstance(error, Crowded):  # no fault, and whoever brings it about could fill the log
        log.warning("request %s, %s %s: %s", *where, error)
    elif isinstance(error, MissingDependency | SandboxUnavailable) or error.passing:
        # A stack would say no more, and would take room on a disk that has none.
        log.error("request %s, %s %s: %s", *where, error)
    elif error.status >= 500:
        log.error("request %s, %s %s: %s", *where, error, exc_info=error)
    return error_response(error, dialect_of(request.scope))


async def on_http_exception(request: Request, error: Exception) -> Response:
    """What the framework itself refuses: unknown paths and methods, malformed requests."""
    assert isinstance(error, HTTPException)
    where = f"({request.method} {original_path(request.scope)[:300]})"
    answer: AssistantsError
    headers = dict(error.headers or {})
    if error.status_code == 404:
        answer = InvalidUrl(f"Invalid URL {where}")
    elif error.status_code == 405:
        answer = MethodNotAllowed(f"Invalid method for URL {where}")
        headers["Allow"] = ", ".join(_methods(request))
    else:
        answer = InvalidRequest(f"The request could not be read {where}: {error.detail}.")
    return error_response(answer, dialect_of(request.scope), headers)


def _methods(request: Request) -> list[str]:
    """All methods of the path; the framework names those of one route only."""
    routes: list[Any] = [each for router in request.app.state.routers for each in router.routes]
    path = request.scope["path"]
    return sorted({m for each in routes if each.path_regex.match(path) for m in each.methods})
