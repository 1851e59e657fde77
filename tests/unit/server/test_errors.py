"""Every mistake gets the four-key envelope, never a framework's own body."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from local_assistants.engine.errors import StorageFault
from local_assistants.engine.objects import Model
from local_assistants.server.app import create_app
from local_assistants.server.errors import SORRY
from tests.support.answers import error_of

from .house import House, open_house

JSON = {"content-type": "application/json"}


async def refused(
    house: House, method: str, path: str, status: int, **arguments: Any
) -> dict[str, Any]:
    """The error of a request that has to be refused with `status`."""
    answer = await house.client.request(method, path, **arguments)
    assert status == answer.status_code, answer.text
    assert "application/json" == answer.headers["content-type"]
    return error_of(answer)


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("POST", "/v1/x", 404, "Invalid URL (POST /v1/x)"),
        ("GET", "/", 404, "Invalid URL (GET /)"),
        ("GET", "/docs/other.js", 404, "Invalid URL (GET /docs/other.js)"),
        ("GET", "/redoc", 404, "Invalid URL (GET /redoc)"),
        ("GET", "/v1/assistants/", 404, "Invalid URL (GET /v1/assistants/)"),
        (
            "GET",
            "/v1/assistants/asst_1/files",
            404,
            "Invalid URL (GET /v1/assistants/asst_1/files)",
        ),
        ("GET", "/v1/%ff%00", 404, None),
        (
            "PATCH",
            "/v1/threads/thread_1",
            405,
            "Invalid method for URL (PATCH /v1/threads/thread_1)",
        ),
        ("OPTIONS", "/v1/threads", 405, "Invalid method for URL (OPTIONS /v1/threads)"),
        ("GET", "/v1/threads", 405, "Invalid method for URL (GET /v1/threads)"),
    ],
)
async def test_unknown_urls_and_methods(
    house: House, method: str, path: str, status: int, message: str | None
) -> None:
    """A path or method that does not exist is named as it was sent."""
    error = await refused(house, method, f"http://localhost{path}", status)
    assert message is None or message == error["message"]
    assert "invalid_request_error" == error["type"]


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/assistants", "GET, POST"),
        ("/v1/threads/thread_1", "DELETE, GET, POST"),
        ("/v1/threads", "POST"),
        ("/v1/models/a/b", "DELETE, GET"),
        ("/healthz", "GET"),
        ("/docs", "GET"),
    ],
)
@pytest.mark.parametrize("method", ["OPTIONS", "HEAD", "PUT", "BREW"])
async def test_a_wrong_method_is_told_the_right_ones(
    house: House, method: str, path: str, allowed: str
) -> None:
    """All methods of a path, not those of its first route."""
    answer = await house.client.request(method, f"http://localhost{path}")
    assert (405, allowed) == (answer.status_code, answer.headers["allow"])


class FaultyStore:
    """A service whose store refuses."""

    async def list(self) -> list[Model]:
        raise StorageFault("The disk is full.")


async def test_our_own_faults_are_logged_with_their_request(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """The id that the client sees finds the line."""
    house.app.state.services.of("default").models = FaultyStore()
    answer = await house.client.get("/models")
    assert (500, "The disk is full.") == (answer.status_code, error_of(answer)["message"])
    assert answer.headers["x-request-id"] in caplog.text


async def test_a_fault_of_the_disk_names_its_paths_in_the_log_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A client learns what happened, whoever runs the server also where; both in the database and beside it."""
    async with open_house(tmp_path) as house:
        with closing(sqlite3.connect(tmp_path / "store.db")) as connection, connection:
            connection.execute("ALTER TABLE assistants RENAME TO gone")
        shutil.rmtree(tmp_path / "blobs" / "incoming")
        file = {"file": ("a.txt", b"text")}
        answers = [
            await house.client.get("/assistants"),
            await house.client.post("/files", files=file, data={"purpose": "assistants"}),
        ]

    said = [error_of(answer)["message"] for answer in answers]
    assert ["The database failed", "The data folder failed"] == [s.partition(":")[0] for s in said]
    assert [] == [text for text in said if str(tmp_path) in text or "store.db" in text]
    assert str(tmp_path / "store.db") in caplog.text
    assert str(tmp_path / "blobs" / "incoming") in caplog.text


