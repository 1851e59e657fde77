"""Filling and searching vector stores through the public API, as any client would."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import httpx

_BATCH = 500  # files in one file batch, the API's limit
_UPLOADS = 8  # at the same time
_PAUSE = 1.0  # seconds between two looks at a store that is being filled
PATH = "/v1/vector_stores"


async def asked(client: httpx.AsyncClient, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a POST.

    Raises:
        RuntimeError: it was refused; says what the server said.
    """
    response = await client.post(path, json=body)
    if response.status_code != 200:
        raise RuntimeError(f"POST {path}: {response.status_code} {response.text[:500]}")
    answer: dict[str, Any] = response.json()
    return answer


async def filled(client: httpx.AsyncClient, files: Mapping[str, bytes]) -> str:
    """A vector store with these files, all indexed; its id. A store of that size is taken as it is.

    Raises:
        RuntimeError: a file could not be indexed.
    """
    store = await _found(client, len(files))
    if store is None:
        store = str((await asked(client, PATH, {"name": _name(len(files))}))["id"])
        ids = await _uploaded(client, files)
        for some in _batches(ids):
            await asked(client, f"{PATH}/{store}/file_batches", {"file_ids": some})
    counts = await _settled(client, store)
    if counts["completed"] != len(files):
        raise RuntimeError(f"of {len(files)} files not all were indexed: {counts}")
    return store


async def search(client: httpx.AsyncClient, store: str, **body: Any) -> list[dict[str, Any]]:
    """The results of one search, best first."""
    found: list[dict[str, Any]] = (await asked(client, f"{PATH}/{store}/search", body))["data"]
    return found


def _name(files: int) -> str:
    return f"{files} files"


async def _found(client: httpx.AsyncClient, files: int) -> str | None:
    stores: list[dict[str, Any]] = (await client.get(PATH)).json()["data"]
    whole = (one["id"] for one in stores if one["name"] == _name(files))
    return next(whole, None)


async def _settled(client: httpx.AsyncClient, store: str) -> dict[str, int]:
    """The store's file counts once none is in progress."""
    while True:
        counts: dict[str, int] = (await client.get(f"{PATH}/{store}")).json()["file_counts"]
        if not counts["in_progress"]:
            return counts
        await asyncio.sleep(_PAUSE)


async def _uploaded(client: httpx.AsyncClient, files: Mapping[str, bytes]) -> list[str]:
    places = asyncio.Semaphore(_UPLOADS)

    async def upload(name: str, content: bytes) -> str:
        async with places:
            form = {"purpose": "assistants"}
            response = await client.post("/v1/files", data=form, files={"file": (name, content)})
        if response.status_code != 200:
            raise RuntimeError(f"upload of {name}: {response.status_code} {response.text[:500]}")
        return str(response.json()["id"])

    return await asyncio.gather(*(upload(name, content) for name, content in files.items()))


def _batches(ids: Sequence[str]) -> Iterator[list[str]]:
    rest = iter(ids)
    while some := list(islice(rest, _BATCH)):
        yield some
