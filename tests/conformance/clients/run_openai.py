"""Tries every case with one way of making the official Python client; prints a JSON line for each.

Usage: python -m clients.run_openai WAY ADDRESS HASTY_ADDRESS [PART OF A CASE'S NAME]

The keys to the client's own project and to a stranger's come as CONFORMANCE_KEY and STRANGERS_KEY. Run as a module, in
the environment of the SDK's version; imports nothing of the project under test.
"""

import asyncio
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

import openai

from . import (
    cases_files,
    cases_helpers,
    cases_mistakes,
    cases_objects,
    cases_patterns,
    cases_runs,
    cases_stores,
)
from .reporting import Case, Traffic, attempt
from .strict import Strict
from .world import World, got

CASES: tuple[Case, ...] = (
    *cases_objects.CASES,
    *cases_files.CASES,
    *cases_stores.CASES,
    *cases_helpers.CASES,
    *cases_runs.CASES,
    *cases_mistakes.CASES,
    *cases_patterns.CASES,
)
_AZURE = {"api_version": "2024-05-01-preview"}
_MODEL = {"azure_deployment": "default"}


def _plain(kind: str, path: str) -> Callable[[str, dict[str, Any]], Any]:
    def make(address: str, common: dict[str, Any]) -> Any:
        return getattr(openai, kind)(base_url=f"{address}{path}", **common)

    return make


def _azure(kind: str, **fields: str) -> Callable[[str, dict[str, Any]], Any]:
    def make(address: str, common: dict[str, Any]) -> Any:
        return getattr(openai, kind)(azure_endpoint=address, **_AZURE, **fields, **common)

    return make


WAYS: dict[str, Callable[[str, dict[str, Any]], Any]] = {
    "sync": _plain("OpenAI", "/v1"),
    "async": _plain("AsyncOpenAI", "/v1"),
    "Azure": _azure("AzureOpenAI"),
    "Azure async, deployment": _azure("AsyncAzureOpenAI", **_MODEL),
    "Azure v1": _plain("OpenAI", "/openai/v1"),
}


def client_of(way: str, address: str, strict: Strict, key: str = "any") -> Any:
    """The official client with the strict hook on its own HTTP client."""
    hook: Any = strict.on_async_response if "async" in way else strict.on_response
    inner: Any = openai.DefaultAsyncHttpxClient if "async" in way else openai.DefaultHttpxClient
    http = inner(event_hooks={"response": [hook]}, trust_env=False)
    common = {"api_key": key, "max_retries": 0, "timeout": 60.0, "http_client": http}
    return WAYS[way](address, common)


async def main(way: str, address: str, hasty: str, part: str = "") -> None:
    """All cases, one after the other."""
    warnings.filterwarnings("ignore", category=DeprecationWarning)  # the SDK says so of every call
    traffic = Traffic()
    strict = Strict(traffic)
    own, strangers = (os.environ.get(name, "any") for name in ("CONFORMANCE_KEY", "STRANGERS_KEY"))
    world = World(
        client=client_of(way, address, strict, own),
        hasty=client_of(way, hasty, strict),
        stranger=client_of(way, address, strict, strangers),
        asynchronous="async" in way,
    )
    name = f"openai {openai.__version__}, {way}"
    for case in CASES:
        if part in case.name:
            print((await attempt(name, case, world, traffic)).line(), flush=True)  # noqa: T201
    for client in (world.client, world.hasty, world.stranger):
        await got(client.close())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
