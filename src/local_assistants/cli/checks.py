"""What `doctor` looks at: one function a check, each saying what it saw and what mends it.

Looks only: it installs nothing, starts no model, and leaves nothing behind but what the sandbox's own
probe writes and removes.
"""

import asyncio
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from local_assistants import catalogue, embedders, model_store, paths
from local_assistants.cli import model_checks
from local_assistants.engine.errors import AssistantsError, InvalidRequest, MissingDependency
from local_assistants.settings_file import read_settings_file

GB = 1_000_000_000
ROOM_WANTED = 3 * GB
"""Free bytes for the default model while it is put together; enough for a first store beside it."""
MEMORY_WANTED = 3 * GB
"""Free bytes for the default model, the embedder and one kernel."""

# Import name → distribution. Only asked for their version: importing torch alone takes seconds.
PACKAGES = {
    "chromadb": "the vector index of file search",
    "sentence-transformers": "the embedder of file search",
    "torch": "the embedder's arithmetic",
    "pypdf": "reading PDF files",
    "jupyter_client": "talking to the code interpreter's kernels",
}


@dataclass(frozen=True)
class Check:
    """The outcome of one check.

    Attributes:
        name: what was looked at.
        ok: whether it is as it should be.
        needed: whether the product's main job fails without it; else it is advice.
        detail: what was seen.
        mend: the command that mends it, empty when there is nothing to mend.
    """

    name: str
    ok: bool
    needed: bool
    detail: str
    mend: str = ""


def every_check(data: Path, settings_file: Path | None) -> Iterator[Check]:
    """All checks, in the order in which one would mend them; a later one may depend on an earlier.

    Args:
        data: the server's data folder.
        settings_file: the server's settings file, if it has one.
    """
    yield python()
    llama = llama_cpp()
    yield llama
    yield compiler(needed=not llama.ok)
    yield from packages()
    yield bubblewrap()
    yield interpreter()
    yield from settings(settings_file)
    yield sandbox(data, settings_file)
    yield from models()
    yield embedder(settings_file)
    yield gpu()
    yield room("cache", paths.cache_root(), ROOM_WANTED)
    yield writable(data)
    yield memory()


def python() -> Check:
    """The Python that runs this."""
    ok = sys.version_info >= (3, 11)
    detail = f"{platform.python_version()} at {sys.executable}"
    return Check("python", ok, True, detail, "" if ok else "apt-get install python3 python3-venv")


def compiler(*, needed: bool) -> Check:
    """A C++ compiler, for building llama-cpp-python."""
    found = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    detail = found or "none on the PATH" + ("" if needed else ", and none is needed now")
    return Check(
        "compiler", bool(found), needed, detail, "" if found else "apt-get install gcc g++"
    )


