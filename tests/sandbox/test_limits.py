"""Code in the sandbox takes too much: memory, processes, time, output, disk. The engine and the next call live on."""

import resource

import pytest

from local_assistants.tools.code_interpreter.isolation.limits import MIB, Limits
from local_assistants.tools.code_interpreter.kernels.kernel import Kernel

from .room import say


@pytest.fixture
def limits() -> Limits:
    """Small enough to be reached quickly."""
    return Limits(
        memory_bytes=1024 * MIB, data_bytes=64 * MIB, data_entries=2500, grace_seconds=1.0
    )


async def test_a_huge_allocation_is_a_memory_error(kernel: Kernel) -> None:
    """10 GiB in one piece fail cleanly and the kernel goes on."""
    assert "MemoryError" == (await say(kernel, "x = bytearray(10 << 30)")).error
    assert "2\n" == (await say(kernel, "1 + 1")).text


async def test_memory_of_many_processes_is_added_up(kernel: Kernel) -> None:
    """Each child stays below the limit, all together do not; the watchdog ends them and says why."""
    code = (
        "import os, time\n"
        "for _ in range(4):\n"
        "    if os.fork() == 0:\n"
        "        hold = bytearray(b'x') * (400 << 20); time.sleep(60); os._exit(0)\n"
        "time.sleep(60)"
    )
    heard = await say(kernel, code)
    assert heard.lost is not None
    assert "more than 1024 MiB of memory" in heard.lost.reason


async def test_a_fork_bomb_stays_inside(kernel: Kernel) -> None:
    """Processes are limited per sandbox, and the thread has a working interpreter afterwards."""
    heard = await say(kernel, "import os\nwhile True: os.fork()", seconds=5)
    assert "BlockingIOError" == heard.error or heard.lost is not None
    assert "2\n" == (await say(kernel, "1 + 1")).text


async def test_an_endless_loop_is_interrupted_and_variables_stay(kernel: Kernel) -> None:
    """The time limit costs the call and not the session."""
    await say(kernel, "kept = 41")
    heard = await say(kernel, "while True: pass", seconds=0.5)
    assert "KeyboardInterrupt" == heard.error
    assert "time limit" in heard.notes
    assert "42\n" == (await say(kernel, "kept + 1")).text


async def test_code_that_ignores_interrupts_is_killed(kernel: Kernel) -> None:
    """After the grace the kernel is replaced, and the output says what was lost."""
    await say(kernel, "kept = 41")
    code = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\ntime.sleep(60)"
    heard = await say(kernel, code, seconds=0.5)
    assert heard.lost is not None
    assert "Variables and imports are gone; files in /mnt/data are kept." in heard.lost.text
    assert "NameError" == (await say(kernel, "kept")).error


async def test_strays_end_with_an_interrupted_call(kernel: Kernel) -> None:
    """An interrupt reaches the kernel alone; what it had started does not spin on."""
    code = "import subprocess\nchild = subprocess.Popen(['sleep', '1000'])\nwhile True: pass"
    await say(kernel, code, seconds=0.5)
    assert "-9\n" == (await say(kernel, "child.wait(5)")).text


async def test_a_flood_of_output_does_not_fill_the_engine(kernel: Kernel) -> None:
    """300 MB printed in pieces and 100 MB at once leave the engine's peak memory about where it was."""
    await say(kernel, "1")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    length = 0
    async for output in kernel.execute("for _ in range(300): print('y' * 1_000_000)"):
        length += len(getattr(output, "text", ""))
    heard = await say(kernel, "print('x' * 100_000_000)")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    assert length > 0
    assert len(heard.text) < 2_000_000
    assert grown < 100


async def test_an_oversized_picture_costs_only_itself(kernel: Kernel) -> None:
    """A message above the limit is dropped with a note; later output arrives."""
    code = "from IPython.display import display\ndisplay({'image/png': 'A' * 20_000_000}, raw=True)"
    heard = await say(kernel, code)
    assert "too large" in heard.notes
    assert "7\n" == (await say(kernel, "print(7)")).text


async def test_files_beyond_the_quota_end_the_call(kernel: Kernel) -> None:
    """The folder's size is watched; the files that are there stay for the model to delete."""
    code = (
        "import time\n"
        "for n in range(100):\n"
        "    open(f'big{n}', 'wb').write(b'x' * 8_000_000); time.sleep(0.05)\n"
        "time.sleep(60)"
    )
    heard = await say(kernel, code)
    assert heard.lost is not None
    assert "/mnt/data took more than 64 MiB" in heard.lost.reason
    assert "True\n" == (await say(kernel, "import os; print(os.path.exists('big0'))")).text


async def test_unlinked_files_count_too(kernel: Kernel) -> None:
    """A deleted file that is held open still takes disk space."""
    code = (
        "import os, time\nf = open('gone', 'wb'); os.unlink('gone')\n"
        "f.write(b'x' * 90_000_000); f.flush(); time.sleep(60)"
    )
    heard = await say(kernel, code)
    assert heard.lost is not None
    assert "/mnt/data took more than" in heard.lost.reason


async def test_deep_folders_do_not_blind_the_watchdog(kernel: Kernel) -> None:
    """What lies thousands of folders deep counts like all else."""
    code = (
        "import os, time\n"
        "for _ in range(2000):\n"
        "    os.mkdir('d'); os.chdir('d')\n"
        "open('big', 'wb').write(b'x' * 90_000_000); time.sleep(60)"
    )
    heard = await say(kernel, code)
    assert heard.lost is not None
    assert "/mnt/data took more than 64 MiB" in heard.lost.reason


async def test_a_flood_of_empty_files_ends_the_call(kernel: Kernel) -> None:
    """Files without a byte use up the disk's inodes."""
    code = "import time\nfor n in range(3000):\n    open(f'f{n}', 'w').close()\ntime.sleep(60)"
    heard = await say(kernel, code)
    assert heard.lost is not None
    assert "more than 2500 files and folders" in heard.lost.reason
    kept = int((await say(kernel, "import os; print(len(os.listdir('.')))")).text)
    assert 2500 < kept <= 3000  # the watchdog may strike while they are being made
