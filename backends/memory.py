"""How much memory this process may still take, limits of control groups (containers, services) respected."""

import os
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60  # version 1 says "no limit" as a number near 2**63


def available_memory(proc: Path = _PROC, cgroups: Path = _CGROUPS) -> int:
    """Bytes that can be had without pushing others out; what the system keeps as file cache counts as free.

    Args:
        proc: where the kernel tells of processes and memory.
        cgroups: where it tells of control groups.
    """
    free = _system(proc)
    return max(0, min([free, *_groups(proc, cgroups)]))


def _system(proc: Path) -> int:
    for line in _read(proc / "meminfo").splitlines():
        key, _, value = line.partition(":")
        if key == "MemAvailable":
            return int(value.split()[0]) * 1024
    pages = "SC_AVPHYS_PAGES" if "SC_AVPHYS_PAGES" in os.sysconf_names else "SC_PHYS_PAGES"
    return os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE")


def _groups(proc: Path, cgroups: Path) -> Iterator[int]:
    """What each limit above this process leaves."""
    for line in _read(proc / "self" / "cgroup").splitlines():
        _, controllers, path = (line.split(":", 2) + ["", ""])[:3]
        if controllers == "":
            for folder in _upwards(cgroups, path):
                yield from _left(folder, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            for folder in _upwards(cgroups / "memory", path):
                limit, used = "memory.limit_in_bytes", "memory.usage_in_bytes"
                yield from _left(folder, limit, used, "total_inactive_file")


def _upwards(root: Path, path: str) -> Iterator[Path]:
    """The group's folder and those above it; in a container the host's part of the path is not there."""
    folder = root / path.lstrip("/")
    while folder.is_relative_to(root):
        yield folder
        if folder == root:
            return
        folder = folder.parent


def _left(folder: Path, limit_file: str, used_file: str, cache_key: str) -> Iterator[int]:
    limit, used = _read(folder / limit_file).strip(), _read(folder / used_file).strip()
    if not limit.isdecimal() or not used.isdecimal() or int(limit) >= _UNLIMITED:
        return
    cache = 0
    for line in _read(folder / "memory.stat").splitlines():
        key, _, value = line.partition(" ")
        if key == cache_key:
            cache = int(value)
    yield int(limit) - int(used) + cache


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