BROKEN: list[tuple[str, bytes]] = [
    ("cut", b'{"model": '),
    ("not json", b"model=scripted"),
    ("not utf-8", b'{"model": "\xff\xfe"}'),
    ("utf-16", '{"model": "scripted"}'.encode("utf-16")),
    ("lone surrogate", b'{"model": "\\ud800"}'),
    ("NaN", b'{"model": "scripted", "temperature": NaN}'),
    ("deep", b"[" * 100_000),
    ("deep and closed", b'{"metadata":' * 5000 + b"{}" + b"}" * 5000),
    ("number without end", b'{"temperature": ' + b"9" * 10_000 + b"}"),
    ("two values", b"{}{}"),
]


@pytest.mark.parametrize("body", [body for _, body in BROKEN], ids=[name for name, _ in BROKEN])
async def test_bodies_that_are_not_json(house: House, body: bytes) -> None:
    """Whatever cannot be read as JSON is a 400 that says so."""
    error = await refused(house, "POST", "/assistants", 400, content=body, headers=JSON)
    assert error["message"].startswith("We could not parse the JSON body of your request")
    assert (None, None) == (error["param"], error["code"])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"[]", "invalid_type"),
        (b'"x"', "invalid_type"),
        (b"{}", "missing_required_parameter"),
        (b"", "missing_required_parameter"),
        (b'{"model": "scripted", "temperature": 1e400}', "invalid_value"),
        (b'{"model": "scripted", "top_p": 99999999999999999999}', "decimal_above_max_value"),
        (b'{"model": "scripted", "mod\xc3\xa8le": 1}', "unknown_parameter"),
        (b'{"model": "nope"}', "model_not_found"),
    ],
)
async def test_json_that_is_no_assistant(house: House, body: bytes, code: str) -> None:
    """JSON of the wrong shape has its own codes."""
    answer = await house.client.post("/assistants", content=body, headers=JSON)
    assert (True, code) == (400 <= answer.status_code < 500, error_of(answer)["code"])


async def test_a_json_body_needs_its_content_type(house: House) -> None:
    """Text and forms are refused, since pages of other sites may send them unasked."""
    headers = {"content-type": "text/plain"}
    error = await refused(house, "POST", "/threads", 400, content=b"{}", headers=headers)
    assert error["message"].startswith("Unsupported content type: 'text/plain'.")


async def test_a_body_over_the_limit_is_not_read_whole(house: House) -> None:
    """Reading stops where the limit is passed."""
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 1024 * 1024

    error = await refused(house, "POST", "/threads", 413, content=endless(), headers=JSON)
    assert 65 == sent
    assert error["message"].startswith("Maximum content size limit (67108864) exceeded")


@pytest.mark.parametrize(
    ("path", "param"),
    [
        ("/assistants/undefined", "assistant_id"),
        ("/threads/undefined", "thread_id"),
        ("/threads/undefined/messages", "thread_id"),
        ("/threads/thread_1/messages/undefined", "message_id"),
        ("/threads/thread_1/runs/undefined", "run_id"),
        ("/threads/thread_1/runs/run_1/steps/undefined", "step_id"),
        ("/vector_stores/undefined", "vector_store_id"),
        ("/vector_stores/vs_1/file_batches/undefined", "batch_id"),
    ],
)
async def test_malformed_ids(house: House, path: str, param: str) -> None:
    """An id that cannot be one is a 400 that names the prefix expected."""
    error = await refused(house, "GET", path, 400)
    assert error["message"].startswith(
        f"Invalid '{param}': 'undefined'. Expected an ID that begins"
    )
    assert ("invalid_value", param) == (error["code"], error["param"])


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/threads/thread_1", "No thread found with id 'thread_1'."),
        ("/threads/thread_1/messages", "No thread found with id 'thread_1'."),
        ("/threads/thread_1/runs/run_1", "No thread found with id 'thread_1'."),
        ("/vector_stores/vs_1", "No vector store found with id 'vs_1'."),
        ("/files/file-1", "No such File object: file-1"),
        ("/files/undefined/content", "No such File object: undefined"),
        ("/models/a/b", "The model 'a/b' does not exist"),
    ],
)
async def test_ids_that_name_nothing(house: House, path: str, message: str) -> None:
    """An unknown id is a 404 in the words of its kind."""
    assert message == (await refused(house, "GET", path, 404))["message"]


