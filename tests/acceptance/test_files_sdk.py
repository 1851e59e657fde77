"""Uploads and vector stores as the official SDK uses them, on a real server with its real index and embedder."""

import asyncio
import hashlib
import importlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types import Upload
from openai.types.vector_store_search_params import Filters

# The server imports it in its thread; the SDK in this one trips over a module that is half imported.
importlib.import_module("httpx")

ServeScript = Callable[[list[dict[str, Any]]], str]
CONTENT = bytes(range(256)) * 5_000
MD5 = hashlib.md5(CONTENT).hexdigest()


def client_of(address: str) -> OpenAI:
    """The client as a stranger makes it."""
    return OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=60)


@pytest.fixture
def client(serve_script: ServeScript) -> OpenAI:
    """A client of a new server."""
    return client_of(serve_script([{"text": "Hello."}]))


def content_of(client: OpenAI, upload: Upload) -> bytes:
    """What became of an upload."""
    assert upload.file is not None
    assert (upload.file.purpose, upload.file.status) == ("vision", "processed")
    return client.files.content(upload.file.id).content


def test_a_file_is_uploaded_in_parts(client: OpenAI, tmp_path: Path) -> None:
    """upload_file_chunked from memory and from disk: several parts, checked by MD5, downloaded again."""
    path = tmp_path / "big.bin"
    path.write_bytes(CONTENT)
    from_memory = client.uploads.upload_file_chunked(
        file=CONTENT,
        filename="big.bin",
        bytes=len(CONTENT),
        mime_type="application/octet-stream",
        purpose="vision",
        part_size=300_000,
        md5=MD5,
    )
    from_disk = client.uploads.upload_file_chunked(
        file=path,
        mime_type="application/octet-stream",
        purpose="vision",
        part_size=500_000,
        md5=MD5,
    )

    for upload in (from_memory, from_disk):
        assert ("completed", "big.bin", len(CONTENT)) == (
            upload.status,
            upload.filename,
            upload.bytes,
        )
        assert content_of(client, upload) == CONTENT


async def test_a_file_is_uploaded_in_parts_by_the_async_client(serve_script: ServeScript) -> None:
    """The same; and parts at the same time, put together in the order named."""
    address = serve_script([{"text": "Hello."}])
    client = AsyncOpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
    chunked = await client.uploads.upload_file_chunked(
        file=CONTENT,
        filename="big.bin",
        bytes=len(CONTENT),
        mime_type="application/octet-stream",
        purpose="vision",
        part_size=300_000,
        md5=MD5,
    )
    upload = await client.uploads.create(
        bytes=len(CONTENT), filename="big.bin", mime_type="x/y", purpose="vision"
    )
    pieces = [CONTENT[start : start + 100_000] for start in range(0, len(CONTENT), 100_000)]
    parts = await asyncio.gather(
        *(client.uploads.parts.create(upload.id, data=piece) for piece in pieces)
    )
    parallel = await client.uploads.complete(
        upload.id, part_ids=[part.id for part in parts], md5=MD5
    )
    with client_of(address) as reader:
        contents = [content_of(reader, each) for each in (chunked, parallel)]
    await client.close()

    assert [CONTENT, CONTENT] == contents


def test_uploads_that_go_wrong(client: OpenAI) -> None:
    """The SDK raises what the server says: too large a part, bytes that do not add up, an upload that is over."""
    upload = client.uploads.create(
        bytes=3, filename="a", mime_type="text/plain", purpose="assistants"
    )
    with pytest.raises(openai.APIStatusError, match="Maximum content size limit") as too_large:
        client.uploads.parts.create(upload.id, data=bytes(66 * 1024 * 1024))
    part = client.uploads.parts.create(upload.id, data=b"four")
    with pytest.raises(openai.BadRequestError, match="come to 4 bytes"):
        client.uploads.complete(upload.id, part_ids=[part.id])
    assert client.uploads.cancel(upload.id).status == "cancelled"
    with pytest.raises(openai.BadRequestError, match=f"Upload {upload.id} is cancelled"):
        client.uploads.parts.create(upload.id, data=b"x")
    with pytest.raises(openai.NotFoundError, match="No upload found with id 'upload_0'"):
        client.uploads.complete("upload_0", part_ids=[])

    assert too_large.value.status_code == 413


TEXTS = {
    "cats.txt": "Cats sleep for sixteen hours a day. A cat purrs when it is content.",
    "taxes.txt": "The corporate tax rate rose to 24.6 percent in the fourth quarter.",
    "ships.txt": "The ship Aurora left Bergen harbour on 3 May with a cargo of timber.",
}
YEARS = {"cats.txt": 2020, "taxes.txt": 2021, "ships.txt": 2022}


def filled_store(client: OpenAI) -> tuple[str, dict[str, str]]:
    """A vector store with the three texts, each with its year and kind; the files' ids by name."""
    store = client.vector_stores.create(name="S")
    ids: dict[str, str] = {}
    for name, text in TEXTS.items():
        ids[name] = client.files.create(file=(name, text.encode()), purpose="assistants").id
    batch = client.vector_stores.file_batches.create_and_poll(
        store.id,
        files=[
            {"file_id": ids[name], "attributes": {"year": year, "animal": name == "cats.txt"}}
            for name, year in YEARS.items()
        ],
    )
    assert (batch.status, batch.file_counts.completed) == ("completed", 3)
    return store.id, ids


