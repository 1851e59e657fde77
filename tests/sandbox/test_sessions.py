"""Sessions: one for a thread, its files and their names, how long it lives, who makes room for whom."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local_assistants.engine.errors import StorageFault
from local_assistants.tools.code_interpreter.environment import Environment
from local_assistants.tools.code_interpreter.isolation.bubblewrap import Sandbox
from local_assistants.tools.code_interpreter.sessions.sessions import SessionLimits, Sessions
from local_assistants.tools.code_interpreter.tool import CodeInterpreter, Settings

from .room import Desk, HandClock, attach, say


@pytest.fixture
async def sessions(sandbox: Sandbox, clock: HandClock, tmp_path: Path) -> AsyncIterator[Sessions]:
    """Room for a single kernel, and none kept ready."""
    made = Sessions(tmp_path / "root", sandbox, clock, SessionLimits(live=1, pool=0))
    yield made
    await made.close()


# --- whose is what ----------------------------------------------------------------------------------


async def test_threads_share_nothing(desk: Desk) -> None:
    """Another thread sees neither variables nor files."""
    await desk.run("secret = 1\nopen('mine.txt', 'w').write('x')")
    other = Desk(desk.tool, thread_id="thread_2")
    await other.run("import os; print(os.listdir('/mnt/data'))")
    assert "[]\n" == other.logs
    assert "NameError" in (await other.run("secret")).output


async def test_a_busy_thread_does_not_hold_up_another(desk: Desk) -> None:
    """While one thread's code spins, another's call comes back."""
    other = Desk(desk.tool, thread_id="thread_2")
    await other.run("1")
    spinning = asyncio.create_task(desk.run("while True: pass"))
    await asyncio.sleep(0.3)
    assert "2" == (await other.run("print(1 + 1)")).output
    assert not spinning.done()
    spinning.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await spinning


# --- input files ------------------------------------------------------------------------------------


async def test_two_inputs_of_one_name_are_numbered(desk: Desk, tmp_path: Path) -> None:
    """Both are there, the second under a number."""
    for number in (1, 2):
        (tmp_path / f"{number}.csv").write_text(f"n\n{number}\n")
    desk.files = [attach(tmp_path / f"{n}.csv", f"file-{n}", "table.csv") for n in (1, 2)]
    result = await desk.run("print(open('table.csv').read()[2], open('table_2.csv').read()[2])")
    assert "1 2" == result.output


async def test_an_input_that_was_deleted_meanwhile_is_left_out(desk: Desk, tmp_path: Path) -> None:
    """Its bytes went after the run had begun: code runs with the files that are left."""
    (tmp_path / "kept.csv").write_text("b\n")
    desk.files = (
        attach(tmp_path / "gone.csv", "file-gone", "gone.csv"),
        attach(tmp_path / "kept.csv", "file-kept", "kept.csv"),
    )
    result = await desk.run("import os; print(sorted(os.listdir()))")
    assert "['kept.csv']" in result.output


async def test_an_input_cannot_be_written_through_a_planted_link(
    desk: Desk, tmp_path: Path
) -> None:
    """A link that waits under the name of the next input is stepped around."""
    victim = tmp_path / "victim.txt"
    victim.write_text("untouched")
    await desk.run(f"import os; os.symlink({str(victim)!r}, 'table.csv')")
    (tmp_path / "t.csv").write_text("n\n1\n")
    desk.files = [attach(tmp_path / "t.csv", "file-1", "table.csv")]
    assert "1" == (await desk.run("print(open('table_2.csv').read()[2])")).output
    assert "untouched" == victim.read_text()


async def test_an_input_keeps_its_name_while_others_come_and_go(desk: Desk, tmp_path: Path) -> None:
    """What the model was once told to be at a path is there in every later run."""
    for number in (1, 2, 3):
        (tmp_path / f"{number}.csv").write_text(f"n\n{number}\n")
    first, second, third = (
        attach(tmp_path / f"{n}.csv", f"file-{n}", "table.csv") for n in (1, 2, 3)
    )
    desk.files = [first, second]
    await desk.run("1")
    desk.files = [third, second]
    result = await desk.run("print([open(f'table{n}.csv').read()[2] for n in ('', '_2', '_3')])")
    assert "['1', '2', '3']" == result.output


async def test_what_code_did_to_an_input_is_not_undone(desk: Desk, tmp_path: Path) -> None:
    """Neither a change nor a deletion: it is a copy, and the thread's own."""
    for name in ("changed.csv", "deleted.csv"):
        (tmp_path / name).write_text("old")
    desk.files = [attach(tmp_path / n, f"file-{n}", n) for n in ("changed.csv", "deleted.csv")]
    await desk.run("import os; os.remove('deleted.csv'); open('changed.csv', 'w').write('new')")
    result = await desk.run("print(os.listdir(), open('changed.csv').read())")
    assert "['changed.csv'] new" == result.output
    assert "old" == (tmp_path / "changed.csv").read_text()


