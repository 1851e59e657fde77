"""Code takes all it can get: it is stopped, and neither the engine nor the thread's next call suffers."""

import pytest

from .rows import Engine

pytestmark = (
    pytest.mark.sandbox
)  # a matter of minutes; the most common ones are in test_limits.py, too

_MIB = 1024 * 1024
_LIMITS = {
    "memory_bytes": 768 * _MIB, "data_bytes": 64 * _MIB, "scratch_bytes": 64 * _MIB, "data_entries": 2500,
    "wall_seconds": 20.0, "grace_seconds": 1.0,
}  # fmt: skip
_PEAK = 100 * _MIB
"""How much an engine may grow by a bomb; what a bomb sets off in the sandbox would be ten times that."""
_CHILDREN = (
    "import os, time\nfor _ in range({count}):\n    if os.fork() == 0:\n{work}\n        time.sleep(8); os._exit(0)\n"
    "time.sleep(5)"
)

_BOMBS = {
    "one process": "x = bytearray(2 << 30)",
    "shared memory": "import mmap, time\nx = mmap.mmap(-1, 3 << 29)\nx.write(b'x' * (3 << 29)); time.sleep(4)",
    "many processes": _CHILDREN.format(count=6, work="        x = b'x' * (300 << 20)"),
    "page tables": (
        "import mmap, time\n"
        "x = mmap.mmap(-1, 1 << 40, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000, prot=mmap.PROT_READ)\n"
        "for n in range(400_000): x[n << 21]\n"
        "time.sleep(4)"
    ),
    "socket buffers": _CHILDREN.format(
        count=8,
        work=(
            "        import socket; kept = []\n"
            "        for _ in range(450):\n"
            "            pair = socket.socketpair(); kept.append(pair)\n"
            "            for end in pair:\n"
            "                end.setblocking(False)\n"
            "                try: end.send(b'x' * 200_000)\n"
            "                except OSError: pass"
        ),
    ),
    "files": (
        "import time\n"
        "for n in range(20): open(f'f{n}', 'wb').write(b'x' * (8 << 20)); time.sleep(0.1)\n"
        "time.sleep(4)"
    ),
    "deleted files": (
        "import os, time\nkept = []\n"
        "for n in range(20):\n"
        "    f = open('f', 'wb', 0); os.unlink('f'); f.write(b'x' * (8 << 20)); kept.append(f); time.sleep(0.1)\n"
        "time.sleep(4)"
    ),
    "scratch files": (
        "import os, tempfile, time\nplace = tempfile.gettempdir()\n"
        "for n in range(20):\n"
        "    with open(f'{place}/f{n}', 'wb') as f: f.write(b'x' * (8 << 20))\n"
        "    time.sleep(0.1)\n"
        "time.sleep(4)"
    ),
    "deleted scratch files": (
        "import os, tempfile, time\nkept = []\n"
        "for n in range(20):\n"
        "    f = tempfile.TemporaryFile(buffering=0); f.write(b'x' * (8 << 20)); kept.append(f); time.sleep(0.1)\n"
        "time.sleep(4)"
    ),
    "empty files": "import time\nfor n in range(20_000): open(f'f{n}', 'w').close()\ntime.sleep(4)",
    "empty scratch files": (
        "import tempfile, time\nplace = tempfile.gettempdir()\n"
        "for n in range(100_000): open(f'{place}/f{n}', 'w').close()\ntime.sleep(4)"
    ),
    "processes": "import os, time\nfor _ in range(500):\n    if os.fork() == 0: time.sleep(30)\ntime.sleep(15)",
    "processes that fork on": "import os\nwhile True: os.fork()",
    "threads": (
        "import threading, time\n"
        "for _ in range(500): threading.Thread(target=time.sleep, args=(5,)).start()\ntime.sleep(2)"
    ),
}


@pytest.mark.parametrize("bomb", list(_BOMBS))
def test_a_bomb_is_stopped(engine: Engine, bomb: str) -> None:
    """It does not come to its last line, or its surplus is ended; engine and thread keep size and interpreter."""
    engine.call("1", thread=bomb, **_LIMITS)
    before = engine.ask("state")["peak"]
    result = engine.call(f"{_BOMBS[bomb]}\nprint('sur' + 'vived')", thread=bomb, **_LIMITS)
    # A cgroup takes the processes that are too many and leaves the one that waits for them.
    trimmed = bomb == "many processes" and "ended]" in result["logs"]
    assert trimmed or "survived" not in result["logs"]
    assert engine.ask("state")["peak"] - before < _PEAK
    engine.call("import os\nfor name in os.listdir('.'): os.unlink(name)", thread=bomb, **_LIMITS)
    assert "4" in engine.call("print(2 + 2)", thread=bomb, **_LIMITS)["output"]


@pytest.mark.parametrize(
    "flood",
    [
        "print('x' * (1 << 30))",
        "for _ in range(1024): print('x' * (1 << 20))",
        "import os\nfor _ in range(1024): os.write(1, b'x' * (1 << 20))",
        "import os\nfor _ in range(1024): os.write(2, b'x' * (1 << 20))",
        "import sys\nfor _ in range(200_000): print('x'); sys.stdout.flush()",
        "from IPython.display import display\nfor _ in range(300): display({'image/png': 'A' * 4_000_000}, raw=True)",
    ],
    ids=["one string", "lines", "descriptor 1", "descriptor 2", "flushes", "pictures"],
)
def test_a_flood_of_output_does_not_fill_the_engine(engine: Engine, flood: str) -> None:
    """A gibibyte printed costs the engine little, and the next call is heard."""
    # All pictures are read before the next call is heard: a busy machine takes its time for a gigabyte of them.
    limits = {"wall_seconds": 90.0 if "display" in flood else 20.0, "grace_seconds": 1.0}
    engine.call("1", thread="flood", **limits)
    before = engine.ask("state")["peak"]
    engine.call(flood, thread="flood", **limits)
    assert engine.ask("state")["peak"] - before < _PEAK
    assert "4" in engine.call("print(2 + 2)", thread="flood", **limits)["output"]


def test_a_program_of_its_own_is_bounded_like_a_kernel(engine: Engine) -> None:
    """The file that a profile is made of may be a bomb. The memory asked for here is not touched."""
    ended = engine.run(
        "import mmap\nmmap.mmap(-1, 6 << 30, flags=mmap.MAP_PRIVATE)\nprint('survived')"
    )
    assert "Cannot allocate memory" in ended.err


def test_a_talkative_program_does_not_fill_the_engine(engine: Engine) -> None:
    """What it says beyond a mebibyte is not kept, not even while it runs."""
    before = engine.ask("state")["peak"]
    engine.run("import sys\nwhile True: sys.stdout.write('x' * 1_000_000)", seconds=3)
    assert engine.ask("state")["peak"] - before < _PEAK
