"""The interpreter's own Python environment: installs it, finds it, says what is in it.

Apart from the engine's, so that model-written code sees none of the engine's packages, keys or code. Installed from
pinned lists in this folder; with a folder of wheels no network is used. An interrupted installation is taken up again,
and `find` gives only a complete one: the marker file is written last.

It does not run anything in a sandbox: what it installs is chosen by us, not by a model.
"""

import hashlib
import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from ...engine.errors import MissingDependency, ServerFault

Kind = Literal["small", "full"]
INSTALL = "install the interpreter: local-assistants interpreter install"
OFFLINE = (
    "On a machine without a network, bring the packages along. Where there is one, with the same version of Python:\n"
    "  local-assistants interpreter requirements > interpreter.txt\n"
    "  pip download --no-deps -d wheels -r interpreter.txt\n"
    "and here: local-assistants interpreter install --offline wheels\n"
    "For the full set add --full to the first and to the last."
)

_MARKER = "interpreter.json"
_FONTS = "share/matplotlib-cache"
_INSTALLERS = ("pip", "setuptools")
_ROOM = Path(__file__).parent
# Package -> the name that code imports (small models write what they read), in the order a model should read
# them; the rest of the list is what these pull in.
_NOTABLE = {
    "pandas": "pandas", "numpy": "numpy", "matplotlib": "matplotlib", "seaborn": "seaborn", "scipy": "scipy",
    "scikit-learn": "sklearn", "statsmodels": "statsmodels", "sympy": "sympy", "openpyxl": "openpyxl",
    "xlsxwriter": "xlsxwriter", "xlrd": "xlrd", "python-docx": "docx", "python-pptx": "pptx", "pypdf": "pypdf",
    "pdfplumber": "pdfplumber", "reportlab": "reportlab", "pillow": "PIL", "lxml": "lxml", "beautifulsoup4": "bs4",
    "tabulate": "tabulate", "networkx": "networkx", "pyarrow": "pyarrow", "chardet": "chardet", "pyyaml": "yaml",
}  # fmt: skip


@dataclass(frozen=True)
class Environment:
    """A complete environment on disk."""

    prefix: Path
    base: Path  # sys.base_prefix: a virtual environment does not start without it
    kind: Kind
    digest: str  # of the pinned list it was made from
    packages: Mapping[str, str]  # canonical name -> version

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.prefix / "bin" / "python"

    @property
    def current(self) -> bool:
        """Whether it was made from the list that is pinned today; an older one works, with older packages."""
        return self.digest == digest(self.kind)

    def font_caches(self) -> list[Path]:
        """Matplotlib's prebuilt font lists; without one, each cold kernel builds its own."""
        return sorted((self.prefix / _FONTS).glob("fontlist-*.json"))

    def describe(self) -> str:
        """The notable packages in one line, for the tool's description."""
        return ", ".join(module for name, module in _NOTABLE.items() if name in self.packages)


def requirements(kind: Kind) -> Path:
    """The pinned list of an environment, also good for `pip download -r`."""
    return _ROOM / f"interpreter-{kind}.txt"


def digest(kind: Kind) -> str:
    """What tells one pinned list from another."""
    return hashlib.sha256(requirements(kind).read_bytes()).hexdigest()


def find(target: Path) -> Environment | None:
    """The complete environment at `target`, or None when there is none or it was interrupted."""
    try:
        found = json.loads((target / _MARKER).read_text())
        environment = Environment(
            prefix=target.resolve(),
            base=Path(found["base"]),
            kind=found["kind"],
            digest=found["digest"],
            packages=found["packages"],
        )
    except (OSError, ValueError, KeyError):
        return None
    # A Python that was upgraded or removed leaves the link of the environment dangling.
    return environment if environment.python.exists() and environment.base.is_dir() else None


def install(
    target: Path, *, wheels: Path | None = None, small: bool = True, progress: Callable[[str], None]
) -> Environment:
    """Make or complete the environment at `target`; a finished, current one is left as it is.

    Args:
        target: the folder of the virtual environment; nothing else may live in it.
        wheels: take packages from this folder only, without a network.
        small: the set for a quick start is enough; a full one that is there stays.
        progress: told each stage in a few words.

    Raises:
        MissingDependency: a package cannot be got; the message holds the installer's last lines.
        ServerFault: the folder cannot be written, or the new environment does not work.
    """
    kind: Kind = "small" if small else "full"
    existing = find(target)
    if existing is not None and existing.current and existing.kind in (kind, "full"):
        progress(f"the interpreter ({existing.kind}) is installed in {target}")
        return existing
    (target / _MARKER).unlink(missing_ok=True)
    try:
        target.mkdir(parents=True, exist_ok=True)
        _make(target, progress, complete=existing is not None)
        _fill(target, kind, wheels, progress)
        _warm(target, progress)
        _mark(target, kind)
    except MissingDependency as error:
        if existing is not None and _put_back(existing):
            kept = f"The {existing.kind} set that was there is still in use."
            raise MissingDependency(f"{error.message}\n{kept}") from error
        raise
    except OSError as error:
        raise ServerFault(f"the interpreter cannot be installed in {target}: {error}") from error
    made = find(target)
    if made is None:
        raise ServerFault(
            f"the interpreter in {target} does not work; delete the folder and install again"
        )
    progress(f"the interpreter ({kind}, {len(made.packages)} packages) is ready in {target}")
    return made


