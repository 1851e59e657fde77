"""What code can read and write of /proc and /sys is listed here name by name: whatever else is there one day fails.

Looked for are the host's own entries, each by its path; of those that differ by a number, one.
"""

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

from .rows import Engine

_OWN = {
    *(f"/proc/sys/fs/mqueue/{name}" for name in ("msg_default", "msg_max", "msgsize_default", "msgsize_max")),
    "/proc/sys/fs/mqueue/queues_max",
    *(f"/proc/sys/kernel/{name}" for name in ("auto_msgmni", "msgmax", "msgmnb", "msgmni", "sem")),
    *(f"/proc/sys/kernel/{name}" for name in ("shm_rmid_forced", "shmall", "shmmax", "shmmni")),
    *(f"/proc/sys/kernel/{name}" for name in ("ns_last_pid", "pid_max")),
}  # fmt: skip
"""Parameters of namespaces, and so of each sandbox's own, that tier A lets be written."""
_TOLD = {
    "A": {
        "buddyinfo", "cgroups", "consoles", "cpuinfo", "crypto", "devices", "dma", "execdomains", "filesystems",
        "iomem", "ioports", "loadavg", "locks", "meminfo", "misc", "mtrr", "partitions", "softirqs", "stat", "swaps",
        "uptime", "version", "vmstat", "zoneinfo",
        "bus/input/devices", "bus/input/handlers", "bus/pci/", "sysvipc/", "tty/drivers", "tty/ldiscs", "irq/", "fs/",
        "sys/abi/", "sys/debug/", "sys/dev/", "sys/fs/", "sys/kernel/", "sys/net/", "sys/user/", "sys/vm/",
    },
    "A'": set[str](),
    "B": {"cpuinfo", "meminfo"},
}  # fmt: skip
"""What can be read below /proc: the machine's equipment and load, the kernel's parameters. A `/` means all below."""
_OF_A_PROCESS = ("self", "thread-self")  # its own; other tests look at those of others
_SYS_DEPTH = 3


def test_parameters_that_can_be_set_are_the_sandboxs_own(engine: Engine) -> None:
    """core_pattern would run code as root on the host."""
    found = _opened(engine, "os.O_WRONLY")
    assert set() == found - (_OWN if engine.tier == "A" else set())


def test_setting_them_changes_nothing_on_the_host(engine: Engine) -> None:
    """Each is given another value inside, and the host's are what they were."""
    paths = sorted(path for path in _OWN if os.path.exists(path))
    before = [_value(path) for path in paths]
    setup = (
        "def change(path):\n"
        "    value = open(path).read().split()\n"
        "    open(path, 'w').write(' '.join(str(int(each) // 2 + 1) for each in value))"
    )
    outcomes = engine.each([f"change({path!r})" for path in paths], setup)
    unchanging = {path for path in paths if path.endswith("ns_last_pid")}
    assert [
        p for p, b in zip(paths, before, strict=True) if p not in unchanging and b != _value(p)
    ] == []
    assert (engine.tier == "A") == any(outcome.startswith("done") for outcome in outcomes.values())


def test_what_can_be_read_below_proc_is_known(engine: Engine) -> None:
    """No key, no address, no command line, no other network or process is among it."""
    names = {
        path.removeprefix("/proc/")
        for path in _opened(engine, "os.O_RDONLY")
        if path.startswith("/proc")
    }
    known = tuple(name for name in _TOLD[engine.tier] if name.endswith("/"))
    assert [] == sorted(name for name in names - _TOLD[engine.tier] if not name.startswith(known))


def test_nothing_is_read_below_sys(engine: Engine) -> None:
    """But in tier B how many processors are there, of which libraries make their threads."""
    allowed = {"/sys/devices/system/cpu/online"} if engine.tier == "B" else set[str]()
    found = {path for path in _opened(engine, "os.O_RDONLY") if path.startswith("/sys")}
    assert allowed == found


def _opened(engine: Engine, flags: str) -> set[str]:
    """Those of the host's entries that a program opens with these flags."""
    setup = (
        "def opens(path):\n"
        f"    try: opened = os.open(path, {flags} | os.O_NONBLOCK)\n"
        "    except OSError: return False\n"
        "    kind = os.fstat(opened).st_rdev\n"
        "    os.close(opened)\n"
        "    return kind != os.stat('/dev/null').st_rdev  # which stands in for what a container hides"
    )
    found: set[str] = set()
    entries = list(_entries())
    for start in range(0, len(entries), 1000):
        some = entries[start : start + 1000]
        seen = engine.tries(f"[path for path in {some!r} if opens(path)]", setup)
        found |= set(ast.literal_eval(seen.removeprefix("done ")))
    return found


def _entries() -> Iterator[str]:
    """Files below /proc but for processes', and below /sys down to some depth."""
    seen = set[str]()
    for path in (
        *_below("/proc", 9),
        *_below("/sys", _SYS_DEPTH),
        "/sys/devices/system/cpu/online",
    ):
        kind = re.sub(r"\d+", "N", path)
        if kind not in seen:
            seen.add(kind)
            yield path


def _below(top: str, depth: int) -> Iterator[str]:
    for folder, folders, names in os.walk(top):
        at_top, level = folder == top, folder.count("/")
        folders[:] = [
            each for each in folders if level < depth and not (at_top and _is_a_process(each))
        ]
        yield from (f"{folder}/{name}" for name in names if not os.path.islink(f"{folder}/{name}"))


def _is_a_process(name: str) -> bool:
    return name.isdigit() or name in _OF_A_PROCESS


def _value(path: str) -> str:
    return Path(path).read_text()
