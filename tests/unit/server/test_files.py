"""Files in and out: multipart forms of every shape, safe downloads, limits."""

from pathlib import Path
from typing import Any

import pytest

from local_assistants.engine.settings import CoreSettings
from local_assistants.engine.stored_files import clean_name
from tests.support.answers import error_of, json_of

from .house import House, open_house

BOUNDARY = "b0undary"
FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


def part(head: str, body: str = "x") -> str:
    """One part of a hand-made form."""
    return f"--{BOUNDARY}\r\ncontent-disposition: form-data; {head}\r\n\r\n{body}\r\n"


END = f"--{BOUNDARY}--\r\n"
PURPOSE = part('name="purpose"', "assistants")
FILE = part('name="file"; filename="a.txt"', "apples")


async def test_a_file_is_kept_byte_for_byte(house: House) -> None:
    """Any bytes, any size over the spool's memory, any Unicode name."""
    content = bytes(range(256)) * 10_000
    files, data = {"file": ("Bänke 銀行.bin", content)}, {"purpose": "vision"}
    file = json_of(await house.client.post("/files", files=files, data=data))
    answer = await house.client.get(f"/files/{file['id']}/content")
    assert ("Bänke 銀行.bin", len(content)) == (file["filename"], file["bytes"])
    assert content == answer.content


@pytest.mark.parametrize("body", [PURPOSE + FILE + END, FILE + PURPOSE + END])
async def test_the_purpose_may_stand_before_or_behind_the_file(house: House, body: str) -> None:
    """The Python SDK sends it before, the Node SDK behind."""
    file = json_of(await house.client.post("/files", content=body.encode(), headers=FORM))
    assert ("assistants", 6) == (file["purpose"], file["bytes"])


async def test_an_expiry_is_taken(house: House) -> None:
    """expires_after comes in bracket keys and counts from the creation."""
    expiry = part('name="expires_after[anchor]"', "created_at")
    expiry += part('name="expires_after[seconds]"', "3600")
    body = (PURPOSE + expiry + FILE + END).encode()
    file = json_of(await house.client.post("/files", content=body, headers=FORM))
    assert 3600 == file["expires_at"] - file["created_at"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [(part('name="filename"', "../b.txt"), "b.txt"), ("", "upload")],
)
async def test_the_name_may_stand_in_a_field(house: House, fields: str, expected: str) -> None:
    """The agents client sends a stream's name beside it, or none."""
    body = (PURPOSE + part('name="file"') + fields + END).encode()
    file = json_of(await house.client.post("/files", content=body, headers=FORM))
    assert expected == file["filename"]


REFUSED: list[tuple[str, str, str | None]] = [
    ("", "We could not parse", None),
    (PURPOSE + END, "Missing required parameter: 'file'.", "file"),
    (FILE + END, "Missing required parameter: 'purpose'.", "purpose"),
    (part('name="purpose"; filename="p"') + END, "Missing required parameter: 'file'.", "file"),
    (part('name="purpose"', "x") + FILE + END, "'x' is not one of", "purpose"),
    (PURPOSE + FILE + FILE + END, "We could not parse the multipart form", None),
    (PURPOSE + FILE[:-8], "We could not parse the multipart form", None),
    (PURPOSE + FILE, "We could not parse the multipart form", None),
    (PURPOSE + FILE.replace('"file"', '"data"') + END, "Missing required parameter", "file"),
    (part('name="purpose"', "x" * 70_000) + FILE + END, "We could not parse", None),
    ("no form at all", "We could not parse the multipart form", None),
    (f"--{BOUNDARY}\r\ncontent-type: x\r\n\r\nx\r\n{END}", "We could not parse", None),
    (PURPOSE * 30 + FILE + END, "We could not parse the multipart form", None),
    (
        part('name="expires_after[seconds]"', "3600") + PURPOSE + FILE + END,
        "Invalid value: ''. Supported values are: 'created_at'.",
        "expires_after.anchor",
    ),
    (
        part('name="expires_after[anchor]"', "created_at") + PURPOSE + FILE + END,
        "Missing required parameter: 'expires_after.seconds'.",
        "expires_after.seconds",
    ),
    *(
        (
            part('name="expires_after[anchor]"', "created_at")
            + part('name="expires_after[seconds]"', seconds)
            + PURPOSE
            + FILE
            + END,
            told,
            "expires_after.seconds",
        )
        for seconds, told in (
            ("soon", "Invalid type for 'expires_after.seconds'"),
            ("²", "Invalid type for 'expires_after.seconds'"),
            ("3599", "Invalid 'expires_after.seconds': integer below minimum value."),
            ("2592001", "Invalid 'expires_after.seconds': integer above maximum value."),
        )
    ),
]


