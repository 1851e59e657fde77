"""Uploads over HTTP: forms of parts, limits that are checked before the bytes are read, refusals in the API's words."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from local_assistants.engine.settings import CoreSettings
from tests.support.answers import error_of, json_of

from .house import House, Json, open_house

BOUNDARY = "b0undary"
FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
END = f"--{BOUNDARY}--\r\n"
UPLOAD: Json = {"bytes": 6, "filename": "a.txt", "mime_type": "text/plain", "purpose": "vision"}


def part(head: str, body: str = "apples") -> str:
    """One part of a hand-made form."""
    return f"--{BOUNDARY}\r\ncontent-disposition: form-data; {head}\r\n\r\n{body}\r\n"


async def sent(house: House, upload: Json, content: bytes) -> Json:
    """A part, as the SDK sends it."""
    path = f"/uploads/{upload['id']}/parts"
    return json_of(await house.client.post(path, files={"data": ("upload", content)}))


async def test_an_upload_lives_its_life(house: House) -> None:
    """Create, parts, complete: the answers carry exactly the API's fields, and the file is there."""
    upload = await house.post("/uploads", UPLOAD)
    parts = [await sent(house, upload, content) for content in (b"les", b"app")]
    body = {"part_ids": [parts[1]["id"], parts[0]["id"]], "md5": hashlib.md5(b"apples").hexdigest()}
    done = await house.post(f"/uploads/{upload['id']}/complete", body)
    file = await house.get(f"/files/{done['file']['id']}")
    content = await house.client.get(f"/files/{file['id']}/content")

    assert upload == {
        "id": upload["id"],
        "object": "upload",
        "bytes": 6,
        "created_at": upload["created_at"],
        "filename": "a.txt",
        "purpose": "vision",
        "status": "pending",
        "expires_at": upload["created_at"] + 3600,
        "file": None,
    }
    assert {"id", "object", "created_at", "upload_id"} == set(parts[0])
    assert ("upload.part", upload["id"]) == (parts[0]["object"], parts[0]["upload_id"])
    assert upload | {"status": "completed", "file": file} == done
    assert b"apples" == content.content


async def test_a_cancelled_upload_is_over(house: House) -> None:
    """The answer shows it; whatever comes after it is a 400 that says so."""
    upload = await house.post("/uploads", UPLOAD)
    path = f"/uploads/{upload['id']}"
    assert upload | {"status": "cancelled"} == await house.post(f"{path}/cancel")
    late = [
        await house.client.post(f"{path}/parts", files={"data": b"x"}),
        await house.client.post(f"{path}/complete", json={"part_ids": []}),
        await house.client.post(f"{path}/cancel"),
    ]
    told = f"Upload {upload['id']} is cancelled. Create a new upload."
    assert [(400, told)] * 3 == [(a.status_code, error_of(a)["message"]) for a in late]


async def test_a_part_needs_no_file_name(house: House) -> None:
    """`data` as a plain field of any bytes is a part, too."""
    upload = await house.post("/uploads", UPLOAD)
    path = f"/uploads/{upload['id']}"
    content = part('name="data"') + END
    sent = json_of(await house.client.post(f"{path}/parts", content=content, headers=FORM))
    done = await house.post(f"{path}/complete", {"part_ids": [sent["id"]]})
    assert 6 == done["file"]["bytes"]


REFUSED: list[tuple[str, str, str | None]] = [
    ("", "We could not parse", None),
    (END, "Missing required parameter: 'data'.", "data"),
    (part('name="file"; filename="a"') + END, "Missing required parameter: 'data'.", "data"),
    (part('name="data"'), "We could not parse the multipart form", None),
    (part('name="data"') * 2 + END, "We could not parse the multipart form", None),
]


@pytest.mark.parametrize(("body", "told", "param"), REFUSED)
async def test_parts_that_are_refused(
    house: House, body: str, told: str, param: str | None
) -> None:
    """A broken form is a 400, and the upload goes on."""
    upload = await house.post("/uploads", UPLOAD)
    path = f"/uploads/{upload['id']}"
    answer = await house.client.post(f"{path}/parts", content=body.encode(), headers=FORM)
    error = error_of(answer)
    assert (400, param) == (answer.status_code, error["param"])
    assert error["message"].startswith(told)
    good = await sent(house, upload, b"apples")
    done = await house.post(f"{path}/complete", {"part_ids": [good["id"]]})
    assert "completed" == done["status"]


