"""Puts the HTTP application together.

It is given ready services and starts nothing: the worker's life is the caller's. The framework's own description and
pages are off: it cannot know what routes read, and its pages load scripts from the internet. `docs` has ours.
"""

from importlib import metadata

from fastapi import APIRouter, FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from ..engine.errors import AssistantsError
from ..engine.services import Services
from . import docs, meter, metrics
from .access import Api
from .bodies import BodyBudget
from .door import Door
from .draining import Drain, drain_of
from .errors import on_assistants_error, on_http_exception
from .gate import Gate
from .reading import settings_of
from .replies import reply_json
from .routes import (
    assistants,
    files,
    local,
    local_models,
    local_stores,
    messages,
    models,
    runs,
    store_files,
    threads,
    uploads,
    vector_stores,
)
from .settings import ServerSettings

health = APIRouter(tags=["health"])


@health.get("/healthz")
async def healthz() -> Response:
    """The process answers."""
    return reply_json({"status": "ok"})


@health.get("/readyz")
async def readyz(request: Request, api: Api) -> Response:
    """Store, models, sandbox and the model of file search can be used; else 503 with a reason for each that cannot.

    A server that is being stopped is not ready. Models count that failed to load, and those that are loaded at the
    start while they are not there yet. `loading` says how far models are.

    `exclude` names a part that may be missing, such as `code_interpreter` or `file_search`; it may be repeated.
    """
    if drain_of(request.scope).begun:
        reasons = {"server": "It is being stopped."}
        return reply_json({"status": "not ready", "reasons": reasons}, status=503)
    excluded = request.query_params.getlist("exclude")
    # No key is asked for here, and reasons name folders of the host.
    told = settings_of(request).on_loopback
    reasons = {
        part: why if told else "It cannot be used; 'local-assistants doctor' says why."
        for part, why in (await api.health.problems(excluded)).items()
    }
    loading = {"loading": api.health.loading()} if told and api.health.loading() else {}
    if reasons:
        return reply_json({"status": "not ready", "reasons": reasons, **loading}, status=503)
    return reply_json({"status": "ready", **loading})


ROUTERS = (
    health,
    metrics.router,
    assistants.router,
    threads.router,
    messages.router,
    runs.router,
    files.router,
    uploads.router,
    vector_stores.router,
    store_files.router,
    models.router,
    local.router,
    local_models.router,
    local_stores.router,
)


def version() -> str:
    """The installed version of this product."""
    return metadata.version("local-assistants")


def create_app(services: Services, settings: ServerSettings | None = None) -> FastAPI:
    """The ASGI application that serves `services` in both dialects."""
    settings = settings or ServerSettings()
    counted, drain = metrics.Metrics(version()), Drain()
    services.core.feed.observers.extend(counted.observers)
    app = FastAPI(
        title="local-assistants",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        middleware=[
            Middleware(meter.Meter, metrics=counted),
            Middleware(Gate, settings=settings, door=Door(services.keys, settings), drain=drain),
            Middleware(meter.RouteNote),
        ],
    )
    app.state.services = services
    app.state.settings = settings
    app.state.bodies = BodyBudget(settings.max_bodies_bytes)
    app.state.metrics = counted
    app.state.drain = drain
    app.state.routers = (*ROUTERS, docs.router)
    for router in app.state.routers:
        app.include_router(router)
    app.add_exception_handler(AssistantsError, on_assistants_error)
    app.add_exception_handler(HTTPException, on_http_exception)
    return app
