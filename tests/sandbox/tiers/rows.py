"""The rows of the matrix: who the engine is, under which rules, and which tier it must find. And how to talk to it.

Which rows this machine can offer is asked of the machine itself (bwrap run by hand, Landlock's version), not of the
code under test: a tier that broke must fail its tests and not vanish from them.
"""

import ast
import ctypes
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any, Literal

from local_assistants.tools.code_interpreter.environment import Environment
from local_assistants.tools.code_interpreter.isolation.folders import remove_tree

from . import docker
from .victims import SECRET

_HERE = Path(__file__).parent
_REPOSITORY = _HERE.parents[2]
_PRELUDE = (_HERE / "inside.py").read_text()
_STAY = "import time; print('up', flush=True); time.sleep(3600)"
_UIDS = range(64000, 64800)  # none that a root engine itself would choose
_LANDLOCK_CREATE_RULESET, _VERSION = 444, 1
_LANDLOCK_WITH_SCOPES = 6
_NAMESPACES = ("--unshare-all", "--unshare-user", "--ro-bind", "/", "/")


@dataclass(frozen=True)
class Row:
    """An engine: an ordinary user or root, under the rules of a container or none, with or without bwrap."""

    name: str
    tier: str
    plain: bool
    rules: Literal["none", "masked", "docker"] = "none"
    bwrap: bool = True


ROWS = (
    Row("A-root", "A", plain=False),
    Row("A-user", "A", plain=True),
    Row("A-masked-root", "A'", plain=False, rules="masked"),
    Row("A-masked-user", "A'", plain=True, rules="masked"),
    Row("B-root", "B", plain=False, bwrap=False),
    Row("B-user", "B", plain=True, bwrap=False),
    Row("B-docker-root", "B", plain=False, rules="docker"),
    Row("B-docker-user", "B", plain=True, rules="docker"),
)


PROBED_OFTEN = ("A-root", "A-user", "A-masked-user", "B-docker-root", "B-docker-user")
"""Rows that programs probe whenever the tests run; the others need `scripts/test --sandbox`."""
WORKED_OFTEN = ("A-user", "B-docker-user")
"""The same for what takes a kernel a test."""


def often(offered: Sequence[Row], names: Sequence[str]) -> list[Row]:
    """Those of `names` that are offered, and of a tier that would be left out, the first row."""
    chosen = [row for row in offered if row.name in names]
    for tier in ("A", "B"):
        if not any(row.tier == tier for row in chosen):
            chosen += [row for row in offered if row.tier == tier][:1]
    return chosen


@dataclass(frozen=True)
class Ended:
    """How a program in the sandbox ended."""

    code: int
    out: str
    err: str


def breaches(outcomes: Mapping[str, str], refusals: Sequence[str]) -> dict[str, str]:
    """The attempts that came to anything but one of the refusals."""
    return {attempt: came for attempt, came in outcomes.items() if came not in refusals}


class Engine:
    """An engine of a row in a process of its own, with a sandbox opened."""

    def __init__(self, row: Row, environment: Environment) -> None:
        self.row = row
        self.environment = environment
        self.folder = Path(tempfile.mkdtemp(prefix="row-", dir="/tmp"))
        uid = _plain_uid() if row.plain else None
        self.folder.chmod(0o755)
        if uid is not None:
            os.chown(self.folder, uid, uid)
        self._log = (self.folder / "engine.log").open("w+")
        self.process = subprocess.Popen(
            [*_become(row, environment), sys.executable, "-m", "tests.sandbox.tiers.host", self._settings()],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True,
            env=_variables(self.folder), cwd=_REPOSITORY,
        )  # fmt: skip
        self.hello = self._answer()
        self.facts: dict[str, Any] = self.hello.get("facts", {})

    @property
    def tier(self) -> str:
        """What the engine's self-test found; its error when there is none."""
        return str(self.hello.get("tier") or self.hello["unavailable"])

    def ask(self, do: str, **arguments: Any) -> dict[str, Any]:
        """One request to the host (see its methods)."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self.process.stdin.flush()
        answer = self._answer()
        assert "error" not in answer, answer["error"]
        return answer

    def run(self, code: str, session: str = "one", seconds: float = 30) -> Ended:
        """Run a program in the sandbox."""
        return Ended(**self.ask("run", code=_PRELUDE + code, session=session, seconds=seconds))

    def start(self, code: str, session: str = "left running") -> dict[str, Any]:
        """Run a program in the sandbox and leave it running; gives its processes on the host (`pids`)."""
        answer = self.ask("start", code=f"{_PRELUDE}{code}\n{_STAY}", session=session)
        assert "up\n" == answer["said"]
        return answer

    def tries(self, attempt: str, setup: str = "", session: str = "one") -> str:
        """The outcome of an expression in the sandbox, as `inside.outcome` gives it; `$name` stands for a fact."""
        ended = self.run(self._attempt(attempt, setup), session)
        return ended.out.strip() or f"ended with {ended.code}: {ended.err.strip()[-300:]}"

    def each(self, attempts: Sequence[str], setup: str = "") -> dict[str, str]:
        """The outcome of each attempt, all made by one program."""
        made = ", ".join(f"outcome(lambda: {attempt})" for attempt in attempts)
        ended = self.run(Template(f"{setup}\nprint([{made}])\n").substitute(self._quoted()))
        assert ended.out, f"ended with {ended.code}: {ended.err.strip()[-300:]}"
        return dict(zip(attempts, ast.literal_eval(ended.out), strict=True))

    def could(self, attempt: str, setup: str = "") -> str:
        """The same without a sandbox, to see that the attempt is one. Never as root: there it is taken for granted."""
        if self.hello["uid"] == 0:
            return "done (not tried as root)"
        ended = self.ask("control", code=_PRELUDE + self._attempt(attempt, setup))
        return str(ended["out"]).strip() or str(ended["err"])[-300:]

    def escape(self, attempt: str, setup: str = "") -> str:
        """The outcome in the sandbox of what succeeds without one, which is seen to first."""
        free = self.could(attempt, setup)
        assert free.startswith("done"), f"no attempt at all: {free}"
        return self.tries(attempt, setup)

    def call(self, code: str, thread: str = "one", **limits: Any) -> dict[str, Any]:
        """A call of the tool."""
        return self.ask("call", code=code, thread=thread, limits=limits)

    def look(self, paths: Sequence[str]) -> list[Any]:
        """Owner, mode, times and attributes of files as the engine sees them."""
        seen: list[Any] = self.ask("look", paths=list(paths))["seen"]
        return seen

    def close(self) -> None:
        """End the engine and remove what it had."""
        if self.process.poll() is None:
            assert self.process.stdin is not None
            self.process.stdin.close()
            self.process.wait(30)
        self.forget()

    def forget(self) -> None:
        """Remove the folder of an engine that is gone."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()
        self._log.close()
        remove_tree(self.folder)

    def _attempt(self, attempt: str, setup: str) -> str:
        text = f"{setup}\nprint(outcome(lambda: {attempt}))\n"
        return Template(text).substitute(self._quoted())

    def _quoted(self) -> dict[str, str]:
        return {name: repr(fact) for name, fact in self.facts.items()}

    def _settings(self) -> str:
        return json.dumps(
            {
                "folder": str(self.folder),
                "interpreter": str(self.environment.prefix),
                "bwrap": None if self.row.bwrap else "",
            }
        )

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self._log.seek(0)
            raise AssertionError(
                f"the engine of {self.row.name!r} ended: {self._log.read()[-3000:]}"
            )
        answer: dict[str, Any] = json.loads(line)
        return answer


