"""How much memory can be had, on machines and in containers made up of files."""

from pathlib import Path

import pytest

from local_assistants.backends.memory import available_memory

MIB = 1 << 20


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine with 8 GiB to be had: proc/ and cgroup/ in this folder."""
    put(tmp_path / "proc" / "meminfo", "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n")
    (tmp_path / "cgroup").mkdir()
    return tmp_path


def put(file: Path, text: str) -> None:
    """Write a file, its folders with it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def seen(machine: Path) -> int:
    """Available MiB."""
    return available_memory(machine / "proc", machine / "cgroup") // MIB


def limit_v2(folder: Path, limit: str, used: int, cache: int) -> None:
    """A control group of version 2."""
    put(folder / "memory.max", f"{limit}\n")
    put(folder / "memory.current", f"{used}\n")
    put(folder / "memory.stat", f"anon 5\nfile 7\ninactive_file {cache}\n")


def test_without_limits_it_is_the_system_s(machine: Path) -> None:
    """As the kernel estimates it."""
    assert 8192 == seen(machine)


def test_a_container_s_limit_counts(machine: Path) -> None:
    """What is used is taken off, what the file cache holds is not."""
    put(machine / "proc" / "self" / "cgroup", "0::/\n")
    limit_v2(machine / "cgroup", str(2048 * MIB), 1024 * MIB, 512 * MIB)
    assert 1536 == seen(machine)


def test_the_tightest_limit_above_counts(machine: Path) -> None:
    """A service in a slice has that of the slice, too."""
    put(machine / "proc" / "self" / "cgroup", "0::/user.slice/app.service\n")
    limit_v2(machine / "cgroup" / "user.slice" / "app.service", "max", 3 * MIB, 0)
    limit_v2(machine / "cgroup" / "user.slice", str(100 * MIB), 40 * MIB, 0)
    assert 60 == seen(machine)


def test_limits_of_version_1(machine: Path) -> None:
    """In a container the host's part of the path is not there: the root's limit is the container's."""
    put(machine / "proc" / "self" / "cgroup", "4:memory:/docker/0de114\n3:cpuset:/docker/0de114\n")
    memory = machine / "cgroup" / "memory"
    put(memory / "memory.limit_in_bytes", f"{1000 * MIB}\n")
    put(memory / "memory.usage_in_bytes", f"{900 * MIB}\n")
    put(memory / "memory.stat", f"cache 1\ntotal_inactive_file {50 * MIB}\n")
    assert 150 == seen(machine)


def test_no_limit_of_version_1_is_a_huge_number(machine: Path) -> None:
    """Which is not one."""
    put(machine / "proc" / "self" / "cgroup", "4:memory:/\n")
    put(machine / "cgroup" / "memory" / "memory.limit_in_bytes", "9223372036854771712\n")
    put(machine / "cgroup" / "memory" / "memory.usage_in_bytes", "1000\n")
    assert 8192 == seen(machine)


def test_a_limit_that_is_passed_leaves_nothing(machine: Path) -> None:
    """And no negative number."""
    put(machine / "proc" / "self" / "cgroup", "0::/\n")
    limit_v2(machine / "cgroup", str(10 * MIB), 20 * MIB, 0)
    assert 0 == seen(machine)


def test_files_of_another_form_are_passed_over(machine: Path) -> None:
    """The kernel may write what it likes."""
    put(machine / "proc" / "self" / "cgroup", "nonsense\n0::/../../etc\n")
    put(machine / "cgroup" / "memory.max", "a lot\n")
    assert 8192 == seen(machine)


def test_this_machine_has_some() -> None:
    """The real files are understood."""
    assert available_memory() > 16 * MIB
