"""Tier B's parts: the guard and what it puts in force, lent users, and places for scratch space.

What code in it can reach is tried in tests/sandbox.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local_assistants.tools.code_interpreter.isolation import guard, landlock, processes, seccomp
from local_assistants.tools.code_interpreter.isolation.places import Place, Places
from local_assistants.tools.code_interpreter.isolation.seccomp import Walls
from local_assistants.tools.code_interpreter.isolation.users import Users, tasks_of, users_at_work

ABI = landlock.abi()
CONFINES_SIGNALS = ABI >= 6
UNCONFINED = 125  # the guard's exit code where it could not put confinement in force


def order(folder: Path, code: str, **changes: Any) -> dict[str, Any]:
    """What the guard is told, for a program of the engine's own user that may read everything."""
    return {
        "engine": os.getpid(),
        "user": None,
        "groups": [],
        "abi": ABI,
        "read": ["/"],
        "write": [str(folder)],
        "devices": ["/dev/null"],
        "rlimits": {"RLIMIT_CORE": 0},
        "descriptors": [],
        "filter": seccomp.build(walls=Walls.SAME_USER).hex(),
        "folder": str(folder),
        "argv": [sys.executable, "-I", "-c", code],
        "environment": {"PATH": os.defpath},
        **changes,
    }


def start(content: dict[str, Any], *inherited: int) -> subprocess.Popen[bytes]:
    """A guard with this order."""
    with guard.order(content) as descriptor:
        return subprocess.Popen(
            guard.command(descriptor),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(descriptor, *inherited),
        )


def run(content: dict[str, Any]) -> tuple[int, str, str]:
    """Exit code, output and errors of a whole sandbox."""
    process = start(content)
    output, errors = process.communicate(timeout=30)
    return process.returncode, output.decode(), errors.decode()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("print(1)", 0),
        ("import os; os._exit(3)", 3),
        ("import os; os.abort()", 134),
        ("import os; os.kill(os.getpid(), 9)", 137),
    ],
)
def test_the_guard_ends_as_its_program_did(tmp_path: Path, code: str, expected: int) -> None:
    """Exit codes in a shell's form, signals too; where signals are not confined nothing runs at all."""
    assert (expected if CONFINES_SIGNALS else UNCONFINED) == run(order(tmp_path, code))[0]


def test_without_confined_signals_nothing_runs(tmp_path: Path) -> None:
    """The guard kills by a signal to all it can reach, so it must be sure who that is: here it would be us."""
    code, output, errors = run(order(tmp_path, "print('ran')", abi=min(ABI, 5)))
    assert (UNCONFINED, "") == (code, output)
    assert "could not be put in force" in errors


def test_what_cannot_be_confined_does_not_run(tmp_path: Path) -> None:
    """A rule for a folder that is not there ends the sandbox before its program begins."""
    code, output, errors = run(order(tmp_path, "print('ran')", write=[str(tmp_path / "none")]))
    assert (UNCONFINED, "") == (code, output)
    assert "none" in errors


_DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(60)
    os._exit(0)
