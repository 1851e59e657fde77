"""What is deleted leaves the files of the database too: rows, words in old segments, former pages in the log."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from local_assistants.engine.objects import VectorStore, VectorStoreFile
from local_assistants.engine.ports import Extract, Transaction
from local_assistants.storage import SQLiteSettings, SQLiteStore
from local_assistants.storage.erasing import Eraser
from local_assistants.storage.sqlite import connect
from local_assistants.storage.transaction import SQLiteTransaction
from tests.contract.store import samples

SECRETS = (b"zebraquark", b"walrusphone", b"\xfa\xce\xb0\x0c" * 32)
"""A word of a chunk, a word of a file's name, bytes of a vector."""

OFTEN = SQLiteSettings("normal", erase_every=0.0)


def filled(tx: Transaction) -> None:
    """Two stores with three files each; one file holds the secrets."""
    for number in (1, 2):
        tx.put(samples.vector_store(number))
        for n in range(1, 4):
            tx.put(samples.store_file(n, vector_store_id=f"vs_{number}"))
            key = (f"vs_{number}", f"file-{n}")
            texts = [f"part {i} of the walk of a walrus, in {i} words" for i in range(40)]
            tx.put_chunks(
                samples.chunk(
                    0,
                    text,
                    id=f"{key[0]}/{key[1]}/{i}",
                    index=i,
                    vector_store_id=key[0],
                    file_id=key[1],
                    vector=bytes(128),
                )
                for i, text in enumerate(texts)
            )
            tx.put_extract(Extract(*key, "c", "r", "a.txt", 9, 40, "opening", complete=True))
    hide(tx, "vs_1", "file-2")


def hide(tx: Transaction, store: str, file: str) -> None:
    """Put the secrets into a file."""
    place = {"index": 7, "vector_store_id": store, "file_id": file, "id": f"{store}/{file}/7"}
    tx.put_chunks([samples.chunk(0, "the zebraquark rule", vector=SECRETS[2], **place)])
    tx.put_extract(Extract(store, file, "c", "r", "walrusphone.txt", 9, 40, complete=True))


def left(path: Path) -> list[bytes]:
    """The secrets that are somewhere in the database's files."""
    contents = [each.read_bytes() for each in path.parent.glob(f"{path.name}*")]
    return [secret for secret in SECRETS if any(secret in content for content in contents)]


async def erased(path: Path) -> bool:
    """Whether nothing is left, as soon as that is so."""
    for _ in range(500):
        if not left(path):
            return True
        await asyncio.sleep(0.02)
    return False


def replace(tx: Transaction) -> None:
    """The file was changed: its secrets are gone from it."""
    place = {"index": 7, "id": "vs_1/file-2/7", "file_id": "file-2"}
    tx.put_chunks([samples.chunk(0, "nothing to see", **place)])
    tx.put_extract(Extract("vs_1", "file-2", "c", "r", "b.txt", 9, 40))


WAYS: dict[str, Callable[[Transaction], object]] = {
    "file's chunks": lambda tx: tx.delete_chunks("vs_1", "file-2"),
    "store's chunks": lambda tx: tx.delete_chunks("vs_1"),
    "file taken out": lambda tx: tx.delete(VectorStoreFile, "vs_1/file-2"),
    "store deleted": lambda tx: tx.delete(VectorStore, "vs_1"),
    "text replaced": replace,
}


@pytest.mark.parametrize("way", WAYS)
async def test_deleted_text_leaves_the_files(tmp_path: Path, way: str) -> None:
    """While the store goes on working: no word, no name, no vector is in the database or its log."""
    path = tmp_path / "store.db"
    store = SQLiteStore.open(path, OFTEN)
    try:
        await store.write(filled)
        assert list(SECRETS) == left(path)
        await store.write(WAYS[way])
        assert await erased(path)
        found = await store.read(lambda tx: tx.match_chunks(["vs_2"], "walrus", 500))
        assert len(found) == 120
    finally:
        await store.close()


