"""Becomes somebody with fewer rights, then runs a program: `python become.py SETTINGS PROGRAM [ARGUMENT...]`.

SETTINGS is JSON: {"uid": number or null, "reach": [folders], "own": folder of a virtual environment that shall be
the user's or "", "masked": bool, "capabilities": [numbers] or null, "filter": seccomp program in hex or ""}.
Standard library only, one thread, no import of the project: it runs before the rights are gone. What it mounts is
seen by the program alone and ends with it.
"""

import ctypes
import json
import os
import stat
import struct
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_CLONE_NEWNS = 0x00020000
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
_MNT_DETACH = 2
_PR_SET_SECCOMP, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 22, 24, 38
_SECCOMP_MODE_FILTER = 2
_INSTRUCTION = 8  # bytes
_CAPABILITIES = 64  # as many as the set's form has room for
_OTHERS_MAY_PASS = stat.S_IXOTH

# What containers' runtimes hide of /proc and /sys (the "masked" and "read-only" paths of the OCI defaults).
_MASKED = (
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap",
    "/sys/firmware",
)  # fmt: skip
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

_libc = ctypes.CDLL(None, use_errno=True)


def main(settings: dict[str, Any], program: list[str]) -> None:
    """Give up what `settings` say and become `program`."""
    blocked = [folder for folder in settings["reach"] if blocking(Path(folder)) is not None]
    if blocked or settings["masked"] or settings["own"]:
        _call("unshare", ctypes.c_int(_CLONE_NEWNS))
        _mount(None, "/", None, _MS_PRIVATE | _MS_REC)
    if blocked:
        _make_reachable([Path(folder) for folder in blocked])
    if settings["own"]:
        _give(Path(settings["own"]), settings["uid"])
    if settings["masked"]:
        _mask()
    if settings["capabilities"] is not None:
        _keep_capabilities(settings["capabilities"])
    if settings["filter"]:
        _filter(bytes.fromhex(settings["filter"]))
    if settings["uid"] is not None:
        os.setgroups([])
        os.setresgid(*[settings["uid"]] * 3)
        os.setresuid(*[settings["uid"]] * 3)
    os.execv(program[0], program)


def blocking(path: Path) -> Path | None:
    """The topmost folder on the way to `path` that strangers may not pass, or None."""
    ways = [*reversed(path.parents), path]
    return next((way for way in ways if not way.stat().st_mode & _OTHERS_MAY_PASS), None)


def _make_reachable(folders: Sequence[Path]) -> None:
    """Show the folders at their own paths, in place of what keeps strangers from them."""
    stash = Path(tempfile.mkdtemp(prefix="become-", dir="/run"))
    _mount("none", str(stash), "tmpfs", 0)
    for number, folder in enumerate(folders):
        (stash / str(number)).mkdir()
        _mount(str(folder), str(stash / str(number)), None, _MS_BIND | _MS_REC)
    for obstacle in {blocking(folder) for folder in folders}:
        _mount("none", str(obstacle), "tmpfs", 0, "mode=0755")
    for number, folder in enumerate(folders):
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        _mount(str(stash / str(number)), str(folder), None, _MS_BIND | _MS_REC)
    _call("umount2", str(stash).encode(), ctypes.c_int(_MNT_DETACH))
    stash.rmdir()


def _give(environment: Path, uid: int) -> None:
    """Let the environment look as if the user had installed it, by a layer above it that is gone with the program."""
    layer = Path(tempfile.mkdtemp(prefix="become-", dir="/run"))
    _mount("none", str(layer), "tmpfs", 0)
    (layer / "upper").mkdir(mode=0o755)
    (layer / "work").mkdir()
    parts = f"lowerdir={environment},upperdir={layer}/upper,workdir={layer}/work"
    _mount("overlay", str(environment), "overlay", 0, parts)
    for path in (environment, environment / "bin", environment / "pyvenv.cfg"):
        os.chown(path, uid, uid)
    _call("umount2", str(layer).encode(), ctypes.c_int(_MNT_DETACH))
    layer.rmdir()


def _mask() -> None:
    for path in _MASKED:
        if os.path.isdir(path):
            _mount("none", path, "tmpfs", _MS_RDONLY)
        elif os.path.exists(path):
            _mount("/dev/null", path, None, _MS_BIND)
    for path in _READ_ONLY:
        if os.path.exists(path):
            _mount(path, path, None, _MS_BIND | _MS_REC)
            _mount(None, path, None, _MS_BIND | _MS_REMOUNT | _MS_RDONLY)


def _keep_capabilities(kept: Sequence[int]) -> None:
    """Drop all others from the bounding set; the exec to come takes them from a root, too."""
    for number in range(_CAPABILITIES):
        if number not in kept:
            _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)  # refused for numbers that are none


def _filter(program: bytes) -> None:
    if os.geteuid() != 0:
        _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HP", len(program) // _INSTRUCTION, ctypes.addressof(code))
    _call("prctl", _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header, 0, 0)


def _mount(
    source: str | None, target: str, kind: str | None, flags: int, options: str | None = None
) -> None:
    texts = [None if text is None else text.encode() for text in (source, target, kind, options)]
    _call("mount", texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3])


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}{arguments}: {os.strerror(number)}")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2:])
