"""The SQLite store as a file: settings, faults, event loops, processes, sudden death."""

import asyncio
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import local_assistants
from local_assistants.engine.errors import StorageFault
from local_assistants.engine.objects import Run, Thread
from local_assistants.engine.ports import PageQuery, Transaction
from local_assistants.engine.states import RunStatus
from local_assistants.storage import SQLiteSettings, SQLiteStore
from local_assistants.storage.sqlite import connect

SOURCE = str(Path(local_assistants.__file__).parents[1])


def thread(number: int) -> Thread:
    """A thread `thread_<number>`."""
    return Thread(id=f"thread_{number}", created_at=1)


def putting(number: int) -> Callable[[Transaction], None]:
    """The change that stores a thread."""
    return lambda tx: tx.put(thread(number))


def child(code: str, path: Path) -> "subprocess.Popen[str]":
    """A Python process that runs `code` with the store's path as its argument."""
    return subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        env={**os.environ, "PYTHONPATH": SOURCE},
        stdout=subprocess.PIPE,
        text=True,
    )


def modes_in(folder: Path) -> dict[str, int]:
    """The permissions of each file in a folder."""
    return {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()}


async def ids(path: Path) -> list[str]:
    """Ids of all threads in the store at `path`, oldest first."""
    store = SQLiteStore.open(path)
    found, _ = await store.read(lambda tx: tx.page(Thread, PageQuery(order="asc", limit=10**6)))
    await store.close()
    return [it.id for it in found]


async def test_what_was_stored_is_there_after_a_restart(tmp_path: Path) -> None:
    """Closed and opened again, in a folder that the first opening made."""
    path = tmp_path / "data" / "deep" / "store.db"
    store = SQLiteStore.open(path)
    await store.write(putting(1))
    await store.close()
    assert ["thread_1"] == await ids(path)


async def test_a_store_without_a_path_leaves_nothing_behind() -> None:
    """It works as any other, and its folder goes when it is closed."""
    store = SQLiteStore.open()
    await store.write(putting(1))
    assert await store.read(lambda tx: tx.get(Thread, "thread_1")) == thread(1)
    folder = store.path.parent
    await store.close()
    assert not folder.exists()


def test_two_stores_without_a_path_are_two() -> None:
    """Nothing is shared between them."""

    async def both() -> list[Thread | None]:
        one, other = SQLiteStore.open(":memory:"), SQLiteStore.open(":memory:")
        await one.write(lambda tx: tx.put(thread(1)))
        found = [await it.read(lambda tx: tx.get(Thread, "thread_1")) for it in (one, other)]
        await one.close()
        await other.close()
        return found

    assert [thread(1), None] == asyncio.run(both())


def test_a_store_works_from_one_event_loop_after_the_other() -> None:
    """An embedder may run a loop for each call."""
    store = SQLiteStore.open()
    for number in range(3):
        asyncio.run(store.write(putting(number)))
    found, _ = asyncio.run(store.read(lambda tx: tx.page(Thread, PageQuery())))
    asyncio.run(store.close())
    assert len(found) == 3


def test_a_loop_that_ended_does_not_stop_the_writer() -> None:
    """Its caller is gone when the change is done; the next loop is served."""
    store = SQLiteStore.open()

    async def leave_at_once() -> None:
        asyncio.ensure_future(store.write(putting(1)))  # noqa: RUF006 - left on purpose
        await asyncio.sleep(0)

    asyncio.run(leave_at_once())
    asyncio.run(store.write(putting(2)))
    assert asyncio.run(store.read(lambda tx: tx.get(Thread, "thread_2"))) == thread(2)
    asyncio.run(store.close())