@pytest.mark.parametrize(
    ("query", "code", "param"),
    [
        ("limit=0", "integer_below_min_value", "limit"),
        ("limit=101", "integer_above_max_value", "limit"),
        ("limit=-1", "integer_below_min_value", "limit"),
        ("limit=1.5", "invalid_type", "limit"),
        ("limit=" + "9" * 5000, "invalid_type", "limit"),
        ("limit=%D9%A3", "invalid_type", "limit"),
        ("order=up", "invalid_value", "order"),
        ("order=%ff", "invalid_value", "order"),
    ],
)
async def test_page_queries(house: House, query: str, code: str, param: str) -> None:
    """Limit and order are checked."""
    error = await refused(house, "GET", f"/assistants?{query}", 400)
    assert (code, param) == (error["code"], error["param"])


async def test_empty_and_unknown_query_keys_are_ignored(house: House) -> None:
    """Clients send keys without values and keys of other versions."""
    page = await house.get("/assistants", limit="", order="", after="", unknown="x")
    assert [] == page["data"]


async def test_a_file_list_takes_ten_thousand(house: House) -> None:
    """The files list has its own limit."""
    assert [] == (await house.get("/files", limit=10_000))["data"]
    error = await refused(house, "GET", "/files?limit=10001", 400)
    assert "integer_above_max_value" == error["code"]


async def test_unknown_includes_and_filters(house: House) -> None:
    """What include[] and filter do not know is refused with what they do."""
    include = await refused(house, "GET", "/threads/thread_1/runs/run_1/steps?include[]=x", 400)
    status = await refused(house, "GET", "/vector_stores/vs_1/files?filter=done", 400)
    assert ("include", "filter") == (include["param"], status["param"])


class FaultyModels:
    """A service that breaks in a way nobody foresaw."""

    async def list(self) -> list[Model]:
        raise RuntimeError("secret detail")


async def test_what_nobody_foresaw_is_a_500_without_details(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """The client reads the API's sorry; the log has the cause and the request id."""
    services = house.app.state.services.of("default")
    services.models = FaultyModels()
    answer = await house.client.get("/models")
    assert (500, SORRY) == (answer.status_code, error_of(answer)["message"])
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"] in caplog.text
    assert "secret detail" in caplog.text


async def test_errors_carry_the_usual_headers(house: House) -> None:
    """Request id, processing time and version are on every answer."""
    answers = [
        await house.client.get("/models"),
        await house.client.get("/nothing"),
        await house.client.post("/assistants"),
    ]
    for answer in answers:
        assert answer.headers["x-request-id"].startswith("req_")
        assert int(answer.headers["openai-processing-ms"]) >= 1
        assert "2020-10-01" == answer.headers["openai-version"]


async def test_health_needs_no_prefix(house: House) -> None:
    """/healthz and /readyz answer at the root."""
    answers = [await house.client.get(f"http://localhost/{name}") for name in ("healthz", "readyz")]
    assert ["ok", "ready"] == [answer.json()["status"] for answer in answers]


async def test_a_second_application_is_its_own(house: House) -> None:
    """Applications share no state, so that one process may hold several."""
    other = create_app(house.app.state.services)
    transport = httpx.ASGITransport(other)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost/v1") as client:
        assert 200 == (await client.get("/models")).status_code
