"""Files and vector stores as the contract tells them, asked over HTTP."""

import asyncio
from pathlib import Path

import pytest

from tests.support.engine import PATIENCE

from .web import Json, Web, open_web

DAY = 86_400


async def store_with(web: Web, *texts: bytes) -> tuple[str, list[str]]:
    """A vector store's path with these texts indexed, and the files' ids."""
    ids = [(await web.upload(text))["id"] for text in texts]
    store = await web.post("/vector_stores", {"file_ids": ids})
    path = f"/vector_stores/{store['id']}"
    async with asyncio.timeout(PATIENCE):
        while (await web.get(path))["status"] == "in_progress":  # noqa: ASYNC110 - as clients poll
            await asyncio.sleep(0.005)
    return path, ids


# --- vector stores (1.12) --------------------------------------------------------------------------


async def test_a_store_as_it_is_made(web: Web) -> None:
    """All fields in the order seen on the wire."""
    expiry = {"anchor": "last_active_at", "days": 3}
    body = {"name": "N", "description": "D", "expires_after": expiry, "metadata": {"k": "v"}}
    store = await web.post("/vector_stores", body)
    bare = await web.post("/vector_stores")

    assert store == {
        "id": store["id"],
        "object": "vector_store",
        "created_at": store["created_at"],
        "name": "N",
        "description": "D",
        "usage_bytes": 0,
        "file_counts": {"in_progress": 0, "completed": 0, "failed": 0, "cancelled": 0, "total": 0},
        "status": "completed",
        "expires_after": expiry,
        "expires_at": store["last_active_at"] + 3 * DAY,
        "last_active_at": store["created_at"],
        "metadata": {"k": "v"},
    }
    assert list(store) == list(bare)
    assert (None, None, None, {}) == (
        bare["name"],
        bare["expires_after"],
        bare["expires_at"],
        bare["metadata"],
    )


async def test_an_expired_store_over_http(web: Web) -> None:
    """Its record stays and can be deleted; it is neither searched nor filled, and says so."""
    file = await web.upload()
    expiry = {"anchor": "last_active_at", "days": 1}
    store = await web.post("/vector_stores", {"expires_after": expiry})
    path = f"/vector_stores/{store['id']}"
    await web.home.virtual.advance(DAY)
    attempts: list[tuple[str, Json]] = [
        ("/search", {"query": "x"}),
        ("/files", {"file_id": file["id"]}),
        ("/file_batches", {"file_ids": [file["id"]]}),
    ]
    told = [await web.refused("POST", f"{path}{sub}", json=body) for sub, body in attempts]

    assert ("expired", store["expires_at"]) == (
        (await web.get(path))["status"],
        (await web.get(path))["expires_at"],
    )
    assert {f"Vector store '{store['id']}' has expired"} == {each["message"] for each in told}
    assert (await web.delete(path))["deleted"]


async def test_an_expired_file_is_gone_over_http(web: Web) -> None:
    """404 for itself, out of every list."""
    form = {
        "purpose": "vision",
        "expires_after[anchor]": "created_at",
        "expires_after[seconds]": "3600",
    }
    answer = await web.client.post("/files", files={"file": ("a.txt", b"x")}, data=form)
    file = answer.json()
    store = await web.post("/vector_stores", {"file_ids": [file["id"]]})
    await web.home.virtual.advance(3600)
    for path in (f"/files/{file['id']}", f"/files/{file['id']}/content"):
        told = await web.refused("GET", path, 404)
        assert f"No such File object: {file['id']}" == told["message"]
    async with asyncio.timeout(PATIENCE):
        path = f"/vector_stores/{store['id']}"
        while (await web.get(path))["file_counts"]["total"]:  # noqa: ASYNC110 - by the next heartbeat
            await asyncio.sleep(0.005)

    assert 3600 == file["expires_at"] - file["created_at"]
    assert [] == (await web.get("/files"))["data"]
    assert [] == (await web.get(f"{path}/files"))["data"]


