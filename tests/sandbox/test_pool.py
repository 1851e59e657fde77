"""The warm pool: kernels that wait, what a session gets of them, and that none is left over."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local_assistants import assemble
from local_assistants.tools.code_interpreter.isolation import processes
from local_assistants.tools.code_interpreter.isolation.bubblewrap import Sandbox
from local_assistants.tools.code_interpreter.kernels.pool import Pool
from local_assistants.tools.code_interpreter.sessions.sessions import SessionLimits, Sessions

from .room import HandClock, Heard, say

PATIENCE = 30.0


@pytest.fixture
def places() -> SessionLimits:
    """Room for three kernels, of which one is kept ready; tests that need another number override this fixture."""
    return SessionLimits(live=3, pool=1)


@pytest.fixture
def others() -> set[int]:
    """Processes that other tests have running beside."""
    return set(processes.children(os.getpid()))


@pytest.fixture
async def sessions(
    sandbox: Sandbox, clock: HandClock, tmp_path: Path, places: SessionLimits
) -> AsyncIterator[Sessions]:
    """Sessions with a pool that is being filled."""
    made = Sessions(tmp_path / "sessions", sandbox, clock, places)
    made.start()
    yield made
    await made.close()


async def filled(pool: Pool, count: int = 1) -> None:
    """Wait until that many kernels are ready."""
    for _ in range(int(PATIENCE / 0.05)):
        if pool.ready >= count:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{pool.ready} of {count} kernels are ready")


async def run(sessions: Sessions, thread_id: str, code: str) -> Heard:
    """A call of a thread."""
    async with sessions.use(thread_id, ()) as session:
        return await say(session.kernel, code)


async def test_a_new_session_gets_a_kernel_that_waited(sessions: Sessions) -> None:
    """With pandas and pyplot imported, without a trace of it among the variables or in the history."""
    await filled(sessions.pool)
    async with sessions.use("thread_1", ()) as session:
        assert session.kernel.alive
        heard = await say(
            session.kernel,
            "import sys\n"
            "print({'pandas', 'matplotlib.pyplot'} <= set(sys.modules))\n"
            "print('pandas' in globals(), [name for name in dir() if not name.startswith('_')])\n"
            "print(len(In))",
        )
    assert ["True", "False ['In', 'Out', 'exit', 'get_ipython', 'open', 'quit', 'sys']", "2"] == (
        heard.text.splitlines()
    )


async def test_a_plot_of_a_kernel_that_waited_is_shown(sessions: Sessions) -> None:
    """Importing pyplot early has not changed where it draws to."""
    await filled(sessions.pool)
    heard = await run(
        sessions, "thread_1", "import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show()"
    )
    assert [True] == [picture.data.startswith(b"\x89PNG") for picture in heard.pictures]


async def test_the_files_of_a_thread_lie_before_the_kernel_that_waited(
    sessions: Sessions, clock: HandClock
) -> None:
    """What an earlier session left, links and locked folders too; and what is written lands in the thread's folder."""
    made = (
        "import os; os.makedirs('a/b'); open('a/b/c.txt', 'w').write('deep'); open('d.txt', 'w').write('top')\n"
        "os.symlink('d.txt', 'link'); os.mkdir('locked'); open('locked/e.txt', 'w').write('in')\n"
        "os.chmod('locked', 0o500)"
    )
    async with sessions.use("thread_1", ()) as session:
        await say(session.kernel, made)
    clock.time += 1801
    await sessions.cull()
    await filled(sessions.pool)
    async with sessions.use("thread_1", ()) as session:
        heard = await say(
            session.kernel,
            "import os; print(sorted(os.listdir()), open('a/b/c.txt').read(), open('link').read())\n"
            "print(open('locked/e.txt').read(), oct(os.stat('locked').st_mode))\n"
            "open('/mnt/data/new.txt', 'w').write('now')",
        )
        assert "now" == (session.data / "new.txt").read_text()
    listed = "['a', 'd.txt', 'link', 'locked'] deep top"
    assert [listed, "in 0o40500"] == heard.text.splitlines()[:2]


async def test_a_kernel_that_waited_is_restarted_where_it_went(sessions: Sessions) -> None:
    """When it dies, the next one sees the thread's files and not an empty folder of the pool."""
    await filled(sessions.pool)
    await run(sessions, "thread_1", "open('kept.txt', 'w').write('x')")
    assert (await run(sessions, "thread_1", "import os; os._exit(3)")).lost is not None
    heard = await run(sessions, "thread_1", "import os; print(os.listdir())")
    assert "['kept.txt']\n" == heard.text


@pytest.mark.parametrize("places", [SessionLimits(live=2, pool=2)])
async def test_the_pool_keeps_no_more_than_may_live(sessions: Sessions) -> None:
    """With every session there is room for one kernel less."""
    await filled(sessions.pool, 2)
    kept: list[int] = []
    for number in range(3):
        await run(sessions, f"thread_{number}", "1")
        sessions.pool.fill()
        await asyncio.sleep(1.3)
        kept.append(len(sessions.pool))
    assert [1, 0, 0] == kept
    assert 2 == len(sessions.live)


