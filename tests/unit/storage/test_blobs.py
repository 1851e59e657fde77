"""Bytes of files: whole or not at all, within a limit, under safe names."""

import asyncio
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import local_assistants
from local_assistants.engine.errors import InsufficientStorage, StorageFault, TooLarge
from local_assistants.engine.ports import BlobStore
from local_assistants.storage import FileBlobs

SOURCE = str(Path(local_assistants.__file__).parents[1])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of the blobs, not made yet."""
    return tmp_path / "files"


@pytest.fixture
def blobs(root: Path) -> BlobStore:
    """An empty store of bytes."""
    return FileBlobs(root)


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    """The chunks, one after the other."""
    for chunk in chunks:
        yield chunk


async def broken(first: bytes) -> AsyncIterator[bytes]:
    """A client that goes away in the middle."""
    yield first
    raise ConnectionError("gone")


def files_under(root: Path) -> list[str]:
    """Names of all files, wherever they lie."""
    return sorted(path.name for path in root.rglob("*") if path.is_file())


async def test_bytes_come_back(blobs: BlobStore) -> None:
    """All of them, in order, counted."""
    assert 6 == await blobs.write("file-1", stream(b"abc", b"", b"\x00\xff\n"), limit=6)
    assert blobs.path("file-1").read_bytes() == b"abc\x00\xff\n"


async def test_an_empty_file_is_a_file(blobs: BlobStore) -> None:
    """No chunk at all is zero bytes, and they can be found."""
    assert 0 == await blobs.write("file-1", stream(), limit=10)
    assert blobs.path("file-1").read_bytes() == b""


async def test_a_stream_larger_than_memory_buffers_is_written_whole(blobs: BlobStore) -> None:
    """Several gathered stretches join without a seam."""
    chunks = [bytes([number]) * 700_001 for number in range(7)]
    await blobs.write("file-1", stream(*chunks), limit=10**8)
    assert blobs.path("file-1").read_bytes() == b"".join(chunks)


async def test_a_second_write_replaces_the_first(blobs: BlobStore, root: Path) -> None:
    """One file is left, with the later bytes."""
    await blobs.write("file-1", stream(b"first"), limit=10)
    await blobs.write("file-1", stream(b"second"), limit=10)
    assert (["file-1"], b"second") == (files_under(root), blobs.path("file-1").read_bytes())


async def test_too_many_bytes_keep_nothing(blobs: BlobStore, root: Path) -> None:
    """The limit itself is allowed; one byte more leaves no trace."""
    await blobs.write("file-1", stream(b"12345"), limit=5)
    with pytest.raises(TooLarge, match="5 bytes"):
        await blobs.write("file-2", stream(b"123", b"456"), limit=5)
    with pytest.raises(StorageFault, match="gone"):
        blobs.path("file-2")
    assert ["file-1"] == files_under(root)


async def test_the_limit_ends_an_endless_stream(blobs: BlobStore) -> None:
    """It is checked while the bytes come, not after."""
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b"x" * 1000

    with pytest.raises(TooLarge):
        await blobs.write("file-1", endless(), limit=10_000)
    assert taken == 11


async def test_a_full_disk_takes_nothing(root: Path) -> None:
    """What is to stay free is more than there is: 507, before a byte is read, and no trace."""
    read = False

    async def content() -> AsyncIterator[bytes]:
        nonlocal read
        read = True
        yield b"x"

    full = FileBlobs(root, min_free_bytes=shutil.disk_usage(root.parent).total + 1)
    with pytest.raises(InsufficientStorage, match="kept free") as refused:
        await full.write("file-1", content(), limit=10)
    assert (507, False, []) == (refused.value.status, read, files_under(root))


async def test_a_disk_that_fills_up_ends_a_write(root: Path) -> None:
    """Free space is looked at while the bytes come, too."""
    mib = 1 << 20
    taken = 0

    async def filling() -> AsyncIterator[bytes]:
        nonlocal taken
        with (root.parent / "ballast").open("wb") as ballast:
            os.posix_fallocate(ballast.fileno(), 0, 256 * mib)
        for _ in range(100):
            taken += 1
            yield b"x" * mib

    roomy = FileBlobs(root, min_free_bytes=shutil.disk_usage(root.parent).free - 128 * mib)
    try:
        with pytest.raises(InsufficientStorage):
            await roomy.write("file-1", filling(), limit=200 * mib)
    finally:
        (root.parent / "ballast").unlink()
    assert (64, []) == (taken, files_under(root))


async def test_a_stream_that_breaks_leaves_the_old_bytes(blobs: BlobStore, root: Path) -> None:
    """The caller's own error comes back; nothing half is kept."""
    await blobs.write("file-1", stream(b"old"), limit=10**8)
    with pytest.raises(ConnectionError):
        await blobs.write("file-1", broken(b"n" * 3_000_000), limit=10**8)
    assert (["file-1"], b"old") == (files_under(root), blobs.path("file-1").read_bytes())


