"""The forms in which clients write one path (contract, 7).

    OpenAI            /v1/threads
    Azure OpenAI      /openai/threads, /openai/v1/threads, /openai/deployments/{name}/threads
    Azure AI Agents   /threads, /api/projects/{name}/threads

The routes know only the first; a request for another is given its `/v1` path here and remembers where it came from.
Of the third form only the agents service's own collections are taken, so that no other path is caught.
"""

import re
from enum import StrEnum
from typing import Any

from starlette.types import Scope

_AZURE = re.compile(r"/openai(?:/v1|/deployments/[^/]+)?(?=/)")
_AGENTS = re.compile(
    r"(?:/api/projects/[^/]+)?(?=/(?:assistants|threads|files|vector_stores)(?:/|$))"
)
_ORIGINAL = "local_assistants.original_path"
_DIALECT = "local_assistants.dialect"


class Dialect(StrEnum):
    """Whose manners a request expects."""

    OPENAI = "openai"
    AZURE = "azure"
    AGENTS = "agents"


def canonical(path: str) -> tuple[str, Dialect]:
    """The `/v1` form of `path` and whose form it was; other paths as they are."""
    if prefix := _AZURE.match(path):
        return f"/v1{path[prefix.end() :]}", Dialect.AZURE
    if prefix := _AGENTS.match(path):
        return f"/v1{path[prefix.end() :]}", Dialect.AGENTS
    return path, Dialect.AZURE if path == "/openai" else Dialect.OPENAI


def rewrite(scope: Scope) -> Scope:
    """A copy of `scope` with its canonical path."""
    path: str = scope["path"]
    route_path, dialect = canonical(path)
    if dialect is Dialect.AGENTS and route_path == "/v1/threads" and scope["method"] == "GET":
        route_path = THREADS_OF_AGENTS
    return {**scope, "path": route_path, "root_path": "", _ORIGINAL: path, _DIALECT: dialect}


THREADS_OF_AGENTS = "/local/threads"
"""Only the agents client lists threads by `GET /threads`; the others are told that this method is not there."""


def original_path(scope: Scope) -> str:
    """The path as the client sent it."""
    found: Any = scope.get(_ORIGINAL, scope["path"])
    return str(found)


def dialect_of(scope: Scope) -> Dialect:
    """Azure's for everything under `/openai`, the agents client's for its paths, else OpenAI's."""
    found = scope.get(_DIALECT)
    return found if isinstance(found, Dialect) else canonical(scope["path"])[1]