@pytest.mark.slow  # the first of these to search loads the embedder
def test_a_store_is_searched_with_filters(client: OpenAI) -> None:
    """Queries, limits, thresholds, every kind of filter; attributes changed a moment ago count at once."""
    store_id, ids = filled_store(client)

    def found(query: str | list[str] = "tax rate", **options: Any) -> list[str]:
        page = client.vector_stores.search(store_id, query=query, **options)
        assert all(0 <= hit.score <= 1 for hit in page.data)
        assert sorted(page.data, key=lambda hit: -hit.score) == page.data
        return [hit.filename for hit in page.data]

    def filtered(filters: Filters) -> set[str]:
        return set(found(filters=filters))

    def compared(kind: str, key: str, value: Any) -> Any:
        return {"type": kind, "key": key, "value": value}

    assert found()[0] == "taxes.txt"
    assert found(["how long do cats sleep", "when did the ship leave"], max_num_results=2) in (
        ["cats.txt", "ships.txt"],
        ["ships.txt", "cats.txt"],
    )
    assert found(max_num_results=1, rewrite_query=True) == ["taxes.txt"]
    assert found(ranking_options={"score_threshold": 0.0, "ranker": "auto"})[0] == "taxes.txt"
    assert filtered(compared("eq", "year", 2020)) == {"cats.txt"}
    assert filtered(compared("ne", "year", 2020)) == {"taxes.txt", "ships.txt"}
    assert filtered(compared("gt", "year", 2020)) == {"taxes.txt", "ships.txt"}
    assert filtered(compared("gte", "year", 2022)) == {"ships.txt"}
    assert filtered(compared("lt", "year", 2021)) == {"cats.txt"}
    assert filtered(compared("lte", "year", 2021)) == {"cats.txt", "taxes.txt"}
    assert filtered(compared("in", "year", [2020, 2022])) == {"cats.txt", "ships.txt"}
    assert filtered(compared("nin", "year", [2020, 2022])) == {"taxes.txt"}
    assert filtered(compared("eq", "animal", True)) == {"cats.txt"}
    nested: Any = {
        "type": "or",
        "filters": [
            compared("eq", "animal", True),
            {
                "type": "and",
                "filters": [compared("gt", "year", 2020), compared("lt", "year", 2022)],
            },
        ],
    }
    assert filtered(nested) == {"cats.txt", "taxes.txt"}

    client.vector_stores.files.update(
        ids["ships.txt"], vector_store_id=store_id, attributes={"animal": True}
    )
    assert filtered(compared("eq", "animal", True)) == {"cats.txt", "ships.txt"}
    assert filtered(compared("gte", "year", 2022)) == set()
    with pytest.raises(openai.BadRequestError, match="Supported values are"):
        found(filters=compared("like", "year", 1))


def test_what_is_in_a_store_and_what_is_gone(client: OpenAI) -> None:
    """Text and size of a file; detached or deleted it is not found any more, and the counts say so."""
    store_id, ids = filled_store(client)
    page = client.vector_stores.files.content(ids["cats.txt"], vector_store_id=store_id)
    item = client.vector_stores.files.retrieve(ids["cats.txt"], vector_store_id=store_id)
    before = client.vector_stores.retrieve(store_id)
    client.vector_stores.files.delete(ids["taxes.txt"], vector_store_id=store_id)
    client.files.delete(ids["ships.txt"])
    after = client.vector_stores.retrieve(store_id)
    hits = client.vector_stores.search(store_id, query="tax rate and ships").data

    assert [part.text for part in page.data] == [TEXTS["cats.txt"]]
    assert item.usage_bytes == len(TEXTS["cats.txt"]) + 1024
    assert before.usage_bytes == sum(len(text) + 1024 for text in TEXTS.values())
    assert (after.file_counts.total, after.usage_bytes) == (1, item.usage_bytes)
    assert {hit.filename for hit in hits} <= {"cats.txt"}
    assert client.files.retrieve(ids["taxes.txt"]).filename == "taxes.txt"


def test_polling_ends_with_files_that_cannot_be_read(client: OpenAI) -> None:
    """upload_and_poll of a batch with a good file, an unknown kind and one that is no text."""
    store = client.vector_stores.create()
    files = [
        ("good.txt", BytesIO(b"Good text.")),
        ("table.csv", BytesIO(b"a,b\n1,2\n")),
        ("broken.pdf", BytesIO(b"%PDF-1.4 nothing")),
    ]
    batch = client.vector_stores.file_batches.upload_and_poll(store.id, files=files)
    failed = client.vector_stores.file_batches.list_files(
        batch.id, vector_store_id=store.id, filter="failed"
    )
    single = client.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=("more.txt", BytesIO(b"More text."))
    )
    done = client.vector_stores.retrieve(store.id)

    assert (batch.status, batch.file_counts.in_progress) == ("completed", 0)
    assert (batch.file_counts.completed, batch.file_counts.failed) == (1, 2)
    codes = {item.last_error.code for item in failed.data if item.last_error}
    assert codes == {"unsupported_file", "invalid_file"}
    assert single.status == "completed"
    assert (done.status, done.file_counts.total) == ("completed", 4)