BAD_SEARCHES: list[tuple[Json, str, str]] = [
    ({"query": None}, "query", "missing_required_parameter"),
    ({"query": []}, "query", "empty_array"),
    ({"query": ["x"] * 101}, "query", "array_above_max_length"),
    ({"query": 5}, "query", "invalid_type"),
    ({"max_num_results": 51}, "max_num_results", "integer_above_max_value"),
    ({"max_num_results": 0}, "max_num_results", "integer_below_min_value"),
    ({"ranking_options": {"ranker": "best"}}, "ranking_options.ranker", "invalid_value"),
    (
        {"ranking_options": {"score_threshold": 1.5}},
        "ranking_options.score_threshold",
        "decimal_above_max_value",
    ),
    ({"rewrite_query": "yes"}, "rewrite_query", "invalid_type"),
    ({"filters": {"type": "and", "filters": []}}, "filters.filters", "empty_array"),
    ({"filters": {"type": "eq", "key": "k"}}, "filters.value", "missing_required_parameter"),
    ({"filters": {"type": "in", "key": "k", "value": 1}}, "filters.value", "invalid_type"),
    (
        {
            "filters": {
                "type": "or",
                "filters": [{"type": "and", "filters": [{"type": "x", "key": "k", "value": 1}]}],
            }
        },
        "filters.filters[0].filters[0].type",
        "invalid_value",
    ),
]


@pytest.mark.parametrize(("change", "param", "code"), BAD_SEARCHES)
async def test_searches_that_are_refused(web: Web, change: Json, param: str, code: str) -> None:
    """The path of what is wrong, however deep in the filters it is."""
    store = await web.post("/vector_stores")
    body = {"query": "x"} | change
    told = await web.refused("POST", f"/vector_stores/{store['id']}/search", json=body)
    assert (param, code) == (told["param"], told["code"])


async def test_what_a_search_answers(web: Web) -> None:
    """`search_query` is an array even for one query; a hit names its file and shows its text."""
    path, (file_id,) = await store_with(web, b"apples and pears")
    one = await web.post(f"{path}/search", {"query": "pears", "rewrite_query": True})
    several = await web.post(f"{path}/search", {"query": ["plums", "apples"], "max_num_results": 1})

    assert one == {
        "object": "vector_store.search_results.page",
        "search_query": ["pears"],
        "data": [
            {
                "file_id": file_id,
                "filename": "a.txt",
                "score": 0.5,
                "attributes": {},
                "content": [{"type": "text", "text": "apples and pears"}],
                "start": 0,
                "end": 16,
            }
        ],
        "has_more": False,
        "next_page": None,
    }
    assert (["plums", "apples"], 1) == (several["search_query"], len(several["data"]))


# --- files of a store, batches (1.13) --------------------------------------------------------------


async def test_a_batch_with_settings_for_each_file(web: Web) -> None:
    """Attributes and chunking of the entry count; those of the batch are for `file_ids` only."""
    path, _ = await store_with(web)
    ids = [(await web.upload())["id"] for _ in range(3)]
    small = {
        "type": "static",
        "static": {"max_chunk_size_tokens": 200, "chunk_overlap_tokens": 0},
    }
    entries = [
        {"file_id": ids[0], "attributes": {"n": 1}},
        {"file_id": ids[1], "chunking_strategy": small},
    ]
    shared = {"attributes": {"shared": True}, "chunking_strategy": small}
    own = await web.post(f"{path}/file_batches", {"files": entries, **shared})
    alike = await web.post(f"{path}/file_batches", {"file_ids": ids[2:], **shared})
    items = (await web.get(f"{path}/files", order="asc"))["data"]

    assert [{"n": 1.0}, {}, {"shared": True}] == [item["attributes"] for item in items]
    sizes = [item["chunking_strategy"]["static"]["max_chunk_size_tokens"] for item in items]
    assert [800, 200, 200] == sizes
    assert (2, 1) == (own["file_counts"]["total"], alike["file_counts"]["total"])


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "file_ids"),
        ({"file_ids": [], "files": None}, "file_ids"),
        ({"file_ids": ["file-1"], "files": [{"file_id": "file-1"}]}, "files"),
        ({"file_ids": ["file-none"]}, "file_ids"),
        ({"files": [{"file_id": "file-none"}]}, "files"),
        ({"file_ids": ["f"] * 2001}, "file_ids"),
    ],
)
async def test_batches_that_are_refused(web: Web, body: Json, param: str) -> None:
    """Neither, both, none, unknown or too many files."""
    path, _ = await store_with(web)
    assert param == (await web.refused("POST", f"{path}/file_batches", json=body))["param"]


async def test_a_file_that_failed_can_be_attached_again(web: Web) -> None:
    """As after a cancelled batch: it is indexed anew, and the counts follow."""
    web.home.library.gate = asyncio.Event()
    path, (first,) = await _waiting(web)
    batch = await web.post(f"{path}/file_batches", {"file_ids": [first]})
    cancelled = await web.post(f"{path}/file_batches/{batch['id']}/cancel")
    again = await web.post(f"{path}/files", {"file_id": first, "attributes": {"k": "v"}})
    web.home.library.gate.set()
    done = await web.settled(f"{path}/files/{first}")
    store = await web.get(path)

    assert ("cancelled", 1) == (cancelled["status"], cancelled["file_counts"]["cancelled"])
    assert ("in_progress", "completed") == (again["status"], done["status"])
    assert {"k": "v"} == done["attributes"]
    assert (1, 1) == (store["file_counts"]["completed"], store["file_counts"]["total"])