@pytest.mark.parametrize(("body", "told", "param"), REFUSED)
async def test_forms_that_are_refused(
    house: House, body: str, told: str, param: str | None
) -> None:
    """A broken or incomplete form is a 400 and leaves nothing behind."""
    answer = await house.client.post("/files", content=body.encode(), headers=FORM)
    error = error_of(answer)
    assert (400, param) == (answer.status_code, error["param"])
    assert error["message"].startswith(told)
    assert [] == (await house.get("/files"))["data"]


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; charset=idna; boundary=b0undary",
        "application/json",
        "application/x-www-form-urlencoded",
        "",
    ],
)
async def test_content_types_that_are_no_form(house: House, content_type: str) -> None:
    """A missing boundary, a strange charset or another type is a 400 or works, never a 500."""
    answer = await house.client.post(
        "/files", content=(PURPOSE + FILE + END).encode(), headers={"content-type": content_type}
    )
    assert 400 == answer.status_code or "charset" in content_type
    assert answer.status_code < 500


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("a.txt", "a.txt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\x\\a.csv", "a.csv"),
        ("a\r\nset-cookie: x", "aset-cookie: x"),
        ("a\u202ecod.exe", "acod.exe"),
        ("..", "upload"),
        ("dir/", "upload"),
        ("", "upload"),
        (None, "upload"),
        ("x" * 300, "x" * 255),
    ],
)
def test_names_are_cleaned(sent: str | None, kept: str) -> None:
    """No folders, no control characters, never empty."""
    assert kept == clean_name(sent)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("a" * 300 + ".pdf", "a" * 251 + ".pdf"),
        ("報" * 300 + ".tar.gz", "報" * 252 + ".gz"),
        ("a" * 300, "a" * 255),
        ("a." + "b" * 300, "a." + "b" * 253),
        ("a" * 250 + ".p" + "\u202e" * 90 + "df", "a" * 250 + ".pdf"),
    ],
)
async def test_a_long_name_keeps_its_ending(house: House, sent: str, kept: str) -> None:
    """Else a PDF of a long name would be of no type that anything reads."""
    uploaded = await house.client.post(
        "/files", files={"file": (sent, b"x")}, data={"purpose": "assistants"}
    )

    assert json_of(uploaded)["filename"] == kept


@pytest.mark.parametrize("declared", [True, False])
async def test_a_file_over_the_limit_is_refused(tmp_path: Path, declared: bool) -> None:
    """By its declared length at once, else as soon as the limit is passed; nothing is kept."""
    body = (PURPOSE + part('name="file"; filename="a.txt"', "x" * 2_000_000) + END).encode()

    async def pieces() -> Any:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    content: Any = body if declared else pieces()
    async with open_house(tmp_path, core=CoreSettings(max_file_bytes=1000)) as house:
        answer = await house.client.post("/files", content=content, headers=FORM)
        listed = await house.get("/files")
    assert (413, []) == (answer.status_code, listed["data"])
    assert error_of(answer)["message"].startswith("Maximum content size limit (")


async def test_a_file_little_over_the_limit_is_refused(tmp_path: Path) -> None:
    """The room for the form's other fields does not count for the file."""
    async with open_house(tmp_path, core=CoreSettings(max_file_bytes=1000)) as house:
        statuses = [
            (
                await house.client.post(
                    "/files", files={"file": ("a", b"x" * size)}, data={"purpose": "vision"}
                )
            ).status_code
            for size in (1000, 1001)
        ]
    assert [200, 413] == statuses


async def test_downloads_are_never_shown_as_pages(house: House) -> None:
    """HTML that a model or stranger wrote comes as an attachment without rights."""
    files, data = {"file": ('x".html', b"<script>")}, {"purpose": "vision"}
    file = json_of(await house.client.post("/files", files=files, data=data))
    answer = await house.client.get(f"/files/{file['id']}/content")
    headers = answer.headers
    assert headers["content-disposition"].startswith("attachment;")
    assert "\n" not in headers["content-disposition"]
    assert ("nosniff", "default-src 'none'; sandbox") == (
        headers["x-content-type-options"],
        headers["content-security-policy"],
    )


@pytest.mark.parametrize("ranges", ["bytes=0-1", "bytes=9-1", "lines=1", "bytes=999-"])
async def test_ranges_are_ignored(house: House, ranges: str) -> None:
    """A range, good or bad, gets the whole file, never a framework's own error."""
    files, data = {"file": ("a.txt", b"apples")}, {"purpose": "vision"}
    file = json_of(await house.client.post("/files", files=files, data=data))
    answer = await house.client.get(f"/files/{file['id']}/content", headers={"range": ranges})
    assert (200, b"apples") == (answer.status_code, answer.content)


async def test_files_for_tools_are_not_handed_out(house: House) -> None:
    """Purpose assistants is refused, and the deletion answers plain `file`."""
    file = await house.upload()
    refused = await house.client.get(f"/files/{file['id']}/content")
    gone = json_of(await house.client.delete(f"/files/{file['id']}"))
    assert 400 == refused.status_code
    assert "Not allowed to download files of purpose: assistants" == error_of(refused)["message"]
    assert gone == {"id": file["id"], "object": "file", "deleted": True}


async def test_files_are_listed_by_purpose(house: House) -> None:
    """`purpose` narrows the list."""
    file = await house.upload()
    assert [file] == (await house.get("/files", purpose="assistants"))["data"]
    assert [] == (await house.get("/files", purpose="vision"))["data"]
