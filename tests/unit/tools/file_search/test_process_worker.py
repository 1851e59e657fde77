"""The worker process: the same answers as in this process, whatever becomes of it."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import TypeVar

import pytest
import pytest_asyncio

from local_assistants.engine.errors import (
    InvalidRequest,
    MissingDependency,
    ToolFault,
    UnsupportedFile,
)
from local_assistants.tools.file_search.chunking.chunking import Sizes
from local_assistants.tools.file_search.ingestion.inline import InlineWorker
from local_assistants.tools.file_search.ingestion.process_worker import (
    Model,
    ProcessWorker,
)
from local_assistants.tools.file_search.parsing.limits import ParseLimits
from local_assistants.tools.file_search.settings import WorkerSettings
from tests.support.small_embedder import FACTORY, SIZE, SmallEmbedder

ROOT = Path(__file__).parents[4]
SIZES = Sizes(20, 5)
PROSE = "# Ships\n\n" + "".join(
    f"The ship number {number} left the harbour.\n" for number in range(40)
)

T = TypeVar("T")


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process gets our search path, and has to find the small embedder in it."""
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])


def _worker(
    folder: Path, settings: WorkerSettings | None = None, factory: str = FACTORY
) -> ProcessWorker:
    return ProcessWorker(Model(factory, {"folder": str(folder)}, "words-1"), settings)


@pytest_asyncio.fixture
async def worker(tmp_path: Path) -> AsyncIterator[ProcessWorker]:
    """A worker whose process is not yet started."""
    made = _worker(tmp_path)
    yield made
    await made.close()


async def _soon(awaitable: Awaitable[T]) -> T:
    return await asyncio.wait_for(awaitable, 60)


async def _until_gone(pid: int) -> bool:
    for _ in range(200):
        if not _lives(pid):
            return True
        await asyncio.sleep(0.05)
    return False


