"""OpenAI's and Azure's forms of one path (contract, 7).

The same operations are served under `/v1`, `/openai`, `/openai/v1` and `/openai/deployments/{name}`. The routes know
only the first; a request for another is given its `/v1` path here and remembers where it came from.
"""

import re
from enum import StrEnum
from typing import Any

from starlette.types import Scope

_AZURE = re.compile(r"/openai(?:/v1|/deployments/[^/]+)?(?=/)")
_ORIGINAL = "local_assistants.original_path"


class Dialect(StrEnum):
    """Whose manners a request expects."""

    OPENAI = "openai"
    AZURE = "azure"


def canonical(path: str) -> str:
    """The `/v1` form of `path`; other paths as they are."""
    prefix = _AZURE.match(path)
    return f"/v1{path[prefix.end() :]}" if prefix else path


def rewrite(scope: Scope) -> Scope:
    """A copy of `scope` with its canonical path."""
    path: str = scope["path"]
    return {**scope, "path": canonical(path), "root_path": "", _ORIGINAL: path}


def original_path(scope: Scope) -> str:
    """The path as the client sent it."""
    found: Any = scope.get(_ORIGINAL, scope["path"])
    return str(found)


def dialect_of(scope: Scope) -> Dialect:
    """Azure's for everything under `/openai`."""
    return Dialect.AZURE if original_path(scope).startswith("/openai") else Dialect.OPENAI
