"""What to say where the sandbox refuses something: the limit that was met, or what does not work in its tier.

Pure: an error and facts in, one line out. It sees what Python says of a refusal, not the refusal itself, so it speaks
up only where the words leave no doubt.
"""

import re
from collections.abc import Sequence

from ..isolation.limits import MIB, Limits
from ..kernels.outputs import Failure

_INSTALLING = re.compile(
    r"^\s*[!%]\s*(?:\S*python3?\s+-m\s+)?(?:pip3?|conda|mamba|apt|apt-get)\b"
    r"|['\"]pip3?['\"]|\bpip3? install\b",
    re.MULTILINE,
)
_DATA_PATH = re.compile(r"'/mnt(?:/data/?([^']*))?'")
_SEVERAL = ("multiprocessing", "concurrent/futures/process")  # in a traceback
_STARTING = re.compile(r"_execute_child|fork_exec|os\.fork\(|Popen\(|start_new_thread|posix_spawn")


def hint(failure: Failure, limits: Limits, *, tier: str, files: Sequence[str]) -> str:
    """What was refused and what may be done instead; "" when this was no refusal.

    Args:
        failure: the error.
        limits: those of the session.
        tier: the sandbox's.
        files: names in /mnt/data.
    """
    said = f"{failure.name}: {failure.message}"
    advice = _of_a_limit(failure, said, limits) or (
        _of_tier_b(failure, said, files) if tier == "B" else ""
    )
    return f"Hint: {advice}" if advice else ""


def about_installing(code: str, packages: Sequence[str]) -> str:
    """What to say under code that tries to install packages; "" when it does not."""
    if not _INSTALLING.search(code):
        return ""
    return f"Hint: nothing can be installed, there is no network. Installed: {', '.join(packages)}."


def _of_a_limit(failure: Failure, said: str, limits: Limits) -> str:
    if re.match(r"_?(Array)?MemoryError", said) or "Cannot allocate memory" in said:
        return (
            f"all processes together may use {limits.memory_bytes // MIB} MiB of memory; read only the columns you "
            "need, or the file in chunks."
        )
    if "[Errno 27]" in said:
        return (
            f"a file may have at most {_size(limits.file_bytes)}, and all of /mnt/data {_size(limits.data_bytes)}; "
            "what was written of this one is cut off."
        )
    if "[Errno 28]" in said:
        return f"/tmp holds at most {_size(limits.scratch_bytes)}; write large files to /mnt/data."
    if "[Errno 24]" in said:
        return (
            f"at most {limits.open_files} files may be open; close each with: with open(...) as f"
        )
    crowded = "[Errno 11]" in said and _STARTING.search(failure.traceback)
    if crowded or "can't start new thread" in said:
        return (
            f"at most {limits.processes} processes and threads may run at once; wait for some to end before starting "
            "more."
        )
    return ""


def _of_tier_b(failure: Failure, said: str, files: Sequence[str]) -> str:
    if "out of pty devices" in said:
        return "!commands do not work here; use Python, or subprocess.run([...], capture_output=True, text=True)."
    if failure.name == "PermissionError" and any(sign in failure.traceback for sign in _SEVERAL):
        return "process pools, managers and shared memory do not work here; use a plain loop or threads."
    if failure.name == "PermissionError" and _STARTING.search(failure.traceback):
        return (
            "files of your own cannot be run as programs here; give them to an interpreter: "
            "subprocess.run([sys.executable, 'name.py'])."
        )
    if "[Errno 97]" in said:
        return "there is no network here, not even within this machine."
    path = _DATA_PATH.search(said) if failure.name == "FileNotFoundError" else None
    name = (path[1] or "").rstrip("/") if path else ""
    there = not name or any(each == name or each.startswith(f"{name}/") for each in files)
    if path and there:
        return (
            "paths to /mnt/data must be written in one piece here; as the working directory is /mnt/data, leave it "
            f"away: {(name or '.')!r}"
        )
    return ""


def _size(number: int) -> str:
    return f"{number / MIB:g} MiB"