async def test_a_deleted_store_is_gone_at_once_and_erased_later(tmp_path: Path) -> None:
    """Nothing finds its texts from the moment it is deleted, however long erasing them takes."""
    store = SQLiteStore.open(tmp_path / "store.db", OFTEN)

    def delete(tx: Transaction) -> list[object]:
        tx.delete(VectorStore, "vs_1")
        return [
            tx.match_chunks(["vs_1"], "walrus", 9),
            tx.match_files(["vs_1"], "walrusphone", 9),
            tx.chunks(["vs_1/file-1/1"]),
            tx.vectors(["vs_1/file-1/1"]),
            tx.count_vectors("vs_1"),
        ]

    try:
        await store.write(filled)
        assert [[], [], [], {}, 0] == await store.write(delete)
        assert await erased(store.path)
        ids = await store.write(lambda tx: tx.delete_chunks("vs_1"))
        assert [] == ids
    finally:
        await store.close()


def test_a_store_may_be_filled_again_before_its_old_texts_are_erased(tmp_path: Path) -> None:
    """The same ids have the new texts, and erasing the old ones takes none of them."""
    path = tmp_path / "store.db"
    asyncio.run(SQLiteStore.open(path).close())
    with closing(connect(path, OFTEN)) as connection:
        tx = SQLiteTransaction(connection)
        filled(tx)
        assert len(tx.delete_chunks("vs_1")) == 120
        again = [
            samples.chunk(0, f"penguin {n}", id=f"vs_1/file-2/{n}", file_id="file-2", vector=b"v")
            for n in range(3)
        ]
        tx.put_chunks(again)
        tx.put_extract(Extract("vs_1", "file-2", "c", "r", "b.txt", 9, 3, complete=True))

        def seen() -> list[object]:
            return [
                [one.text for one in tx.file_chunks("vs_1")],
                tx.store_vectors("vs_1"),
                tx.match_chunks(["vs_1"], "walrus", 9),
                len(tx.match_chunks(["vs_1"], "penguin", 9)),
                tx.extract("vs_1", "file-1"),
                tx.match_files(["vs_1"], "walrusphone", 9),
                tx.count_vectors("vs_1"),
            ]

        before = seen()
        eraser = Eraser(connection, 0.0)
        while eraser.wait() is not None:
            eraser.step()
        assert [] == left(path)
        assert before == seen()
    assert [f"penguin {n}" for n in range(3)] == before[0]
    assert [[], 3, None, [], 3] == before[2:]


def test_a_process_that_was_killed_is_followed_by_one_that_goes_on(tmp_path: Path) -> None:
    """What is to be erased is in the database, so each step may be the last one of a process."""
    path = tmp_path / "store.db"
    asyncio.run(SQLiteStore.open(path).close())
    with closing(connect(path, OFTEN)) as connection:
        filled(SQLiteTransaction(connection))
        SQLiteTransaction(connection).delete(VectorStore, "vs_1")
    for _ in range(100):
        with closing(connect(path, OFTEN)) as connection:
            eraser = Eraser(connection, 0.0)
            for _ in range(8):  # a short life
                eraser.step()
            if eraser.wait() is None:
                break
    assert [] == left(path)
    with closing(sqlite3.connect(path)) as connection:
        assert [(1,)] == connection.execute("SELECT count(*) FROM text_stores").fetchall()


def test_a_reader_of_old_pages_only_delays_it(tmp_path: Path) -> None:
    """The log cannot be emptied under a reader; the next try does it."""
    path = tmp_path / "store.db"
    asyncio.run(SQLiteStore.open(path).close())
    with closing(connect(path, OFTEN)) as connection, closing(connect(path, OFTEN)) as reader:
        filled(SQLiteTransaction(connection))
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM chunks").fetchone()
        SQLiteTransaction(connection).delete_chunks("vs_1", "file-2")
        eraser = Eraser(connection, 0.0)
        for _ in range(50):
            eraser.step()
        assert eraser.wait() is not None
        assert left(path) != []
        reader.execute("ROLLBACK")
        eraser.step()
        assert ([], None) == (left(path), eraser.wait())