def llama_cpp() -> Check:
    """The model runtime, imported in a process of its own: a wheel for another CPU dies on import."""
    done = subprocess.run(
        [sys.executable, "-c", "import llama_cpp; print(llama_cpp.__version__)"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode == 0:
        return Check("llama-cpp-python", True, True, done.stdout.strip())
    last = (done.stderr.strip().splitlines() or [f"import ended with {done.returncode}"])[-1]
    return Check(
        "llama-cpp-python", False, True, last, "./scripts/setup (it builds it for this machine)"
    )


def packages() -> Iterator[Check]:
    """The heavy packages, by their installed version."""
    for name, purpose in PACKAGES.items():
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            mend = f"{sys.executable} -m pip install {name}"
            yield Check(name, False, True, f"not installed; it is {purpose}", mend)
        else:
            yield Check(name, True, True, version)


def bubblewrap() -> Check:
    """The program that isolates model-written code best; `sandbox` tells what there is without it."""
    from local_assistants.tools.code_interpreter.isolation.bubblewrap import find_bubblewrap

    found = find_bubblewrap()
    if found is None:
        return Check("bubblewrap", False, False, "not found", "apt-get install bubblewrap")
    return Check("bubblewrap", True, False, f"{found.path} ({found.origin})")


def interpreter() -> Check:
    """The environment that model-written code runs in."""
    from local_assistants.tools.code_interpreter import environment

    found = environment.find(paths.interpreter_root())
    if found is None:
        detail = f"none, or an unfinished one, in {paths.interpreter_root()}"
        return Check("interpreter", False, True, detail, "local-assistants interpreter install")
    seen = f"{found.kind}, {len(found.packages)} packages in {found.prefix}"
    if not found.current:
        mend = "local-assistants interpreter install" + (" --full" if found.kind == "full" else "")
        return Check("interpreter", False, False, f"{seen}, from an older list", mend)
    return Check("interpreter", True, True, seen)


def sandbox(data: Path, settings_file: Path | None) -> Check:
    """Whether code can be isolated here, tried: a program and a kernel inside say what they could reach."""
    from local_assistants.cli.sandbox import code_settings
    from local_assistants.tools.code_interpreter import environment, selftest

    try:
        settings = code_settings(data, settings_file)
    except InvalidRequest as error:
        detail = f"not tried, the settings file is wrong: {error.message}"
        return Check("sandbox", False, True, detail, "mend the settings file")
    found = environment.find(settings.environment)
    if found is None:
        mend = "local-assistants interpreter install"
        return Check("sandbox", False, True, "not tried, it needs the interpreter", mend)
    report = asyncio.run(selftest.survey(settings, found))
    return Check("sandbox", report.sandbox is not None, True, report.text, report.mend)


def settings(file: Path | None) -> Iterator[Check]:
    """The settings file, where the server has one."""
    if file is None:
        return
    try:
        read_settings_file(file.expanduser())
    except InvalidRequest as error:
        mend = "docs/settings-file.md explains every key"
        yield Check("settings file", False, True, error.message, mend)
    else:
        yield Check("settings file", True, True, str(file))


def models() -> Iterator[Check]:
    """At least one chat model, whether each could be loaded, and those that the environment names."""
    there = False
    for name, path, found in model_checks.installed_verdicts():
        there = True
        mend = "" if found.ok else model_checks.mend(name, path)
        yield Check(f"model {name}", found.ok, False, f"{path}: {found.text}", mend)
    for name, found in model_checks.configured_verdicts():
        there = True
        yield Check(f"served {name}", found.ok, True, found.text)
    if not there:
        mend = f"local-assistants models pull {catalogue.DEFAULT}"
        yield Check("model", False, True, "no chat model is here", mend)


def gpu() -> Check:
    """GPUs, which are not needed."""
    return Check("gpu", True, False, model_checks.gpu_line())


def embedder(settings_file: Path | None) -> Check:
    """The embedding model that a server with these settings and this environment would use."""
    entry = catalogue.embedder()
    mend = f"local-assistants models pull {entry.key}"
    try:
        path = embedders.check_embedder(_embedder_name(settings_file))
    except MissingDependency as error:
        return Check("embedder", False, True, str(error), mend)
    except AssistantsError as error:
        return Check("embedder", False, True, str(error), "name one that is here")
    found = next((each for each in model_store.installed() if each.path == path), None)
    if found is not None and found.entry is entry and found.bytes != entry.bytes:
        return Check("embedder", False, True, f"{path} is not whole", f"rm -r '{path}' && {mend}")
    return Check("embedder", True, True, str(path))


def _embedder_name(settings_file: Path | None) -> str | None:
    """What the environment says, else the settings file; one that cannot be read has a check of its own."""
    named = os.environ.get("LOCAL_ASSISTANTS_EMBEDDER")
    if named or settings_file is None:
        return named or None
    try:
        return read_settings_file(settings_file.expanduser()).file_search.get("model")
    except InvalidRequest:
        return None


def room(name: str, folder: Path, wanted: int) -> Check:
    """Free room on the disk that holds `folder`, in bytes."""
    existing = _nearest_existing(folder)
    free = shutil.disk_usage(existing).free
    ok = free >= wanted
    detail = f"{free / GB:.1f} GB free for {folder}"
    mend = (
        ""
        if ok
        else f"free {wanted / GB:.0f} GB there, or set LOCAL_ASSISTANTS_CACHE to another disk"
    )
    return Check(f"disk ({name})", ok, False, detail, mend)


def writable(folder: Path) -> Check:
    """Whether the data folder can be written, tried with a real file in it or in its nearest parent."""
    existing = _nearest_existing(folder)
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"\0")
    except OSError as error:
        mend = f"chown -R $USER '{existing}', or give another folder with --data"
        return Check("data folder", False, True, f"{existing}: {error.strerror}", mend)
    return Check("data folder", True, True, f"{folder} can be written")


def memory() -> Check:
    """Memory that can be had now, in bytes; limits of containers count."""
    from local_assistants.backends.memory import available_memory

    free = available_memory()
    ok = free >= MEMORY_WANTED
    mend = "" if ok else "close other programs, or serve a smaller model: --model 0.5b"
    return Check("memory", ok, False, f"{free / GB:.1f} GB free", mend)


def _nearest_existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.exists())