async def _waiting(web: Web) -> tuple[str, list[str]]:
    """A store with one file that is not indexed before the gate opens."""
    file = await web.upload()
    store = await web.post("/vector_stores", {"file_ids": [file["id"]]})
    return f"/vector_stores/{store['id']}", [file["id"]]


async def test_a_files_text_and_attributes(web: Web) -> None:
    """The text as parsed; attributes are replaced as a whole, null empties them, the key must be there."""
    path, (file_id,) = await store_with(web, b"apples")
    item = f"{path}/files/{file_id}"
    text = await web.get(f"{item}/content")
    changed = await web.post(item, {"attributes": {"a": "x", "b": 1, "c": True}})
    emptied = await web.post(item, {"attributes": None})
    told = await web.refused("POST", item, json={})

    assert text == {
        "object": "vector_store.file_content.page",
        "data": [{"type": "text", "text": "apples"}],
        "has_more": False,
        "next_page": None,
    }
    assert ({"a": "x", "b": 1.0, "c": True}, {}) == (changed["attributes"], emptied["attributes"])
    assert ("attributes", "missing_required_parameter") == (told["param"], told["code"])


async def test_files_of_a_store_by_status(web: Web) -> None:
    """`filter` narrows the lists of a store and of a batch; another word is refused."""
    path, ids = await store_with(web, b"apples", b"broken", b"unsupported")
    by_status = {
        status: [item["id"] for item in (await web.get(f"{path}/files", filter=status))["data"]]
        for status in ("in_progress", "completed", "failed", "cancelled")
    }
    told = await web.refused("GET", f"{path}/files", params={"filter": "expired"})

    assert {
        "in_progress": [],
        "completed": ids[:1],
        "failed": [ids[2], ids[1]],
        "cancelled": [],
    } == by_status
    assert ("filter", "invalid_value") == (told["param"], told["code"])


async def test_what_belongs_to_another_store_is_not_there(web: Web) -> None:
    """Files and batches are found below their own store only."""
    path, (file_id,) = await store_with(web, b"apples")
    other, _ = await store_with(web, b"pears")
    batch = await web.post(f"{path}/file_batches", {"file_ids": [file_id]})
    below = f"{other}/file_batches/{batch['id']}"
    paths = [
        ("GET", f"{other}/files/{file_id}"),
        ("GET", f"{other}/files/{file_id}/content"),
        ("DELETE", f"{other}/files/{file_id}"),
        ("GET", below),
        ("GET", f"{below}/files"),
        ("POST", f"{below}/cancel"),
    ]
    told = [await web.refused(method, each, 404) for method, each in paths]
    store_id = other.rpartition("/")[2]
    assert f"No file found with id '{file_id}' in vector store '{store_id}'." == told[0]["message"]


# --- files (1.14) ----------------------------------------------------------------------------------


async def test_files_are_listed_up_to_ten_thousand_at_a_time(web: Web) -> None:
    """Newest first, all of them unless asked otherwise; the limit's own bounds are refused."""
    ids = [(await web.upload())["id"] for _ in range(25)]
    listed = await web.get("/files")
    first = await web.get("/files", limit=20)
    rest = await web.get("/files", after=first["last_id"], limit=10_000)
    told = [await web.refused("GET", "/files", params={"limit": limit}) for limit in ("10001", "0")]

    assert ids[::-1] == [file["id"] for file in listed["data"]]
    assert (ids[:4:-1], True) == ([file["id"] for file in first["data"]], first["has_more"])
    assert (ids[4::-1], False) == ([file["id"] for file in rest["data"]], rest["has_more"])
    assert [
        ("limit", "integer_above_max_value"),
        ("limit", "integer_below_min_value"),
    ] == [(each["param"], each["code"]) for each in told]


async def test_an_unknown_cursor_is_an_invalid_value(tmp_path: Path) -> None:
    """Of every list that takes one; also an id of another list."""
    async with open_web(tmp_path) as web:
        file = await web.upload()
        store = await web.post("/vector_stores")
        for path in ("/files", "/vector_stores", f"/vector_stores/{store['id']}/files"):
            for param, cursor in (("after", "nonsense"), ("before", file["id"] + "x")):
                told = await web.refused("GET", path, params={param: cursor})
                assert (param, "invalid_value") == (told["param"], told["code"])
