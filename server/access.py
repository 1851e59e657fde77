"""How routes reach the services."""

from typing import Annotated, cast

from fastapi import APIRouter, Depends
from starlette.requests import Request

from ..engine.services import Services
from .reading import well_formed_ids


async def _services(request: Request) -> Services:
    return cast(Services, request.app.state.services)


Api = Annotated[Services, Depends(_services)]
"""The engine's services, as a route's parameter."""


def new_router(prefix: str, tag: str) -> APIRouter:
    """A router whose path ids are checked before its routes run."""
    return APIRouter(prefix=prefix, tags=[tag], dependencies=[Depends(well_formed_ids)])