def why_not(row: Row, environment: Environment) -> str | None:
    """Why this machine cannot offer a row, None when it can."""
    if os.geteuid() != 0 and not row.plain:
        return "only root can be a root engine"
    if os.geteuid() != 0 and row.rules == "masked":
        return "only root can mask /proc"
    entered = _tried(_become(row, environment), ["/bin/true"])
    if entered is not None:
        return f"its surroundings cannot be made: {entered}"
    if row.tier == "B":
        return _why_no_landlock(row)
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return "bwrap is not installed"
    proc = ("--proc", "/proc") if row.tier == "A" else ()
    return _tried(_become(row, environment), [bwrap, *_NAMESPACES, *proc, "/bin/true"])


def _why_no_landlock(row: Row) -> str | None:
    version = ctypes.CDLL(None).syscall(_LANDLOCK_CREATE_RULESET, None, 0, _VERSION)
    needed = _LANDLOCK_WITH_SCOPES if row.plain else 1
    return None if version >= needed else f"Landlock ABI {max(version, 0)}, {needed} is needed"


def _tried(before: Sequence[str], program: Sequence[str]) -> str | None:
    ended = subprocess.run(
        [*before, *program], capture_output=True, text=True, env=_variables(Path("/")), check=False
    )
    said = ended.stderr.strip().splitlines() or [f"code {ended.returncode}"]
    return said[-1] if ended.returncode else None


def _become(row: Row, environment: Environment) -> list[str]:
    """The command that makes of this process the engine's user under the row's rules."""
    docker_rules = row.rules == "docker"
    root = os.geteuid() == 0
    settings = {
        "uid": _plain_uid() if row.plain else None,
        # Tier B shows no folder at another place, so strangers must be able to pass to where things are.
        "reach": _needed(environment) if root and (row.plain or row.tier == "B") else [],
        "own": str(environment.prefix) if root and row.plain else "",
        "masked": root and row.rules != "none",
        "capabilities": list(docker.CAPABILITIES) if root and docker_rules else None,
        "filter": docker.program().hex() if docker_rules else "",
    }
    return [sys.executable, "-I", str(_HERE / "become.py"), json.dumps(settings)]


def _needed(environment: Environment) -> list[str]:
    """Folders without which no engine starts: the project, its Python, the interpreter's Python."""
    folders = {
        Path(sys.prefix), Path(sys.base_prefix), _REPOSITORY, environment.prefix, environment.base,
    }  # fmt: skip
    return sorted(str(folder) for folder in folders if not folder.is_relative_to("/usr"))


def _plain_uid() -> int | None:
    """The ordinary user of the tests: an unused number where root makes one, else whoever runs them."""
    if os.geteuid() != 0:
        return None
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    return next(uid for uid in _UIDS if uid not in taken)


def _variables(home: Path) -> dict[str, str]:
    paths = [str(_REPOSITORY / "src"), str(_REPOSITORY)]
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "OPENAI_API_KEY": SECRET,
    }