@pytest.mark.parametrize(
    ("settings", "level"), [(SQLiteSettings(), 2), (SQLiteSettings(durability="normal"), 1)]
)
async def test_durability_is_what_was_asked_for(
    tmp_path: Path, settings: SQLiteSettings, level: int
) -> None:
    """FULL by default, NORMAL by choice, with a write-ahead log in both."""
    store = SQLiteStore.open(tmp_path / "store.db", settings)
    await store.close()
    with closing(connect(tmp_path / "store.db", settings)) as connection:
        found = [
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("synchronous", "journal_mode", "foreign_keys")
        ]
    assert found == [level, "wal", 1]


async def test_the_file_is_its_owners_only(tmp_path: Path) -> None:
    """Conversations are nobody else's business, whatever the umask."""
    store = SQLiteStore.open(tmp_path / "store.db")
    await store.write(putting(1))
    modes = modes_in(tmp_path)
    await store.close()
    assert set(modes.values()) == {0o600}, modes


def test_a_folder_in_place_of_the_file_is_said_in_words(tmp_path: Path) -> None:
    """No traceback of the driver."""
    with pytest.raises(StorageFault, match=re.escape(str(tmp_path))):
        SQLiteStore.open(tmp_path)


def test_a_file_in_place_of_the_folder_is_said_in_words(tmp_path: Path) -> None:
    """Nothing can be made below it."""
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StorageFault, match="data folder"):
        SQLiteStore.open(tmp_path / "data" / "store.db")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """And left as it is."""
    path = tmp_path / "store.db"
    path.write_bytes(b"not a database at all " * 500)
    before = path.read_bytes()
    with pytest.raises(StorageFault, match="not a database"):
        SQLiteStore.open(path)
    assert before == path.read_bytes()