async def test_a_kernel_that_was_taken_is_replaced(sessions: Sessions) -> None:
    """In the background, for the next thread."""
    await filled(sessions.pool)
    await run(sessions, "thread_1", "1")
    await filled(sessions.pool)
    async with sessions.use("thread_2", ()) as session:
        assert session.kernel.alive


async def test_a_kernel_that_died_while_it_waited_is_given_to_nobody(
    others: set[int], sessions: Sessions
) -> None:
    """The session starts one of its own and hears nothing of it."""
    await filled(sessions.pool)
    for sandbox in set(processes.children(os.getpid())) - others:
        processes.kill_sandbox(sandbox)
    for _ in range(100):
        if not sessions.pool.ready:
            break
        await asyncio.sleep(0.02)
    heard = await run(sessions, "thread_1", "print(1)")
    assert ("1\n", None) == (heard.text, heard.lost)


async def test_two_that_come_at_once_get_kernels_of_their_own(sessions: Sessions) -> None:
    """One takes the one that waits, the other starts one."""
    await filled(sessions.pool)
    code = "import sys; print('pandas' in sys.modules)"
    heard = await asyncio.gather(*(run(sessions, f"thread_{n}", code) for n in (1, 2)))
    assert {"True\n", "False\n"} == {each.text for each in heard}


async def test_a_caller_who_gives_up_leaves_the_kernel_in_the_pool(sessions: Sessions) -> None:
    """He waited for one that was not ready yet."""
    for _ in range(200):
        if len(sessions.pool):
            break
        await asyncio.sleep(0.02)
    waiting = asyncio.create_task(run(sessions, "thread_1", "1"))
    await asyncio.sleep(0.01)
    waiting.cancel()
    await asyncio.wait([waiting])
    await filled(sessions.pool)
    assert [] == sessions.live


async def test_an_engine_that_loads_at_start_has_a_kernel_ready(
    others: set[int], tmp_path: Path
) -> None:
    """Before anybody asks, and gone with the engine."""
    (tmp_path / "script.yaml").write_text("turns: [{text: Hello.}]\n")
    settings = assemble.Settings(
        f"scripted:{tmp_path / 'script.yaml'}", data=tmp_path, load_at_start=True
    )
    spares = tmp_path / "code_interpreter" / "spares"
    async with assemble.Engine.open(settings):
        for _ in range(int(PATIENCE / 0.05)):
            if list(spares.glob("*/*/data")):
                break
            await asyncio.sleep(0.05)
        assert 1 == len(list(spares.glob("*/*/data")))
    assert [] == list(spares.iterdir())
    assert others >= set(processes.children(os.getpid()))


async def test_nothing_is_left_of_a_pool_that_is_closed(
    others: set[int], sandbox: Sandbox, clock: HandClock, tmp_path: Path
) -> None:
    """Neither a process nor a folder."""
    sessions = Sessions(tmp_path / "sessions", sandbox, clock, SessionLimits())
    sessions.start()
    await filled(sessions.pool)
    before = set(processes.children(os.getpid()))
    await sessions.close()
    assert 1 == len(before - others)
    assert others >= set(processes.children(os.getpid()))
    assert [] == list((tmp_path / "spares").iterdir())


_ENGINE = """
import asyncio, sys
from pathlib import Path
from local_assistants.engine.clock import SystemClock
from local_assistants.tools.code_interpreter import environment
from local_assistants.tools.code_interpreter.isolation import probe
from local_assistants.tools.code_interpreter.isolation.limits import Limits
from local_assistants.tools.code_interpreter.sessions.sessions import SessionLimits, Sessions

async def main():
    sandbox = await probe.find_sandbox(environment.find(Path(sys.argv[1])), Limits())
    sessions = Sessions(Path(sys.argv[2]), sandbox, SystemClock(), SessionLimits())
    sessions.start()
    while not sessions.pool.ready:
        await asyncio.sleep(0.05)
    print("ready", flush=True)
    await asyncio.sleep(300)

asyncio.run(main())
"""


async def test_what_a_killed_engine_kept_ready_is_removed_and_that_of_a_living_one_is_not(
    sandbox: Sandbox, clock: HandClock, tmp_path: Path
) -> None:
    """Two engines on one data folder keep out of each other's way."""
    arguments = ("-c", _ENGINE, str(sandbox.environment.prefix), str(tmp_path / "sessions"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    spares = tmp_path / "spares"
    engine = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=subprocess.PIPE, env=environment
    )
    assert engine.stdout is not None
    assert b"ready\n" == await engine.stdout.readline()
    assert 1 == await _folders_beside_a_second_engine(spares, sandbox, clock)
    engine.kill()
    await engine.wait()
    assert 1 == len(list(spares.iterdir()))
    assert 0 == await _folders_beside_a_second_engine(spares, sandbox, clock)


async def _folders_beside_a_second_engine(spares: Path, sandbox: Sandbox, clock: HandClock) -> int:
    """How many folders a second engine lets stand, its own left out."""
    sessions = Sessions(spares.with_name("sessions"), sandbox, clock, SessionLimits())
    sessions.start()
    await filled(sessions.pool)
    found = len(list(spares.iterdir()))
    await sessions.close()
    return found - 1