async def test_a_cancelled_write_leaves_nothing(blobs: BlobStore, root: Path) -> None:
    """The upload's task is cancelled while it waits for more bytes."""
    waiting = asyncio.Event()

    async def stalls() -> AsyncIterator[bytes]:
        yield b"n" * 3_000_000
        waiting.set()
        await asyncio.sleep(60)

    task = asyncio.create_task(blobs.write("file-1", stalls(), limit=10**8))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [] == files_under(root)


async def test_concurrent_writes_do_not_mix(blobs: BlobStore, root: Path) -> None:
    """Thirty at once, each under its own key, all whole."""
    keys = [f"file-{number}" for number in range(30)]
    await asyncio.gather(
        *(blobs.write(key, stream(*[key.encode()] * 100), limit=10**6) for key in keys)
    )
    assert [blobs.path(key).read_bytes() for key in keys] == [key.encode() * 100 for key in keys]
    assert sorted(keys) == files_under(root)


async def test_delete_drops_the_bytes_once(blobs: BlobStore, root: Path) -> None:
    """A second delete is nothing."""
    await blobs.write("file-1", stream(b"abc"), limit=10)
    await blobs.delete("file-1")
    await blobs.delete("file-1")
    assert [] == files_under(root)
    with pytest.raises(StorageFault, match="gone"):
        blobs.path("file-1")


async def test_many_are_dropped_whatever_becomes_of_one(blobs: BlobStore, root: Path) -> None:
    """Missing ones are nothing; one that the disk keeps is told of, and the others go."""
    for key in ("file-1", "file-2", "file-3"):
        await blobs.write(key, stream(b"abc"), limit=10)
    stuck = blobs.path("file-2")
    stuck.unlink()
    stuck.mkdir()  # cannot be unlinked
    with pytest.raises(StorageFault, match="data folder"):
        await blobs.delete_all(["file-1", "file-2", "file-3", "file-4"])
    assert [] == files_under(root)


async def test_keys_of_bytes_by_their_age(blobs: BlobStore) -> None:
    """Those written long enough ago; none that is still being written."""
    for key in ("old", "new"):
        await blobs.write(key, stream(b"x"), 10)
    os.utime(blobs.path("old"), (1, 1))
    halfway: list[list[str]] = []

    async def looking() -> AsyncIterator[bytes]:
        yield b"x" * 2_000_000
        halfway.append(await blobs.keys(0.0))

    await blobs.write("late", looking(), 10_000_000)

    assert ["old"] == await blobs.keys(60.0)
    assert [["new", "old"]] == [sorted(keys) for keys in halfway]
    assert ["late", "new", "old"] == sorted(await blobs.keys(0.0))


@pytest.mark.parametrize(
    "key",
    ["", ".", "..", "../x", "a/b", "a\\b", "a\x00b", "file 1", "file.txt", "é", "x" * 201, "a\n"],
)
async def test_a_key_that_could_leave_the_folder_is_refused(
    blobs: BlobStore, root: Path, key: str
) -> None:
    """Paths, separators and odd characters never reach the file system."""
    with pytest.raises(StorageFault, match="key"):
        await blobs.write(key, stream(b"x"), limit=10)
    with pytest.raises(StorageFault, match="key"):
        blobs.path(key)
    with pytest.raises(StorageFault, match="key"):
        await blobs.delete(key)
    assert [] == files_under(root)


async def test_bytes_stay_after_a_restart(blobs: BlobStore, root: Path) -> None:
    """Another store on the folder finds them."""
    await blobs.write("file-1", stream(b"abc"), limit=10)
    assert FileBlobs(root).path("file-1").read_bytes() == b"abc"


