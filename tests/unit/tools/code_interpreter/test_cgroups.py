"""Control groups: where they can be made, and what one does to the processes in it."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_assistants.tools.code_interpreter.isolation import cgroups
from local_assistants.tools.code_interpreter.isolation.limits import MIB, Limits

LIMITS = Limits(memory_bytes=100 * MIB, processes=20)
GREEDY = """
import mmap
input()
held = [mmap.mmap(-1, 8 << 20) for _ in range(50)]
for shared in held:
    shared.write(bytes(8 << 20))
print("had it all")
"""


@pytest.fixture
def family() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has a child of its own."""
    code = "import subprocess, time; subprocess.Popen(['sleep', '60']); print(1, flush=True); time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def mount(folder: Path, kind: str, options: str, root: str = "/") -> str:
    """A line of mountinfo."""
    return f"30 25 0:26 {root} {folder} rw,nosuid shared:9 - {kind} {kind} rw,{options}\n"


def unified(folder: Path, controllers: str, members: str) -> Path:
    """A group of the unified hierarchy, in plain files."""
    folder.mkdir(parents=True)
    (folder / "cgroup.controllers").write_text(controllers)
    (folder / "cgroup.subtree_control").write_text("")
    (folder / "cgroup.procs").write_text(members)
    return folder


def test_the_old_hierarchies_are_found_by_their_controllers(tmp_path: Path) -> None:
    """Each below the engine's own group, which is named from the root of what is mounted."""
    own = tmp_path / "memory" / "ours"
    own.mkdir(parents=True)
    (tmp_path / "pids").mkdir()
    groups = "5:memory:/docker/abc/ours\n4:pids:/\n3:cpu,cpuacct:/elsewhere\n"
    mounts = mount(tmp_path / "memory", "cgroup", "memory", "/docker/abc") + mount(
        tmp_path / "pids", "cgroup", "pids"
    )
    place = cgroups.find(groups, mounts)
    assert cgroups.Place({"memory": own, "pids": tmp_path / "pids"}, unified=False) == place
    assert place is not None
    assert "memory and pids by cgroups (version 1)" == place.text


def test_a_unified_group_of_one_s_own_is_delegated(tmp_path: Path) -> None:
    """The engine moves down, so that groups with limits may stand beside it."""
    folder = unified(tmp_path / "engine.service", "cpu io memory pids", f"{os.getpid()}\n")
    place = cgroups.find("0::/engine.service\n", mount(tmp_path, "cgroup2", "nsdelegate"))
    assert place is not None
    assert {"memory": folder, "pids": folder, "cpu": folder} == place.folders
    assert "+memory +pids +cpu" == (folder / "cgroup.subtree_control").read_text()
    (leaf,) = (each for each in folder.iterdir() if each.is_dir())
    assert str(os.getpid()) == (leaf / "cgroup.procs").read_text()


def test_a_unified_group_with_others_is_left_alone(tmp_path: Path) -> None:
    """A terminal's scope has its shell in it, which is not ours to move."""
    folder = unified(tmp_path / "session.scope", "memory pids", f"{os.getpid()}\n{os.getppid()}\n")
    before = sorted(folder.iterdir())
    assert cgroups.find("0::/session.scope\n", mount(tmp_path, "cgroup2", "nsdelegate")) is None
    assert before == sorted(folder.iterdir())
    assert "" == (folder / "cgroup.subtree_control").read_text()


@pytest.mark.parametrize("groups", ["", "0::/\n", "4:pids:/\n", "1:name=systemd:/\n0::/gone\n"])
def test_where_nothing_bounds_anything_there_is_no_place(tmp_path: Path, groups: str) -> None:
    """No controller, or no folder that can be written."""
    unified(tmp_path / "root", "hugetlb", "")
    mounts = mount(tmp_path / "root", "cgroup2", "nsdelegate") + mount(
        tmp_path / "no-such-folder", "cgroup", "pids"
    )
    assert cgroups.find(groups, mounts) is None


def test_a_group_takes_in_a_whole_family(family: subprocess.Popen[bytes]) -> None:
    """Children that were there before, too; where no group can be made there is none, and that is no error."""
    group = cgroups.enclose(family.pid, LIMITS)
    if group is None:
        assert cgroups.found() is None
        return
    inside = [len((each / "cgroup.procs").read_text().split()) for each in group.folders.values()]
    os.killpg(family.pid, signal.SIGKILL)
    family.wait()
    group.remove()
    assert {2} == set(inside)
    assert [] == [folder for folder in group.folders.values() if folder.exists()]


def test_a_group_ends_who_takes_more_memory_and_says_so() -> None:
    """What is shared counts, and the number of those who had to go is told once."""
    with subprocess.Popen(
        [sys.executable, "-c", GREEDY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        group = cgroups.enclose(process.pid, LIMITS)
        said, _ = process.communicate(b"\n")
    bounded = group is not None and group.bounds_memory
    assert (b"" if bounded else b"had it all\n") == said
    assert (-signal.SIGKILL if bounded else 0) == process.returncode
    if group is not None:
        assert (int(bounded), 0) == (group.new_kills(), group.new_kills())
        group.remove()