def _lives(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


async def test_it_answers_as_the_worker_in_this_process(
    worker: ProcessWorker, tmp_path: Path
) -> None:
    """Chunks and vectors are the same, to the byte and in order."""
    file = tmp_path / "ships.md"
    file.write_text(PROSE, encoding="utf-8")
    here = InlineWorker(SmallEmbedder(tmp_path))
    expected = await here.extract(file, "ships.md", SIZES)
    passages = [(chunk.heading, chunk.text) for chunk in expected.chunks]

    assert expected == await _soon(worker.extract(file, "ships.md", SIZES))
    assert await here.embed(passages) == await _soon(worker.embed(passages))
    assert await here.encode(["when", "\ud800 odd"]) == await _soon(
        worker.encode(["when", "\ud800 odd"])
    )
    await here.close()


async def test_a_large_file_comes_in_parts(worker: ProcessWorker, tmp_path: Path) -> None:
    """More text than fits one message arrives whole and in order."""
    file = tmp_path / "large.txt"
    file.write_text(
        "".join(f"line {number} of a long file\n" for number in range(60_000)), encoding="utf-8"
    )
    found = await _soon(worker.extract(file, "large.txt", Sizes(200, 0)))

    assert file.stat().st_size == found.text_bytes
    assert file.read_text(encoding="utf-8") == "".join(chunk.text for chunk in found.chunks)


async def test_nothing_gives_nothing(worker: ProcessWorker) -> None:
    """No passages, no vectors."""
    assert [] == await _soon(worker.embed([]))


async def test_errors_keep_their_class(worker: ProcessWorker, tmp_path: Path) -> None:
    """What is raised over there is raised here, in the same words; foreign errors become a ToolFault."""
    file = tmp_path / "empty.txt"
    file.write_bytes(b"")

    with pytest.raises(UnsupportedFile, match=r"notes\.xyz"):
        await _soon(worker.extract(file, "notes.xyz", SIZES))
    with pytest.raises(InvalidRequest, match="empty"):
        await _soon(worker.extract(file, "empty.txt", SIZES))
    with pytest.raises(MissingDependency, match="get it"):
        await _soon(worker.embed([("", "MISSING")]))
    with pytest.raises(ToolFault, match="no such thing"):
        await _soon(worker.embed([("", "FAIL")]))
    assert 1 == worker.starts


async def test_a_killed_process_costs_a_pause(worker: ProcessWorker) -> None:
    """Calls that were at work are answered by the next process."""
    await _soon(worker.encode(["it is up"]))
    calls = [asyncio.create_task(worker.embed([("", f"SLOW {number}")])) for number in range(3)]
    await asyncio.sleep(0.1)
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    answers = await _soon(asyncio.gather(*calls))

    assert [1, 1, 1] == [len(vectors) for vectors in answers]
    assert 2 == worker.starts


async def test_what_ends_it_once_is_tried_again(worker: ProcessWorker) -> None:
    """A process may die of something else: nobody is blamed for one death."""
    assert 1 == len(await _soon(worker.embed([("", "STUMBLE")])))
    assert 2 == worker.starts


async def test_the_text_that_ends_it_fails_alone(worker: ProcessWorker) -> None:
    """Whoever was at work beside it gets an answer, and so do later ones."""
    texts = ["one SLOW", "two CRASH", "three"]
    calls = [asyncio.create_task(worker.embed([("", text)])) for text in texts]
    one, two, three = await _soon(asyncio.gather(*calls, return_exceptions=True))

    assert isinstance(two, ToolFault)
    assert "ended the worker process of file search twice" in two.message
    assert [list, list] == [type(one), type(three)]
    assert 1 == len(await _soon(worker.encode(["later"])))


async def test_a_process_that_does_not_start_says_why(tmp_path: Path) -> None:
    """No call waits for ever for a process that cannot come up."""
    worker = _worker(tmp_path, factory="tests.support.no_such_module:made")

    with pytest.raises(ToolFault, match=r"does not start.*no_such_module") as raised:
        await _soon(worker.encode(["anything"]))
    assert ("no_such_module" in raised.value.message, raised.value.passing) == (False, True)
    await worker.close()


async def test_a_hanging_process_is_killed(tmp_path: Path) -> None:
    """It is blamed like one that dies."""
    model = Model(FACTORY, {"folder": str(tmp_path)}, "words-1")
    worker = ProcessWorker(model, WorkerSettings(patience=2), ParseLimits(seconds=1))

    with pytest.raises(ToolFault, match="twice"):
        await _soon(worker.embed([("", "HANG")]))
    await worker.close()


async def test_an_idle_process_rests(tmp_path: Path) -> None:
    """Its memory is free again after a while; the next call starts another."""
    worker = _worker(tmp_path, WorkerSettings(idle_seconds=0.2))
    await _soon(worker.encode(["first"]))
    first = worker.pid
    assert first is not None
    assert await _until_gone(first)
    assert worker.pid is None
    await _soon(worker.encode(["second"]))

    assert 2 == worker.starts
    await worker.close()


async def test_a_cancelled_call_leaves_the_others(tmp_path: Path) -> None:
    """What of it is not at the model yet never gets there; the process lives on."""
    worker = _worker(tmp_path, WorkerSettings(batch=1))
    await _soon(worker.encode(["it is up"]))
    cancelled = asyncio.create_task(worker.embed([("", "SLOW"), ("", "HANG")]))
    other = asyncio.create_task(worker.embed([("", "other")]))
    await asyncio.sleep(0.1)
    cancelled.cancel()

    assert SIZE * 4 == len((await _soon(other))[0])
    assert 1 == worker.starts
    await worker.close()


async def test_a_closed_worker_says_so(tmp_path: Path) -> None:
    """Who waits is told at once; closing twice is no error; the process is gone."""
    worker = _worker(tmp_path)
    await _soon(worker.encode(["it is up"]))
    waiting = asyncio.create_task(worker.embed([("", "HANG")]))
    await asyncio.sleep(0.1)
    pid = worker.pid
    assert pid is not None
    await _soon(worker.close())
    await worker.close()

    with pytest.raises(ToolFault, match="closed"):
        await waiting
    with pytest.raises(ToolFault, match="closed"):
        await worker.encode(["late"])
    assert not _lives(pid)


_PARENT = """
import asyncio, sys
from pathlib import Path
from local_assistants.tools.file_search.ingestion.process_worker import Model, ProcessWorker
async def main():
    worker = ProcessWorker(Model(sys.argv[1], {"folder": "."}, "r"))
    await worker.encode(["up"])
    print(worker.pid, flush=True)
    await worker.embed([("", "HANG")])
asyncio.run(main())
"""


async def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    """Even when the parent is killed and can do nothing about it, in the middle of a batch."""
    path = os.pathsep.join([str(ROOT), *sys.path])
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _PARENT, FACTORY),
        stdout=asyncio.subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert parent.stdout is not None
    pid = int(await _soon(parent.stdout.readline()))
    lived = _lives(pid)
    parent.kill()
    await parent.wait()

    assert lived
    assert await _until_gone(pid)