# --- what outlives a session ------------------------------------------------------------------------


async def test_files_outlive_the_engine(
    desk: Desk, environment: Environment, tmp_path: Path
) -> None:
    """A new engine over the same folder finds the thread's files; a lost variable is explained."""
    await desk.run("kept = 1\nopen('kept.txt', 'w').write('still here')")
    await desk.tool.close()
    tool = CodeInterpreter(Settings(environment.prefix, tmp_path / "root"), HandClock())
    later = Desk(tool)
    assert "still here" == (await later.run("print(open('kept.txt').read())")).output
    await tool.close()
    lost = await Desk(desk.tool).run("kept")
    assert "new interpreter session: variables of earlier ones are gone" in lost.output


async def test_a_thread_has_one_session_though_two_engines_work_on_it(
    desk: Desk, environment: Environment, tmp_path: Path
) -> None:
    """Its runs are executed here and there; the session is where the latest one was, and the others are over."""
    await desk.run("count = 1\nopen('count.txt', 'w').write('1')")
    tool = CodeInterpreter(Settings(environment.prefix, tmp_path / "root"), HandClock())
    other = Desk(tool)
    await other.run(
        "count = int(open('count.txt').read()) + 1\nopen('count.txt', 'w').write(str(count))"
    )
    again = await desk.run("print(open('count.txt').read())\ncount")
    there = await other.run("count")
    await tool.close()

    assert again.output.startswith("2\n")
    assert "NameError" in again.output
    assert "new interpreter session: variables of earlier ones are gone" in again.output
    assert "new interpreter session: variables of earlier ones are gone" in there.output


async def test_a_session_whose_thread_went_elsewhere_is_ended(
    sessions: Sessions, sandbox: Sandbox, clock: HandClock, tmp_path: Path
) -> None:
    """Its kernel would hold its memory for half an hour."""
    async with sessions.use("thread_1", ()) as session:
        await say(session.kernel, "1")
    other = Sessions(tmp_path / "root", sandbox, clock, SessionLimits(live=1, pool=0))
    async with other.use("thread_1", ()) as session:
        await say(session.kernel, "1")
    await sessions.cull()
    await other.cull()
    live = (sessions.live, other.live)
    await other.close()

    assert ([], ["thread_1"]) == live


async def test_copies_that_a_killed_engine_left_are_swept(desk: Desk, tmp_path: Path) -> None:
    """They can be as large as all of /mnt/data."""
    folder = tmp_path / "root" / "sessions" / desk.thread_id
    (folder / "collected-before").mkdir(parents=True)
    (folder / "collected-before" / "0").write_bytes(b"x" * 1000)
    await desk.run("open('made.txt', 'w').write('now')")
    assert {"made.txt": b"now"} == desk.saved
    assert {"data", "session", "inputs.json", "mounted"} >= {path.name for path in folder.iterdir()}