async def test_keys_are_spread_over_folders(blobs: BlobStore, root: Path) -> None:
    """No folder gets all files: two levels lie between the root and a file."""
    await blobs.write("file-1", stream(b"abc"), limit=10)
    assert len(blobs.path("file-1").relative_to(root).parts) == 3


async def test_bytes_are_their_owners_only(blobs: BlobStore) -> None:
    """Uploaded files are nobody else's business."""
    await blobs.write("file-1", stream(b"abc"), limit=10)
    assert blobs.path("file-1").stat().st_mode & 0o777 == 0o600


WRITING = """
import asyncio, sys
from local_assistants.storage import FileBlobs
async def endless():
    yield b"x" * 3_000_000
    print("writing", flush=True)
    await asyncio.sleep(60)
asyncio.run(FileBlobs(sys.argv[1]).write("file-1", endless(), 10**8))
"""


def test_leftovers_of_a_killed_write_are_swept_and_live_ones_are_not(root: Path) -> None:
    """A second process that opens the folder spares a write under way; after its kill it is swept."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITING, str(root)],
        env={**os.environ, "PYTHONPATH": SOURCE},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    FileBlobs(root)
    while_alive = len(files_under(root))
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    after_kill = len(files_under(root))
    FileBlobs(root)
    assert (1, 1, 0) == (while_alive, after_kill, len(files_under(root)))


def test_a_file_in_place_of_the_folder_is_said_in_words(tmp_path: Path) -> None:
    """Nothing can be stored below it."""
    (tmp_path / "files").write_text("a file")
    with pytest.raises(StorageFault, match="data folder"):
        FileBlobs(tmp_path / "files")


async def test_a_folder_that_went_away_is_said_in_words(blobs: BlobStore, root: Path) -> None:
    """A write finds no place and says so."""
    (root / "incoming").rmdir()
    with pytest.raises(StorageFault, match=r"data folder failed: .*incoming"):
        await blobs.write("file-1", stream(b"abc"), limit=10)


async def test_a_file_system_that_takes_no_more_is_said_in_words(
    blobs: BlobStore, root: Path
) -> None:
    """The kernel refuses in the middle of the bytes; nothing half is kept, and the next write works."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, hard))
    try:
        with pytest.raises(StorageFault, match="larger than the file system allows"):
            await blobs.write("file-1", stream(*[b"x" * 600_000] * 5), limit=10**8)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [] == files_under(root)
    await blobs.write("file-2", stream(b"x" * 3_000_000), limit=10**8)
    assert ["file-2"] == files_under(root)


def spoiled(path: Path) -> None:
    """One bit is another, as on a failing disk."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


async def test_what_was_written_is_intact(blobs: BlobStore) -> None:
    """It is given out, however often it is asked for."""
    await blobs.write("file-1", stream(b"abc"), limit=10)
    assert (
        blobs.path("file-1") == await blobs.intact("file-1", 3) == await blobs.intact("file-1", 3)
    )


@pytest.mark.parametrize("seen_before", [False, True])
async def test_a_changed_bit_is_noticed(blobs: BlobStore, seen_before: bool) -> None:
    """The bytes are not given out, and the error says what helps; nothing of the disk is in it."""
    await blobs.write("file-1", stream(b"abc" * 1000), limit=10_000)
    path = blobs.path("file-1")
    if seen_before:
        await blobs.intact("file-1", 3000)
    spoiled(path)
    with pytest.raises(StorageFault, match=r"file-1 is damaged.*backup or upload") as caught:
        await blobs.intact("file-1", 3000)
    assert (str(path), False) == (caught.value.detail, caught.value.passing)


async def test_another_size_is_noticed_without_a_seal(blobs: BlobStore) -> None:
    """Where no attributes are kept, bytes that are too few are still found."""
    await blobs.write("file-1", stream(b"abc"), limit=10)
    path = blobs.path("file-1")
    os.removexattr(path, "user.local_assistants.sha256")
    assert path == await blobs.intact("file-1", 3)
    os.truncate(path, 2)
    with pytest.raises(StorageFault, match="file-1 is damaged"):
        await blobs.intact("file-1", 3)