def test_rounds_are_not_begun_one_after_the_other(tmp_path: Path) -> None:
    """A round merges whole indexes: what is deleted right after one waits for the next."""
    path = tmp_path / "store.db"
    asyncio.run(SQLiteStore.open(path).close())
    with closing(connect(path, OFTEN)) as connection:
        tx = SQLiteTransaction(connection)
        filled(tx)
        eraser = Eraser(connection, 1000.0)
        tx.delete_chunks("vs_1", "file-1")
        while (pause := eraser.wait()) is not None and pause < 10:
            eraser.step()
        assert eraser.wait() is None
        tx.delete_chunks("vs_1", "file-2")
        eraser.look()
        pause = eraser.wait()
        assert pause is not None
        assert pause > 900


async def test_a_large_file_is_gone_at_once_and_erased_later(tmp_path: Path) -> None:
    """No read finds its texts from the moment it is taken out, and those of other files are found as before."""
    store = SQLiteStore.open(tmp_path / "store.db", OFTEN)

    def seen(tx: Transaction) -> list[object]:
        return [
            tx.match_chunks(["vs_1"], "zebraquark", 9),
            {id_.split("/")[1] for id_, _ in tx.match_chunks(["vs_1"], "walrus", 500)},
            {id_ for id_, _ in tx.match_chunks(["vs_1"], "walrus", 9, {"file-2"})},
            tx.match_files(["vs_1"], "walrusphone", 9),
            tx.chunks(["vs_1/file-2/7"]),
            tx.vectors(["vs_1/file-2/7"]),
            tx.extract("vs_1", "file-2"),
            tx.file_chunks("vs_1", "file-2"),
            tx.store_vectors("vs_1", {"file-2"}),
            (tx.count_vectors("vs_1"), tx.count_vectors("vs_1", {"file-2", "file-3"})),
            len(tx.store_vectors("vs_1")),
        ]

    def take_out(tx: Transaction) -> list[object]:
        tx.delete(VectorStoreFile, "vs_1/file-2")
        return seen(tx)

    gone: list[object] = [
        [],
        {"file-1", "file-3"},
        set[str](),
        [],
        [],
        {},
        None,
        [],
        [],
        (80, 40),
        80,
    ]
    try:
        await store.write(filled)
        assert gone == await store.write(take_out)
        assert await erased(store.path)
        assert gone == await store.read(seen)
    finally:
        await store.close()
    with closing(sqlite3.connect(store.path)) as connection:
        assert [] == connection.execute("SELECT * FROM files_to_erase").fetchall()
        counted = "SELECT chunks, extracts, vectors FROM text_stores WHERE vector_store_id = 'vs_1'"
        assert [(80, 2, 80)] == connection.execute(counted).fetchall()


@pytest.mark.parametrize("steps", [0, 1, 9])
def test_a_file_may_come_again_before_its_old_text_is_erased(tmp_path: Path, steps: int) -> None:
    """It has its new text alone, however far erasing had come, and erasing takes none of it."""
    path = tmp_path / "store.db"
    asyncio.run(SQLiteStore.open(path).close())
    with closing(connect(path, OFTEN)) as connection:
        tx, eraser = SQLiteTransaction(connection), Eraser(connection, 0.0)
        filled(tx)
        assert 40 == len(tx.delete_chunks("vs_1", "file-2"))
        assert [] == tx.delete_chunks("vs_1", "file-2")
        for _ in range(steps):
            eraser.step()
        place = {"file_id": "file-2", "vector": b"v"}
        tx.put_chunks(
            samples.chunk(0, f"penguin {n}", id=f"vs_1/file-2/{n}", index=n, **place)
            for n in range(2)
        )
        eraser.look()
        while eraser.wait() is not None:
            eraser.step()
        texts = [one.text for one in tx.file_chunks("vs_1", "file-2")]
        assert (["penguin 0", "penguin 1"], 82) == (texts, tx.count_vectors("vs_1"))
    assert [] == left(path)