async def test_a_cleaned_up_socket_folder_is_made_again(
    sandbox: Sandbox, clock: HandClock, tmp_path: Path
) -> None:
    """Whoever sweeps temporary folders does not end the tool."""
    sessions = Sessions(tmp_path / "root", sandbox, clock, SessionLimits(pool=0))
    sessions.sockets.path.rmdir()
    async with sessions.use("thread_1", ()) as session:
        assert "2\n" == (await say(session.kernel, "1 + 1")).text
    await sessions.close()


async def test_a_forgotten_thread_leaves_nothing(desk: Desk, tmp_path: Path) -> None:
    """Deleting a thread deletes its files."""
    await desk.run("open('kept.txt', 'w').write('x')")
    await desk.tool.forget("thread_1")
    assert [] == list((tmp_path / "root" / "sessions").iterdir())


async def test_a_thread_that_is_forgotten_in_the_middle_of_a_call_leaves_nothing(
    desk: Desk, tmp_path: Path
) -> None:
    """The call comes to its end, and nothing is written after it."""
    code = "import time\nwhile True:\n    open('more.txt', 'a').write('x'); time.sleep(0.01)"
    working = asyncio.create_task(desk.run(code))
    data = tmp_path / "root" / "sessions" / desk.thread_id / "data"
    for _ in range(1000):
        if (data / "more.txt").exists():
            break
        await asyncio.sleep(0.02)
    await desk.tool.forget(desk.thread_id)
    await asyncio.wait([working])
    await asyncio.sleep(0.1)
    assert [] == list((tmp_path / "root" / "sessions").iterdir())


async def test_a_folder_that_another_engine_made_anew_ends_the_session(
    desk: Desk, tmp_path: Path
) -> None:
    """Two servers on one data folder: each call sees the thread's files where they are now."""
    await desk.run("kept = 1\nopen('old.txt', 'w').write('x')")
    folder = tmp_path / "root" / "sessions" / desk.thread_id
    os.rename(folder / "data", tmp_path / "elsewhere")
    (folder / "data").mkdir()
    (folder / "data" / "new.txt").write_text("y")
    result = await desk.run("import os; print(os.listdir()); kept")
    assert "['new.txt']" in result.output
    assert "new interpreter session: variables of earlier ones are gone" in result.output


# --- time -------------------------------------------------------------------------------------------


async def test_a_session_ends_after_half_an_hour_without_a_call(
    desk: Desk, clock: HandClock
) -> None:
    """The next call gets a new interpreter with the old files."""
    await desk.run("kept = 1\nopen('kept.txt', 'w').write('x')")
    clock.time += 1801
    result = await desk.run("import os; print(os.listdir('/mnt/data')); kept")
    assert "['kept.txt']" in result.output
    assert "NameError" in result.output


async def test_a_session_ends_an_hour_after_its_start(desk: Desk, clock: HandClock) -> None:
    """However busy it was."""
    await desk.run("kept = 1")
    for _ in range(3):
        clock.time += 1199
        assert "1" == (await desk.run("print(kept)")).output
    clock.time += 1199
    assert "NameError" in (await desk.run("print(kept)")).output


async def test_culling_ends_what_is_past_its_time_and_not_in_use(
    sandbox: Sandbox, clock: HandClock, tmp_path: Path
) -> None:
    """A call that goes on is not disturbed, however long; a session that rested ends without a call."""
    sessions = Sessions(tmp_path / "root", sandbox, clock, SessionLimits(pool=0))
    async with sessions.use("thread_1", ()) as session:
        await say(session.kernel, "1")
        async with sessions.use("thread_2", ()) as other:
            await say(other.kernel, "1")
        clock.time += 3601
        await sessions.cull()
        assert ["thread_1"] == sessions.live
        assert (session.kernel.alive, other.kernel.alive) == (True, False)
    await sessions.close()


