"""How routes reach the services: those of the project that the gate let the request into."""

from collections.abc import Awaitable, Callable
from typing import Annotated, cast

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.types import Scope

from ..engine.objects import DEFAULT_PROJECT
from ..engine.services import Services
from .reading import well_formed_ids

_PROJECT = "local_assistants.project"
_ASK = "local_assistants.ask_again"


def enter_project(scope: Scope, project: str, ask_again: Callable[[], Awaitable[object]]) -> None:
    """Have the request that `scope` tells of served from this project.

    `ask_again` raises when its key opens no door any more.
    """
    scope[_PROJECT] = project
    scope[_ASK] = ask_again


async def still_in(scope: Scope) -> None:
    """For answers that take their time: whether the request's key would still let it in.

    Raises:
        AuthenticationFailed: it was revoked.
    """
    ask: Callable[[], Awaitable[object]] | None = scope.get(_ASK)
    if ask is not None:
        await ask()


async def _services(request: Request) -> Services:
    services = cast(Services, request.app.state.services)
    return services.of(request.scope.get(_PROJECT, DEFAULT_PROJECT))


Api = Annotated[Services, Depends(_services)]
"""The engine's services in the request's project, as a route's parameter."""


def new_router(prefix: str, tag: str) -> APIRouter:
    """A router whose path ids are checked before its routes run."""
    return APIRouter(prefix=prefix, tags=[tag], dependencies=[Depends(well_formed_ids)])
