"""Uploads: parts in any order, put together once, checked, and safe against crashes and each other."""

import asyncio
import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from local_assistants.engine import requests
from local_assistants.engine.errors import InvalidRequest, NotFound, TooLarge
from local_assistants.engine.objects import UploadPartRecord, UploadRecord
from local_assistants.engine.ports import PageQuery
from tests.support.clock import START
from tests.support.engine import FAST, House, house
from tests.support.upload_crash import PARTS, PLACES
from tests.support.uploads import announced, completed, filled, pieces

REPOSITORY = Path(__file__).parents[3]


def blobs_of(folder: Path) -> set[str]:
    """Keys of all bytes on the disk, finished or not."""
    return {path.name for path in (folder / "blobs").rglob("*") if path.is_file()}


async def record(home: House, upload_id: str) -> UploadRecord:
    """The upload as it is kept."""
    found = await home.store.read(lambda tx: tx.get(UploadRecord, upload_id))
    assert found is not None
    return found


async def part_ids_of(home: House, upload_id: str) -> list[str]:
    """Its parts as they are kept."""
    query = PageQuery({"upload_id": upload_id}, 100, "asc")
    return [
        part.id for part in await home.store.read(lambda tx: tx.page(UploadPartRecord, query)[0])
    ]


async def test_parts_become_one_file_in_the_order_named(tmp_path: Path) -> None:
    """Whatever order they came in; the file has the upload's name, purpose and time to live."""
    async with house(tmp_path) as home:
        expiry = {"anchor": "created_at", "seconds": 3600}
        upload_id, (first, second, third) = await filled(
            home.services, b"one", b"two", b"three", expires_after=expiry
        )
        wanted = b"threeonetwo"
        upload = await completed(
            home.services,
            upload_id,
            [third, first, second],
            hashlib.md5(wanted).hexdigest().upper(),
        )
        assert upload.file is not None
        stored = await home.services.files.get(upload.file.id)
        content = home.core.blobs.path(upload.file.id).read_bytes()

    assert ("completed", wanted, stored) == (upload.status, content, upload.file)
    assert ("big.txt", "vision", 11, START + 3600) == (
        stored.filename,
        stored.purpose,
        stored.bytes,
        stored.expires_at,
    )
    assert {upload.file.id} == blobs_of(tmp_path)


async def test_parts_may_come_at_the_same_time(tmp_path: Path) -> None:
    """Each is kept and counted."""
    async with house(tmp_path) as home:
        upload = await announced(home.services, 200)
        texts = [f"{n:010}".encode() for n in range(20)]
        add = home.services.uploads.add_part
        parts = await asyncio.gather(*(add(upload.id, pieces(text)) for text in texts))
        done = await completed(home.services, upload.id, [part.id for part in parts])
        assert done.file is not None
        content = home.core.blobs.path(done.file.id).read_bytes()

    assert b"".join(texts) == content


async def test_an_empty_upload_is_an_empty_file(tmp_path: Path) -> None:
    """No part, no byte: as a chunking client sends an empty file."""
    async with house(tmp_path) as home:
        upload = await announced(home.services, 0)
        done = await completed(home.services, upload.id, [])

    assert done.file is not None
    assert 0 == done.file.bytes


async def test_what_does_not_add_up_is_refused_and_the_upload_goes_on(tmp_path: Path) -> None:
    """Too few bytes, another MD5, unknown, foreign and repeated parts: 400, then the right call succeeds."""
    async with house(tmp_path) as home:
        upload_id, part_ids = await filled(home.services, b"one", b"two")
        _, foreign = await filled(home.services, b"two")
        before = blobs_of(tmp_path)
        cases: list[tuple[list[str], str | None, str]] = [
            (part_ids[:1], None, "part_ids"),
            ([part_ids[0], part_ids[0]], None, "part_ids"),
            ([part_ids[0], foreign[0]], None, "part_ids"),
            ([part_ids[0], "part_nonsense"], None, "part_ids"),
            (part_ids, "0" * 32, "md5"),
        ]
        told: list[str | None] = []
        for named, md5, _ in cases:
            with pytest.raises(InvalidRequest) as refused:
                await completed(home.services, upload_id, named, md5)
            told.append(refused.value.param)
        assert before == blobs_of(tmp_path)
        assert "pending" == (await record(home, upload_id)).status
        done = await completed(home.services, upload_id, part_ids)

    assert [param for _, _, param in cases] == told
    assert "completed" == done.status