@pytest.mark.parametrize("declared", [True, False])
async def test_a_part_over_the_limit_is_refused_without_being_read(
    tmp_path: Path, declared: bool
) -> None:
    """By its declared length at once, else as soon as the limit is passed."""
    body = (part('name="data"; filename="a"', "x" * 3_000_000) + END).encode()
    read = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal read
        for start in range(0, len(body), 65_536):
            read += 1
            yield body[start : start + 65_536]

    headers = FORM | ({"content-length": str(len(body))} if declared else {})
    async with open_house(tmp_path, core=CoreSettings(max_part_bytes=1000)) as house:
        upload = await house.post("/uploads", UPLOAD)
        path = f"/uploads/{upload['id']}/parts"
        answer = await house.client.post(path, content=pieces(), headers=headers)
    assert (413, "invalid_request_error") == (answer.status_code, error_of(answer)["type"])
    assert error_of(answer)["message"].startswith("Maximum content size limit (")
    assert read < 20
    assert (0 == read) is declared


async def test_the_limit_of_a_part_is_exact(tmp_path: Path) -> None:
    """The room for the form does not count for the part."""
    async with open_house(tmp_path, core=CoreSettings(max_part_bytes=1000)) as house:
        upload = await house.post("/uploads", UPLOAD)
        path = f"/uploads/{upload['id']}/parts"
        statuses = [
            (await house.client.post(path, files={"data": b"x" * size})).status_code
            for size in (1000, 1001)
        ]
    assert [200, 413] == statuses


BODIES: list[tuple[Json, str, str | None]] = [
    ({"bytes": None}, "bytes", "missing_required_parameter"),
    ({"bytes": "6"}, "bytes", "invalid_type"),
    ({"bytes": -1}, "bytes", "integer_below_min_value"),
    ({"bytes": 8 * 1024**3 + 1}, "bytes", "integer_above_max_value"),
    ({"filename": None}, "filename", "missing_required_parameter"),
    ({"mime_type": None}, "mime_type", "missing_required_parameter"),
    ({"purpose": "pleasure"}, "purpose", None),
    ({"md5": "x"}, "md5", "unknown_parameter"),
    (
        {"expires_after": {"anchor": "now", "seconds": 3600}},
        "expires_after.anchor",
        "invalid_value",
    ),
    (
        {"expires_after": {"anchor": "created_at", "seconds": 3599}},
        "expires_after.seconds",
        "integer_below_min_value",
    ),
]


@pytest.mark.parametrize(("change", "param", "code"), BODIES)
async def test_announcements_that_are_refused(
    house: House, change: Json, param: str, code: str | None
) -> None:
    """Each mistake with its parameter and code."""
    answer = await house.client.post("/uploads", json=UPLOAD | change)
    error = error_of(answer)
    assert (400, param, code) == (answer.status_code, error["param"], error["code"])


async def test_completions_that_are_refused(house: House) -> None:
    """A wrong number of bytes, MD5 or part: the parameter is named, and the upload stays open."""
    upload = await house.post("/uploads", UPLOAD)
    path = f"/uploads/{upload['id']}/complete"
    good = (await sent(house, upload, b"apples"))["id"]
    more = (await sent(house, upload, b"x"))["id"]
    cases: list[tuple[Any, str]] = [
        ({}, "part_ids"),
        ({"part_ids": "x"}, "part_ids"),
        ({"part_ids": []}, "part_ids"),
        ({"part_ids": [good, more]}, "part_ids"),
        ({"part_ids": [good, good]}, "part_ids"),
        ({"part_ids": ["part_x"]}, "part_ids"),
        ({"part_ids": [good], "md5": "no"}, "md5"),
    ]
    answers = [await house.client.post(path, json=body) for body, _ in cases]
    assert [(400, param) for _, param in cases] == [
        (answer.status_code, error_of(answer)["param"]) for answer in answers
    ]
    done = await house.post(path, {"part_ids": [good]})
    assert "completed" == done["status"]


async def test_uploads_that_are_not_there(house: House) -> None:
    """404 for an unknown id, 400 for what cannot be one; there is no list and nothing to read."""
    for sub in ("parts", "complete", "cancel"):
        sent: Json = {"files": {"data": b"x"}} if sub == "parts" else {"json": {"part_ids": []}}
        unknown = await house.client.post(f"/uploads/upload_0/{sub}", **sent)
        malformed = await house.client.post(f"/uploads/undefined/{sub}", **sent)
        assert "No upload found with id 'upload_0'." == error_of(unknown)["message"]
        assert (404, 400) == (unknown.status_code, malformed.status_code)
        assert ("upload_id", "invalid_value") == (
            error_of(malformed)["param"],
            error_of(malformed)["code"],
        )
    assert 405 == (await house.client.get("/uploads")).status_code
