"""What ChromaIndex adds to the contract: it survives broken folders, owns its folder, erases what it drops."""

import array
import asyncio
import os
import shutil
import signal
import struct
import sys
from pathlib import Path

import pytest

from local_assistants.engine.errors import StorageFault
from local_assistants.storage.vectors_chroma import ChromaIndex

VECTORS = [[1.0, 0.25, 0.0], [0.0, 1.0, 0.125]]


async def filled(folder: Path) -> None:
    """Leave a properly closed index of two vectors in `folder`."""
    index = ChromaIndex(folder)
    await index.upsert("vs_a", ["x", "y"], VECTORS, "file-1")
    await index.close()


async def test_survives_a_restart(tmp_path: Path) -> None:
    """A new index on the same folder finds what was there."""
    await filled(tmp_path)
    index = ChromaIndex(tmp_path)

    assert await index.count("vs_a") == 2
    await index.close()


async def test_takes_packed_vectors(tmp_path: Path) -> None:
    """Vectors may come as arrays straight from the store's bytes."""
    index = ChromaIndex(tmp_path)
    packed = [array.array("f", vector) for vector in VECTORS]

    await index.upsert("vs_a", ["x", "y"], packed, "file-1")

    assert (await index.query("vs_a", packed[1], 1))[0][0] == "y"
    await index.close()


async def test_a_broken_database_is_moved_aside(tmp_path: Path) -> None:
    """Garbage in place of the database gives an empty index, and the garbage is kept beside it."""
    await filled(tmp_path)
    (tmp_path / "db" / "chroma.sqlite3").write_bytes(b"no database" * 1000)
    index = ChromaIndex(tmp_path)

    assert await index.count("vs_a") == 0
    assert (tmp_path / "broken" / "chroma.sqlite3").exists()
    await index.upsert("vs_a", ["x"], VECTORS[:1], "file-1")
    assert await index.count("vs_a") == 1
    await index.close()


async def test_a_broken_index_after_a_crash_is_found_in_a_child(tmp_path: Path) -> None:
    """After an unclean end a damaged index is moved aside before it can do harm here."""
    await filled(tmp_path)
    (tmp_path / "clean").unlink()
    with (tmp_path / "db" / "chroma.sqlite3").open("r+b") as stream:
        stream.seek(4096)
        stream.write(b"\xff" * 20_000)
    index = ChromaIndex(tmp_path)

    assert await index.count("vs_a") == 0
    assert (tmp_path / "broken").is_dir()
    await index.close()


async def test_a_sound_index_after_a_crash_is_kept(tmp_path: Path) -> None:
    """An unclean end alone loses nothing."""
    script = (
        "import asyncio, os, signal, sys; from pathlib import Path\n"
        "from local_assistants.storage.vectors_chroma import ChromaIndex\n"
        "index = ChromaIndex(Path(sys.argv[1]))\n"
        f"asyncio.run(index.upsert('vs_a', ['x', 'y'], {VECTORS}, 'file-1'))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(tmp_path), env=environment
    )
    await child.wait()
    index = ChromaIndex(tmp_path)

    assert child.returncode == -signal.SIGKILL
    assert await index.count("vs_a") == 2
    assert not (tmp_path / "broken").exists()
    await index.close()


async def test_a_deleted_folder_is_an_empty_index(tmp_path: Path) -> None:
    """Deleting the folder between two starts is no error."""
    await filled(tmp_path / "index")
    shutil.rmtree(tmp_path / "index")
    index = ChromaIndex(tmp_path / "index")

    assert await index.count("vs_a") == 0
    await index.close()


async def test_two_owners_are_refused(tmp_path: Path) -> None:
    """A folder has one owner at a time; the second is told so, and may have it later."""
    first, second = ChromaIndex(tmp_path), ChromaIndex(tmp_path)
    await first.upsert("vs_a", ["x"], VECTORS[:1], "file-1")

    with pytest.raises(StorageFault, match="Another process uses the vector index"):
        await second.count("vs_a")
    await first.close()
    assert await second.count("vs_a") == 1
    await second.close()


async def test_a_closed_index_says_so(tmp_path: Path) -> None:
    """Closing twice is no error; using it afterwards is, in words."""
    index = ChromaIndex(tmp_path)
    await index.close()
    await index.close()

    with pytest.raises(StorageFault, match="closed"):
        await index.count("vs_a")


async def test_wrong_dimensions_are_a_storage_fault(tmp_path: Path) -> None:
    """What Chroma raises arrives as an error of our own tree."""
    index = ChromaIndex(tmp_path)
    await index.upsert("vs_a", ["x"], VECTORS[:1], "file-1")

    with pytest.raises(StorageFault, match="The vector index failed"):
        await index.upsert("vs_a", ["y"], [[1.0, 2.0]], "file-1")
    await index.close()


async def test_dropping_erases_the_bytes(tmp_path: Path) -> None:
    """After a drop no file holds the vectors any more, and the collection's folder is gone."""
    index = ChromaIndex(tmp_path)
    vectors = [[1.0, number / 1500, 0.5] for number in range(1500)]  # enough to be flushed
    await index.upsert("vs_a", [str(number) for number in range(1500)], vectors, "file-1")
    probe = struct.pack("<3f", *vectors[1400])
    held_before = holders(tmp_path, probe)

    await index.drop("vs_a")

    assert held_before == ["chroma.sqlite3"]
    assert holders(tmp_path, probe) == []
    assert [path.name for path in (tmp_path / "db").iterdir() if path.is_dir()] == []
    await index.close()


def holders(folder: Path, probe: bytes) -> list[str]:
    """Names of the files below `folder` whose bytes contain `probe`."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path.name for path in files if probe in path.read_bytes()]