def _make(target: Path, progress: Callable[[str], None], *, complete: bool) -> None:
    python = target / "bin" / "python"
    if python.exists() and _runs(python):
        if not complete:
            progress("going on with an installation that was interrupted")
        return
    progress("making the interpreter's environment")
    uv = _uv()
    if uv is not None:
        _call([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(target)])
    else:
        _call([sys.executable, "-m", "venv", "--clear", str(target)])


def _fill(target: Path, kind: Kind, wheels: Path | None, progress: Callable[[str], None]) -> None:
    progress(f"installing the {kind} set of packages" + (f" from {wheels}" if wheels else ""))
    offline = ["--no-index", "--find-links", str(wheels)] if wheels else []
    # --no-deps: the list is the whole closure but debugpy, which ipykernel names and a sandbox has no use for.
    pinned = ["--no-deps", *offline, "-r", str(requirements(kind))]
    _call([*_installer(str(target / "bin" / "python")), *pinned])


def _installer(python: str) -> list[str]:
    """uv where there is one; else the environment's pip, which one that uv had made lacks at first."""
    uv = _uv()
    if uv is not None:
        return [uv, "pip", "install", "--quiet", "--python", python]
    if subprocess.run([python, "-c", "import pip"], capture_output=True, check=False).returncode:
        _call([python, "-m", "ensurepip", "--default-pip"])
    return [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]


def _put_back(existing: Environment) -> bool:
    """Take the environment for what it was, if the installer has changed nothing in it."""
    found = _look(existing.prefix)
    packages = [
        {name: version for name, version in each.items() if name not in _INSTALLERS}
        for each in (existing.packages, found["packages"])
    ]
    if packages[0] != packages[1]:
        return False
    _write_marker(existing.prefix, existing.kind, existing.digest, found)
    return True


def _warm(target: Path, progress: Callable[[str], None]) -> None:
    """Compile all modules and build the font cache, which a read-only environment could not keep."""
    progress("compiling modules and building the font cache")
    python = str(target / "bin" / "python")
    _call([python, "-m", "compileall", "-q", "-j", "0", str(target / "lib")], may_fail=True)
    _call([python, "-c", "import matplotlib.pyplot"], MPLCONFIGDIR=str(target / _FONTS))
    # Sandboxes of a root engine run as another user, who must be able to read all this whatever the umask was.
    _call(["chmod", "-R", "a+rX", str(target)])


def _mark(target: Path, kind: Kind) -> None:
    _write_marker(target, kind, digest(kind), _look(target))


def _look(target: Path) -> dict[str, Any]:
    """What the environment says of itself: its base Python and its packages."""
    script = (
        "import sys, json, importlib.metadata as m;"
        "print(json.dumps({'base': sys.base_prefix, 'packages':"
        " {d.metadata['Name'].lower().replace('_', '-'): d.version for d in m.distributions()}}))"
    )
    said = _call([str(target / "bin" / "python"), "-I", "-c", script])
    return cast("dict[str, Any]", json.loads(said))


def _write_marker(target: Path, kind: Kind, digest: str, found: dict[str, Any]) -> None:
    partial = target / f"{_MARKER}.partial"
    partial.write_text(json.dumps({**found, "kind": kind, "digest": digest}, indent=1))
    partial.chmod(0o644)
    os.replace(partial, target / _MARKER)


def _uv() -> str | None:
    """The path of uv, from its package or the PATH."""
    try:
        return str(importlib.import_module("uv").find_uv_bin())
    except (ImportError, FileNotFoundError):
        return shutil.which("uv")


def _runs(python: Path) -> bool:
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


def _call(command: list[str], *, may_fail: bool = False, **variables: str) -> str:
    # PYTHON* of the engine (a path, a hash seed) must not leak into the new environment.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        command,
        env=inherited | variables,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0 and not may_fail:
        tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-8:])
        raise MissingDependency(
            f"installing the interpreter failed at `{' '.join(command[:4])} ...`:\n{tail}\n{OFFLINE}"
        )
    return done.stdout