async def test_the_start_of_a_session_is_told_once_with_its_time(
    desk: Desk, clock: HandClock
) -> None:
    """Before its first code; not again until there is a new one."""
    begun = clock.time
    await desk.run("1")
    clock.time += 1799
    await desk.run("import os; os._exit(1)")
    await desk.run("2")
    assert [begun] == desk.started
    clock.time += 1801
    await desk.run("3")
    assert [begun, clock.time] == desk.started


class FullDesk(Desk):
    """Notes nothing any more."""

    async def note_start(self, at: float) -> None:
        raise StorageFault("no space left")


async def test_a_start_that_could_not_be_noted_is_told_with_the_next_call(desk: Desk) -> None:
    """And no code runs meanwhile: what is not on the ledger was not used."""
    with pytest.raises(StorageFault, match="no space left"):
        await FullDesk(desk.tool).run("open('ran.txt', 'w')")
    await desk.run("import os; print(os.listdir())")
    assert ("[]\n", 1) == (desk.logs, len(desk.started))


# --- room -------------------------------------------------------------------------------------------


async def test_the_least_recently_used_session_makes_room(desk: Desk, clock: HandClock) -> None:
    """With four live, a fifth thread ends the one that rested longest."""
    threads = [Desk(desk.tool, thread_id=f"thread_{number}") for number in range(5)]
    for thread in threads:
        clock.time += 1
        await thread.run("kept = 1")
    assert "NameError" in (await threads[0].run("kept")).output
    assert "1" == (await threads[4].run("print(kept)")).output


async def test_who_comes_when_all_are_at_work_waits(sessions: Sessions) -> None:
    """There is never a kernel more than may live; the thread whose call is over makes room."""
    async with sessions.use("thread_1", ()) as first:
        await say(first.kernel, "1")
        waiting = asyncio.create_task(_result(sessions, "thread_2", "1 + 1"))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        assert ["thread_1"] == sessions.live
    assert "2\n" == await waiting
    assert ["thread_2"] == sessions.live
    assert not first.kernel.alive


async def test_those_who_wait_for_room_come_in_their_order(sessions: Sessions) -> None:
    """First come, first served."""
    order: list[str] = []

    async def work(thread_id: str) -> None:
        async with sessions.use(thread_id, ()):
            order.append(thread_id)

    async with sessions.use("thread_1", ()):
        waiting = [asyncio.create_task(work(f"thread_{n}")) for n in (2, 3, 4)]
        await asyncio.sleep(0.1)
    await asyncio.gather(*waiting)
    assert ["thread_2", "thread_3", "thread_4"] == order


async def test_who_gives_up_waiting_takes_nobodys_room(sessions: Sessions) -> None:
    """A cancelled run leaves the line; the session of the one at work lives on."""
    async with sessions.use("thread_1", ()) as first:
        await say(first.kernel, "kept = 1")
        waiting = asyncio.create_task(_result(sessions, "thread_2", "1"))
        await asyncio.sleep(0.1)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
    assert "1\n" == await _result(sessions, "thread_1", "kept")


async def test_many_threads_at_once_share_little_room(
    sandbox: Sandbox, clock: HandClock, tmp_path: Path
) -> None:
    """Each gets its turn, and at no moment are there more sessions than may live."""
    sessions = Sessions(tmp_path / "root", sandbox, clock, SessionLimits(live=2, pool=0))
    most = 0

    async def work(number: int) -> str:
        nonlocal most
        async with sessions.use(f"thread_{number % 5}", ()) as session:
            most = max(most, len(sessions.live))
            return (await say(session.kernel, f"print({number})")).text

    said = await asyncio.gather(*(work(number) for number in range(15)))
    assert [f"{number}\n" for number in range(15)] == said
    assert 2 == most
    await sessions.close()


async def _result(sessions: Sessions, thread_id: str, code: str) -> str:
    async with sessions.use(thread_id, ()) as session:
        return (await say(session.kernel, code)).text