async def test_damaged_pages_are_said_in_words(tmp_path: Path) -> None:
    """A reader of a damaged table is told to restore a backup; it gets no wrong data."""
    path = tmp_path / "store.db"
    store = SQLiteStore.open(path)

    def fill(tx: Transaction) -> None:
        for number in range(5000):
            tx.put(thread(number))

    await store.write(fill)
    await store.close()
    size = path.stat().st_size
    with path.open("r+b") as file:  # the schema lies in front, the threads behind
        file.seek(size * 3 // 4)
        file.write(b"\xff" * (size // 8))
    store = SQLiteStore.open(path)
    with pytest.raises(StorageFault, match=r"damaged; restore it from a backup"):
        await store.read(lambda tx: tx.page(Thread, PageQuery(limit=10_000)))
    await store.close()


async def test_a_body_that_is_no_object_is_said_in_words(tmp_path: Path) -> None:
    """A row that another program spoilt is a fault of the store, not a crash."""
    path = tmp_path / "store.db"
    store = SQLiteStore.open(path)
    await store.write(putting(1))
    with sqlite3.connect(path) as connection:
        connection.execute("""UPDATE threads SET body = '{"id": 5}'""")
    connection.close()
    with pytest.raises(StorageFault, match="stored Thread cannot be read"):
        await store.read(lambda tx: tx.get(Thread, "thread_1"))
    await store.close()


async def test_the_end_empties_the_log_into_the_file(tmp_path: Path) -> None:
    """After a close one file is the whole store (and may be copied)."""
    store = SQLiteStore.open(tmp_path / "store.db")
    await store.write(putting(1))
    await store.read(lambda tx: tx.get(Thread, "thread_1"))
    await store.close()
    assert {"store.db", "store.db.lock"} == set(modes_in(tmp_path))


OPENING = """
import asyncio, os, sys
from local_assistants.engine.objects import Thread
from local_assistants.storage import SQLiteStore
async def main():
    store = SQLiteStore.open(sys.argv[1])
    for n in range(5):
        await store.write(lambda tx: tx.put(Thread(id=f"thread_{os.getpid()}_{n}", created_at=1)))
    await store.close()
asyncio.run(main())
"""


async def test_several_processes_may_open_and_write_one_new_store(tmp_path: Path) -> None:
    """Started at the same time on no file at all, each stores all it has."""
    path = tmp_path / "store.db"
    children = [child(OPENING, path) for _ in range(3)]
    for process in children:
        process.communicate(timeout=60)
    assert [process.returncode for process in children] == [0, 0, 0]
    assert len(await ids(path)) == 15


def queued_run(number: int) -> Run:
    """A run that wants work, in `thread_<number>`."""
    return Run(
        id=f"run_{number}",
        created_at=1,
        assistant_id="a",
        thread_id=f"thread_{number}",
        status=RunStatus.QUEUED,
        model="m",
    )


CLAIMING = """
import asyncio, os, sys
from local_assistants.storage import SQLiteStore
async def main():
    store = SQLiteStore.open(sys.argv[1])
    while run := await store.write(lambda tx: tx.claim_run(str(os.getpid()), 0.0, 60.0)):
        print(run.id, flush=True)
    await store.close()
asyncio.run(main())
"""


async def test_two_processes_never_claim_one_run(tmp_path: Path) -> None:
    """They share a queue of thirty runs; each run is given out once."""
    path = tmp_path / "store.db"
    store = SQLiteStore.open(path)

    def fill(tx: Transaction) -> None:
        for number in range(30):
            tx.put(thread(number))
            tx.put(queued_run(number))

    await store.write(fill)
    children = [child(CLAIMING, path) for _ in range(2)]
    claimed = [line for process in children for line in process.communicate(timeout=60)[0].split()]
    await store.close()
    assert sorted(claimed) == sorted(f"run_{n}" for n in range(30))


WRITING = """
import asyncio, sys
from local_assistants.engine.events import EventName
from local_assistants.engine.objects import Run, Thread
from local_assistants.storage import SQLiteStore
async def main():
    store = SQLiteStore.open(sys.argv[1])
    run = Run(id="run_1", created_at=1, assistant_id="a", thread_id="thread_0", status="queued", model="m")
    await store.write(lambda tx: (tx.put(Thread(id="thread_0", created_at=1)), tx.put(run)))
    async def write(name):
        n = 0
        while True:
            n += 1
            def change(tx):
                tx.put(Thread(id=f"thread_{name}_{n}", created_at=1))
                return tx.append_event("run_1", EventName.MESSAGE_DELTA, {"thread": f"thread_{name}_{n}"}).seq
            seq = await store.write(change)
            print(f"{seq}:thread_{name}_{n}", flush=True)
    await asyncio.gather(*(write(name) for name in "abcdefgh"))
asyncio.run(main())
"""


@pytest.mark.parametrize("lines", [1, 300])
async def test_everything_acknowledged_survives_kill_9(tmp_path: Path, lines: int) -> None:
    """Eight writers are killed in full flight: what was printed is stored, with its event; nothing is half."""
    path = tmp_path / "store.db"
    process = child(WRITING, path)
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().strip() for _ in range(lines)]
    process.send_signal(signal.SIGKILL)
    # A line may be cut by the kill; only whole ones are promises.
    rest = process.communicate(timeout=30)[0]
    acknowledged += rest.splitlines()[: rest.count("\n")]
    store = SQLiteStore.open(path)
    events = await store.read(lambda tx: tx.events("run_1", limit=10**6))
    await store.close()
    journal = [f"{event.seq}:{event.data['thread']}" for event in events]
    stored = set(await ids(path)) - {"thread_0"}
    assert len(acknowledged) >= lines
    assert set(acknowledged) <= set(journal)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert stored == {event.data["thread"] for event in events}


async def test_closing_empties_the_log_though_others_have_the_file_open(tmp_path: Path) -> None:
    """Two servers on one folder: the one that is stopped leaves its writes in the file itself."""
    path = tmp_path / "store.db"
    first, second = SQLiteStore.open(path), SQLiteStore.open(path)
    await first.write(putting(1))
    log = path.with_name("store.db-wal")
    before = log.stat().st_size
    await first.close()
    after = log.stat().st_size
    await second.close()

    assert before > 0
    assert 0 == after