os.wait()
print("left", flush=True)
{then}
"""


@pytest.mark.parametrize("which", ["first", "second"])
def test_daemons_end_when_one_of_two_guards_is_killed(tmp_path: Path, which: str) -> None:
    """SIGKILL, as from an operator or a system out of memory, leaves the other to do the work of both."""
    end, held = os.pipe()
    process = start(
        order(tmp_path, _DAEMON.format(then="time.sleep(60)"), descriptors=[held]), held
    )
    os.close(held)
    assert process.stdout is not None
    if CONFINES_SIGNALS:
        assert b"left\n" == process.stdout.readline()
        (second,) = processes.children(process.pid)
        os.kill(process.pid if which == "first" else second, signal.SIGKILL)
    process.communicate(timeout=30)
    assert b"" == os.read(end, 1)
    os.close(end)


@pytest.mark.parametrize("then", ["", "time.sleep(60)"], ids=["it ends", "it is ended"])
def test_daemons_end_with_their_sandbox(tmp_path: Path, then: str) -> None:
    """Whoever left the program and its session is found all the same: the pipe he holds is closed."""
    end, held = os.pipe()
    content = order(tmp_path, _DAEMON.format(then=then), descriptors=[held])
    process = start(content, held)
    os.close(held)
    assert process.stdout is not None
    if then and CONFINES_SIGNALS:
        assert b"left\n" == process.stdout.readline()
        process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert b"" == os.read(end, 1)
    os.close(end)


def test_a_guard_whose_engine_is_gone_starts_nothing(tmp_path: Path) -> None:
    """It was told who its engine is; its parent is another one."""
    code, output, _ = run(order(tmp_path, "print('ran')", engine=os.getppid()))
    assert (UNCONFINED, "") == (code, output)


def test_a_user_is_lent_once() -> None:
    """Two lenders, as of two engines of one host, never lend the same; what is given back is free."""
    one, other = Users(), Users()
    first, second = one.lend(), other.lend()
    assert not {first.identity.uid, first.keeper} & {second.identity.uid, second.keeper}
    wanted = first.identity.uid
    third = other.lend(wanted)
    assert wanted != third.identity.uid
    one.give_back(first)
    again = other.lend(wanted)
    assert wanted == again.identity.uid
    for lent in (second, third, again):
        other.give_back(lent)


def test_lent_users_are_nobodys() -> None:
    """No process and no name is theirs, so that killing all that is theirs hits nobody."""
    users = Users()
    lent = users.lend()
    users.give_back(lent)
    assert not {lent.identity.uid, lent.keeper} & users_at_work()
    assert os.geteuid() in users_at_work()
    assert tasks_of(os.geteuid()) >= 1


def test_places_hold_input_files_and_empty_scratch_space(tmp_path: Path) -> None:
    """Each program begins anew: what the one before left in /tmp is gone."""
    places = Places()
    place = places.make(tmp_path, None)
    place.fill({"/run/kernel/launch.json": b"{}"}, [])
    (place.temporary / "left").write_text("x")
    place.fill({"/run/probe.py": b"pass"}, [])
    assert [] == list(place.temporary.iterdir())
    assert ["probe.py"] == [each.name for each in place.inputs.iterdir()]
    assert tmp_path == place.data.resolve()
    places.remove(place, tmp_path)
    assert tmp_path.is_dir()
    assert not place.folder.exists()


def test_places_of_engines_that_were_killed_are_removed(tmp_path: Path) -> None:
    """The next engine removes what has no owner any more, and nothing of one that lives."""
    code = (
        "import os\nfrom pathlib import Path\n"
        "from local_assistants.tools.code_interpreter.isolation.places import Places\n"
        f"print(Places().make(Path({str(tmp_path)!r}), None).folder, flush=True)\n"
        "os.kill(os.getpid(), 9)"
    )
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=path, check=False
    )
    abandoned = Path(done.stdout.strip())
    assert abandoned.is_dir()
    alive = Places().make(tmp_path, None)
    Places()
    assert not abandoned.parent.exists()
    assert alive.folder.is_dir()


def test_a_place_follows_its_folder(tmp_path: Path) -> None:
    """A folder that was renamed is found behind the same link."""
    place: Place = Places().make(tmp_path / "before", None)
    (tmp_path / "after").mkdir()
    place.point_to(tmp_path / "after")
    assert tmp_path / "after" == place.data.resolve()


def test_orders_are_read_once_and_by_nobody_else(tmp_path: Path) -> None:
    """Command lines are for everyone to see: the order is in a descriptor."""
    with guard.order(order(tmp_path, "secret")) as descriptor:
        assert "secret" not in " ".join(guard.command(descriptor))
        assert "secret" in json.loads(os.read(descriptor, 1 << 20))["argv"]
