"""Code in the sandbox takes too much: memory, processes, time, output, disk. The engine and the next call live on.

What a cgroup does where there can be one, the watchdog must do where there is none: such tests run with both.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from local_assistants.tools.code_interpreter.isolation.folders import Footprint, measure
from local_assistants.tools.code_interpreter.isolation.limits import MIB, Limits
from local_assistants.tools.code_interpreter.kernels.kernel import Kernel

from .room import say

SMALL = Limits(memory_bytes=1024 * MIB, data_bytes=64 * MIB, data_entries=2500, grace_seconds=1.0)
BY_LOOKING = replace(SMALL, cgroups=False)
BOTH = pytest.mark.parametrize("limits", [SMALL, BY_LOOKING], ids=["cgroups", "looking"])
LOOKING = pytest.mark.parametrize("limits", [BY_LOOKING], ids=["looking"])
QUICK = pytest.mark.parametrize("limits", [replace(SMALL, cpu_seconds=1.0)], ids=["one second"])


@pytest.fixture
def limits() -> Limits:
    """Small enough to be reached quickly."""
    return SMALL


async def test_a_huge_allocation_is_a_memory_error(kernel: Kernel) -> None:
    """10 GiB in one piece fail cleanly and the kernel goes on."""
    assert "MemoryError" == (await say(kernel, "x = bytearray(10 << 30)")).error
    assert "2\n" == (await say(kernel, "1 + 1")).text


@BOTH
async def test_memory_of_many_processes_is_added_up(kernel: Kernel) -> None:
    """Each child stays below the limit, all together do not; some process is ended for it, and it is said why."""
    code = (
        "import os, time\n"
        "for _ in range(4):\n"
        "    if os.fork() == 0:\n"
        "        hold = bytearray(b'x') * (400 << 20); time.sleep(60); os._exit(0)\n"
        "os.wait()"
    )
    heard = await say(kernel, code)
    said = heard.notes + (heard.lost.reason if heard.lost else "")
    assert "its processes used more than 1024 MiB of memory together" in said
    assert "2\n" == (await say(kernel, "1 + 1")).text


@BOTH
async def test_the_kernel_s_own_shared_memory_counts(kernel: Kernel) -> None:
    """No rlimit bounds it; the kernel is ended, and the reason is told."""
    code = "import mmap\nshared = mmap.mmap(-1, 3 << 30)\nfor _ in range(48): shared.write(bytes(64 << 20))"
    heard = await say(kernel, code)
    assert heard.lost is not None
    assert "more than 1024 MiB of memory" in heard.lost.text


@LOOKING
async def test_shared_memory_that_is_not_resident_counts(kernel: Kernel) -> None:
    """Pages that no process has mapped right now are still in memory."""
    code = (
        "import mmap, time\nshared = mmap.mmap(-1, 3 << 30)\n"
        "for _ in range(24):\n"
        "    shared.write(bytes(64 << 20)); shared.madvise(mmap.MADV_DONTNEED); time.sleep(0.02)\n"
        "time.sleep(60)"
    )
    heard = await say(kernel, code)
    assert heard.lost is not None
    assert "its processes shared more than 1024 MiB of memory" in heard.lost.reason


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
    await say(kernel, "import subprocess\nchild = subprocess.Popen(['sleep', '1000'])")
    await say(kernel, "while True: pass", seconds=0.5)
    assert "-9\n" == (await say(kernel, "child.wait(5)")).text


@QUICK
async def test_processor_time_of_a_call_is_limited(kernel: Kernel) -> None:
    """Computing for too long is interrupted with a reason, whatever the clock on the wall says; variables stay."""
    await say(kernel, "kept = 41")
    heard = await say(kernel, "while True: pass")
    assert "KeyboardInterrupt" == heard.error
    assert "used more than 1 s of processor time: the code was interrupted" in heard.notes
    assert "42\n" == (await say(kernel, "kept + 1")).text


@QUICK
async def test_each_call_has_processor_time_of_its_own(kernel: Kernel) -> None:
    """A session may compute for longer than a call."""
    code = "import time\nend = time.process_time() + 0.4\nwhile time.process_time() < end: pass"
    for _ in range(4):
        heard = await say(kernel, code)
        assert ("", "") == (heard.error, heard.notes)


@QUICK
async def test_children_that_compute_are_counted_and_ended(kernel: Kernel) -> None:
    """The kernel itself only waits for them."""
    code = (
        "import subprocess, sys\n"
        "children = [subprocess.Popen([sys.executable, '-c', 'while True: pass']) for _ in range(2)]\n"
        "[child.wait() for child in children]"
    )
    heard = await say(kernel, code)
    assert "processor time" in heard.notes
    ended = await say(kernel, "for child in children: child.wait(5)\nprint('ended')")
    assert "ended\n" == ended.text


@QUICK
async def test_computing_on_after_the_interrupt_ends_the_session(kernel: Kernel) -> None:
    """After the grace it is over, with the same reason."""
    code = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
    heard = await say(kernel, code)
    assert heard.lost is not None
    assert "its code used more than 1 s of processor time" == heard.lost.reason


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


async def test_unlinked_files_that_are_only_mapped_count_too(kernel: Kernel) -> None:
    """One mapped page keeps a whole deleted file on the disk, without any descriptor."""
    code = (
        "import os, time\nf = open('gone', 'w+b'); f.write(b'x' * 90_000_000); f.flush()\n"
        "import ctypes\nlibc = ctypes.CDLL(None)\nlibc.mmap.restype = ctypes.c_void_p\n"
        "libc.mmap(None, ctypes.c_size_t(4096), 1, 1, f.fileno(), ctypes.c_long(0))\n"
        "os.unlink('gone'); f.close(); time.sleep(60)"
    )
    heard = await say(kernel, code)
    assert heard.lost is not None
    assert "/mnt/data took more than" in heard.lost.reason


async def test_disk_space_cannot_be_taken_faster_than_it_is_looked_at(
    kernel: Kernel, data: Path
) -> None:
    """Code that knows how still needs the time to write: what is there in the end is near the quota."""
    code = (
        "import ctypes, os\nlibc = ctypes.CDLL(None)\n"
        "for n in range(40):\n"
        "    f = os.open(f'f{n}', os.O_CREAT | os.O_WRONLY)\n"
        "    libc.fallocate(f, 0, ctypes.c_long(0), ctypes.c_long(1 << 29))\n"
        "import time; time.sleep(1)"
    )
    await say(kernel, code)
    taken = measure(data)
    assert taken is not None
    assert taken.bytes < 1 << 29


async def test_a_hard_link_takes_no_room(kernel: Kernel) -> None:
    """A file with three names is on the disk once."""
    code = (
        "import os, time\nopen('one', 'wb').write(b'x' * 40_000_000)\n"
        "os.link('one', 'two'); os.link('one', 'three'); time.sleep(1)\nprint('all is well')"
    )
    assert "all is well\n" == (await say(kernel, code)).text


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


async def test_files_that_the_host_lends_leave_room_for_the_code_s_own(
    kernel: Kernel, data: Path
) -> None:
    """Large input files neither end the session nor use up what the code may store."""
    await say(kernel, "1")
    kernel.lend(Footprint(90_000_000, 1))
    (data / "input").write_bytes(b"x" * 90_000_000)
    code = "import time\nopen('own', 'wb').write(b'x' * 40_000_000); time.sleep(1.5)\nprint('all is well')"
    assert "all is well\n" == (await say(kernel, code)).text