async def test_an_ended_upload_takes_nothing_more(tmp_path: Path) -> None:
    """Completed, cancelled, expired: no part, no completion, no cancel; an unknown one is 404."""
    async with house(tmp_path) as home:
        uploads = home.services.uploads
        done, parts = await filled(home.services, b"x")
        await completed(home.services, done, parts)
        cancelled, _ = await filled(home.services, b"x")
        assert "cancelled" == (await uploads.cancel(cancelled)).status
        expired, late = await filled(home.services, b"x")
        await home.virtual.advance(3600)
        for upload_id in (done, cancelled, expired):
            with pytest.raises(InvalidRequest, match=f"Upload {upload_id} "):
                await uploads.add_part(upload_id, pieces(b"x"))
            with pytest.raises(InvalidRequest, match=f"Upload {upload_id} "):
                await uploads.cancel(upload_id)
            with pytest.raises(InvalidRequest, match=f"Upload {upload_id} "):
                await completed(home.services, upload_id, late)
        with pytest.raises(NotFound, match="No upload found with id 'upload_99'"):
            await uploads.cancel("upload_99")


async def test_an_upload_expires_after_an_hour_and_its_parts_go(tmp_path: Path) -> None:
    """By the clock; a second before it is still open."""
    async with house(tmp_path) as home:
        upload_id, _ = await filled(home.services, b"x", b"y")
        await home.virtual.advance(3599)
        await home.services.uploads.add_part(upload_id, pieces(b"z"))
        await home.services.housekeeping.expire()
        assert "pending" == (await record(home, upload_id)).status
        await home.virtual.advance(1)
        await home.services.housekeeping.expire()
        assert "expired" == (await record(home, upload_id)).status
        assert [] == await part_ids_of(home, upload_id)

    assert set() == blobs_of(tmp_path)


async def test_a_cancelled_upload_leaves_no_bytes(tmp_path: Path) -> None:
    """Its parts go with it."""
    async with house(tmp_path) as home:
        upload_id, _ = await filled(home.services, b"x", b"y")
        await home.services.uploads.cancel(upload_id)
        assert [] == await part_ids_of(home, upload_id)

    assert set() == blobs_of(tmp_path)


async def test_of_two_completions_one_wins(tmp_path: Path) -> None:
    """The other is refused, and there is one file, not two; a cancel at the same time is one more loser or winner."""
    async with house(tmp_path) as home:
        big = [bytes([n]) * 2_000_000 for n in range(3)]
        upload_id, part_ids = await filled(home.services, *big)
        attempts = [completed(home.services, upload_id, part_ids) for _ in range(4)]
        results = await asyncio.gather(*attempts, return_exceptions=True)
        files = (await home.services.files.list(PageQuery(limit=100))).data
        won = [result for result in results if not isinstance(result, BaseException)]
        lost = [result for result in results if isinstance(result, InvalidRequest)]
        raced, raced_parts = await filled(home.services, *big)
        race = await asyncio.gather(
            completed(home.services, raced, raced_parts),
            home.services.uploads.cancel(raced),
            return_exceptions=True,
        )
        after = (await home.services.files.list(PageQuery(limit=100))).data
        kept = (await record(home, raced)).status

    assert (1, 3, 1) == (len(won), len(lost), len(files))
    assert {f"Upload {upload_id} is being completed by another request."} == {
        refused.message for refused in lost
    }
    assert won[0].file == files[0]
    assert 1 == sum(isinstance(result, InvalidRequest) for result in race)
    assert ("cancelled", 1) == (kept, len(after)) or ("completed", 2) == (kept, len(after))
    assert {file.id for file in after} == blobs_of(tmp_path)


