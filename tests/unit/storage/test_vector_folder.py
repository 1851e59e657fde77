"""What a folder adds to the vector index: it survives broken files, has one owner, and erases what is dropped."""

import asyncio
import os
import random
import shutil
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from local_assistants.engine.errors import StorageFault
from local_assistants.storage.vectors.index import open_index
from tests.support.vectors import packed, paired

VECTORS = paired(["x", "y"], [[1.0, 0.25, 0.0], [0.0, 1.0, 0.125]])
CHECKOUT = Path(__file__).parents[3]


async def filled(folder: Path) -> None:
    """Leave a properly closed index of two vectors in `folder`."""
    index = open_index(folder)
    await index.upsert("vs_a", VECTORS)
    await index.close()


async def count(folder: Path) -> int:
    """How many vectors a new index on `folder` finds."""
    index = open_index(folder)
    found = await index.count("vs_a")
    await index.close()
    return found


async def killed(folder: Path, then: str = "") -> None:
    """Fill `folder` in a process that is killed afterwards; `then` is code it runs before."""
    script = (
        "import asyncio, os, signal, sys; from pathlib import Path\n"
        "from local_assistants.storage.vectors.index import open_index\n"
        "index = open_index(Path(sys.argv[1]))\n"
        f"asyncio.run(index.upsert('vs_a', {VECTORS}))\n{then}\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(folder), env=environment, cwd=CHECKOUT
    )
    assert await child.wait() == -signal.SIGKILL


async def test_survives_a_restart(tmp_path: Path) -> None:
    """A new index on the same folder finds what was there."""
    await filled(tmp_path)

    assert await count(tmp_path) == 2


async def test_asking_an_empty_folder_makes_nothing(tmp_path: Path) -> None:
    """While there is nothing, neither Chroma nor the folder is needed to say so."""
    index = open_index(tmp_path / "index")

    assert await index.count("vs_a") == 0
    assert await index.names() == []
    await index.drop("vs_a")
    await index.close()
    assert not (tmp_path / "index").exists()


async def test_a_broken_database_is_erased(tmp_path: Path) -> None:
    """Garbage in place of the database gives an empty index that works."""
    await filled(tmp_path)
    (tmp_path / "db" / "chroma.sqlite3").write_bytes(b"no database" * 1000)
    index = open_index(tmp_path)

    assert await index.count("vs_a") == 0
    await index.upsert("vs_a", VECTORS)
    assert await index.count("vs_a") == 2
    await index.close()
    assert holders(tmp_path, b"no database") == []


async def test_a_broken_index_after_a_crash_is_found_in_a_child(tmp_path: Path) -> None:
    """After an unclean end a damaged index is erased before it can do harm here."""
    await filled(tmp_path)
    (tmp_path / "clean").unlink()
    with (tmp_path / "db" / "chroma.sqlite3").open("r+b") as stream:
        stream.seek(4096)
        stream.write(b"\xff" * 20_000)

    assert await count(tmp_path) == 0
    assert holders(tmp_path, b"\xff" * 64) == []


async def test_a_graph_that_cannot_be_read_is_found_in_a_child(tmp_path: Path) -> None:
    """What a kill in the middle of a flush leaves behind - a graph without its head - is erased too."""
    index = open_index(tmp_path)
    await index.upsert("vs_a", many(1500))  # enough to be written as a graph
    await index.close()
    (tmp_path / "clean").unlink()
    for head in (tmp_path / "db").glob("*/header.bin"):
        head.write_bytes(b"")

    assert await count(tmp_path) == 0


async def test_a_sound_index_after_a_crash_is_kept(tmp_path: Path) -> None:
    """An unclean end alone loses nothing."""
    await killed(tmp_path)

    assert await count(tmp_path) == 2


