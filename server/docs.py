"""The API's description for people: `/openapi.json`, and Swagger UI at `/docs`, whose files come with a package.

Nothing is loaded from elsewhere, and the page's content policy forbids the browser to. Page and description hold no
data, so they are open without a key; what the page then asks for is not.
"""

import json
from functools import cache
from importlib import metadata, util
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from ..engine.errors import MissingDependency
from .errors import InvalidUrl
from .openapi import describe

PACKAGE = "fastapi_offline"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>local-assistants: the API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_START = """\
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "list",
  validatorUrl: null,
  queryConfigEnabled: false,
  persistAuthorization: false,
});
"""
_FILES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
OPEN_PATHS = frozenset(
    {"/docs", "/docs/start.js", "/openapi.json", *(f"/docs/{name}" for name in _FILES)}
)
"""What the access rules leave open."""

router = APIRouter(include_in_schema=False)


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    """The description, made once an application."""
    state = request.app.state
    if not hasattr(state, "openapi"):
        document: dict[str, Any] = describe(state.routers, metadata.version("local-assistants"))
        state.openapi = json.dumps(document, ensure_ascii=False).encode()
    return Response(state.openapi, media_type="application/json")


@router.get("/docs")
async def docs() -> Response:
    """The page."""
    return Response(_PAGE, media_type="text/html", headers=_HEADERS)


@router.get("/docs/start.js")
async def start() -> Response:
    """What the page does when it is there; a file of its own, since the policy forbids inline scripts."""
    return Response(_START, media_type="text/javascript", headers=_HEADERS)


@router.get("/docs/{name}")
async def viewer(name: str, request: Request) -> Response:
    """One of the viewer's files.

    Raises:
        MissingDependency: the package that carries them is not installed.
    """
    if name not in _FILES:
        raise InvalidUrl(f"Invalid URL ({request.method} /docs/{name[:200]})")
    headers = {**_HEADERS, "cache-control": "max-age=3600"}
    return FileResponse(_viewer() / name, media_type=_FILES[name], headers=headers)


@cache
def _viewer() -> Path:
    found = util.find_spec(PACKAGE)  # only looked for: importing it would do more than hold files
    if found is None or not found.submodule_search_locations:
        raise MissingDependency(
            "The API viewer is not installed: pip install fastapi-offline. The description is at /openapi.json."
        )
    return Path(found.submodule_search_locations[0]) / "static"