@pytest.mark.parametrize("place", PLACES)
async def test_a_kill_in_the_middle_of_a_completion_leaves_all_or_nothing(
    tmp_path: Path, place: str
) -> None:
    """Pending with all its parts, to be completed again, or a whole file; no bytes stay that nothing names."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.upload_crash", str(tmp_path), place),
        cwd=REPOSITORY,
        env={"PYTHONPATH": "src"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, complaint = await process.communicate()
    assert -9 == process.returncode, complaint.decode()
    upload_id, *part_ids = (tmp_path / "ids").read_text().split("\n")

    async with house(tmp_path, settings=replace(FAST, orphan_age=0.0)) as home:
        await home.services.housekeeping.sweep()
        found = await record(home, upload_id)
        if place in PLACES[:2]:
            assert ("pending", part_ids) == (found.status, await part_ids_of(home, upload_id))
            assert set(part_ids) == blobs_of(tmp_path)
            files = await home.services.files.list(PageQuery())
            assert () == files.data
            await completed(home.services, upload_id, part_ids)
            found = await record(home, upload_id)
        assert ("completed", []) == (found.status, await part_ids_of(home, upload_id))
        assert found.file is not None
        await home.services.housekeeping.sweep()
        content = home.core.blobs.path(found.file.id).read_bytes()

    assert b"".join(PARTS) == content
    assert {found.file.id} == blobs_of(tmp_path)


async def test_limits_of_parts_and_uploads(tmp_path: Path) -> None:
    """A part, the announced size and all parts together are bounded; what is refused leaves no bytes."""
    settings = replace(FAST, max_part_bytes=10, max_upload_bytes=25)
    async with house(tmp_path, settings=settings) as home:
        add = home.services.uploads.add_part
        with pytest.raises(InvalidRequest, match="Expected a value <= 25, but got 26") as refused:
            await announced(home.services, 26)
        upload = await announced(home.services, 25)
        with pytest.raises(TooLarge):
            await add(upload.id, pieces(b"x" * 11))
        ids = [(await add(upload.id, pieces(b"x" * 10))).id for _ in range(2)]
        with pytest.raises(InvalidRequest, match="too many parts"):
            await add(upload.id, pieces(b"x" * 6))
        ids.append((await add(upload.id, pieces(b"x" * 5))).id)
        done = await completed(home.services, upload.id, ids)

    assert ("bytes", "integer_above_max_value") == (refused.value.param, refused.value.code)
    assert done.file is not None
    assert {done.file.id} == blobs_of(tmp_path)


async def test_a_purpose_is_checked_when_the_upload_is_announced(tmp_path: Path) -> None:
    """The wide set is taken; those that only the service gives are not."""
    purposes = ("fine-tune", "assistants", "batch", "user_data", "vision", "evals")
    async with house(tmp_path) as home:
        taken = [(await announced(home.services, 1, purpose=one)).purpose for one in purposes]
        with pytest.raises(InvalidRequest, match="'assistants_output' is not one of") as refused:
            await announced(home.services, 1, purpose="assistants_output")

    assert (list(purposes), "purpose") == (taken, refused.value.param)


async def test_what_clients_see_of_an_upload(tmp_path: Path) -> None:
    """Nothing but the API's own fields; the name comes without folders."""
    async with house(tmp_path) as home:
        upload = await announced(home.services, 1, filename="../../etc/passwd")
        part = await home.services.uploads.add_part(upload.id, pieces(b"x"))

    assert upload.to_wire() == {
        "id": upload.id,
        "object": "upload",
        "bytes": 1,
        "created_at": START,
        "filename": "passwd",
        "purpose": "vision",
        "status": "pending",
        "expires_at": START + 3600,
        "file": None,
    }
    assert part.to_wire() == {
        "id": part.id,
        "object": "upload.part",
        "created_at": START,
        "upload_id": upload.id,
    }


def test_a_time_to_live_has_bounds() -> None:
    """An hour to thirty days, as for files."""
    known = {"bytes": 1, "filename": "f", "mime_type": "m", "purpose": "vision"}
    for seconds in (3599, 2_592_001):
        body = known | {"expires_after": {"anchor": "created_at", "seconds": seconds}}
        with pytest.raises(ValueError, match="expires_after"):
            requests.CreateUpload.model_validate(body)