async def test_what_a_crash_left_of_a_dropped_collection_is_erased(tmp_path: Path) -> None:
    """A process that died between dropping and erasing leaves bytes; the next one erases them."""
    forget = "index._client.delete_collection('vs_a')"
    await killed(tmp_path, forget)
    index = open_index(tmp_path)

    assert await index.names() == []
    await index.close()
    assert holders(tmp_path, VECTORS[1][1]) == []


async def test_a_deleted_folder_is_an_empty_index(tmp_path: Path) -> None:
    """Deleting the folder between two starts is no error."""
    await filled(tmp_path / "index")
    shutil.rmtree(tmp_path / "index")

    assert await count(tmp_path / "index") == 0


async def test_two_owners_are_refused(tmp_path: Path) -> None:
    """A folder has one owner at a time; the second is told so, and may have it later."""
    first, second = open_index(tmp_path), open_index(tmp_path)
    await first.upsert("vs_a", VECTORS[:1])

    with pytest.raises(StorageFault, match="Another process uses the vector index"):
        await second.count("vs_a")
    await first.close()
    assert await second.count("vs_a") == 1
    await second.close()


async def test_dropping_erases_the_bytes(tmp_path: Path) -> None:
    """After a drop no file holds the vectors any more, neither the graph's nor the database."""
    index = open_index(tmp_path)
    vectors = many(1500)
    await index.upsert("vs_a", vectors)
    await index.upsert("vs_b", VECTORS)
    early, late = vectors[10][1], vectors[1400][1]
    held_before = (holders(tmp_path, early), holders(tmp_path, late))

    await index.drop("vs_a")

    assert held_before == (["data_level0.bin"], ["chroma.sqlite3"])
    assert holders(tmp_path, early) == []
    assert holders(tmp_path, late) == []
    assert [path.name for path in (tmp_path / "db").iterdir() if path.is_dir()] == graphs(tmp_path)
    assert (await index.query("vs_b", [VECTORS[1][1]], 1))[0][0][0] == "y"
    await index.close()


async def test_a_drop_while_others_are_searched(tmp_path: Path) -> None:
    """Erasing one collection neither disturbs nor waits for searches in another."""
    index = open_index(tmp_path)
    await index.upsert("vs_a", many(1500))
    await index.upsert("vs_b", VECTORS)
    dropping = asyncio.create_task(index.drop("vs_a"))

    found = [await index.query("vs_b", [VECTORS[1][1]], 1) for _ in range(50)]
    await dropping

    assert [answer[0][0][0] for answer in found] == ["y"] * 50
    assert await index.names() == ["vs_b"]
    await index.close()


def many(number: int) -> list[tuple[str, bytes]]:
    """Distinct vectors of length 1 exactly, which Chroma keeps bit by bit."""
    bits = random.Random(3)
    return [
        (f"id-{each}", packed([bits.choice((-0.125, 0.125)) for _ in range(64)]))
        for each in range(number)
    ]


def holders(folder: Path, probe: bytes) -> list[str]:
    """Names of the files below `folder` whose bytes contain `probe`."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path.name for path in files if probe in path.read_bytes()]


def graphs(folder: Path) -> list[str]:
    """Names of the folders that Chroma's database knows and that are there."""
    with closing(sqlite3.connect(folder / "db" / "chroma.sqlite3")) as connection:
        known = [str(row[0]) for row in connection.execute("SELECT id FROM segments")]
    return [name for name in known if (folder / "db" / name).is_dir()]


async def test_only_who_may_opens_it(tmp_path: Path) -> None:
    """Of several servers on one data folder; the others hear so at each call, and it opens when it is theirs."""
    mine = False
    index = open_index(tmp_path, mine=lambda: mine)
    with pytest.raises(StorageFault, match="Another server on this data folder") as refused:
        await index.upsert("vs_a", VECTORS)
    mine = True
    await index.upsert("vs_a", VECTORS)
    found = await index.count("vs_a")
    await index.close()

    assert refused.value.passing
    assert 2 == found
