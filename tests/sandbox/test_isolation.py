"""Code in the sandbox tries to get out. One property a test; a program alone, a kernel where it matters."""

import os
import socket
from pathlib import Path

import pytest

from local_assistants.tools.code_interpreter.environment import Environment
from local_assistants.tools.code_interpreter.isolation import probe
from local_assistants.tools.code_interpreter.isolation.bubblewrap import Sandbox
from local_assistants.tools.code_interpreter.kernels.kernel import Kernel

from .room import ask, say


async def test_every_check_of_the_self_test_holds(sandbox: Sandbox) -> None:
    """The boot self-test passes as a whole."""
    outcome = await probe.checks(sandbox)
    assert [] == [check.name for check in outcome if not check.passed]
    assert len(outcome) >= 12


async def test_no_connection_leaves(sandbox: Sandbox) -> None:
    """AF_INET has nowhere to go."""
    heard = await ask(
        sandbox, "import socket; socket.create_connection(('192.0.2.1', 80), timeout=2)"
    )
    assert "OSError" == heard.error
    assert heard.failure is not None
    assert "unreachable" in heard.failure.message


async def test_host_loopback_is_out_of_reach(sandbox: Sandbox) -> None:
    """A server of the host's loopback is not there."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        heard = await ask(
            sandbox, f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)"
        )
    assert "ConnectionRefusedError" == heard.error


async def test_abstract_unix_sockets_of_the_host_are_out_of_reach(sandbox: Sandbox) -> None:
    """Abstract names belong to the network namespace."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(b"\0local-assistants-test")
        server.listen(1)
        code = "import socket; socket.socket(socket.AF_UNIX).connect(b'\\0local-assistants-test')"
        heard = await ask(sandbox, code)
    assert "ConnectionRefusedError" == heard.error


@pytest.mark.parametrize(
    "family", [40, 17, 38, 31], ids=["AF_VSOCK", "AF_PACKET", "AF_ALG", "AF_BLUETOOTH"]
)
async def test_other_socket_families_are_refused(sandbox: Sandbox, family: int) -> None:
    """Families that no namespace covers, or that only widen the kernel's attack surface."""
    heard = await ask(sandbox, f"import socket; socket.socket({family}, socket.SOCK_SEQPACKET)")
    assert "OSError" == heard.error
    assert heard.failure is not None
    assert "Address family not supported" in heard.failure.message


async def test_secrets_of_the_engine_are_not_in_any_environment(
    monkeypatch: pytest.MonkeyPatch, kernel: Kernel
) -> None:
    """Neither the kernel's nor its parent's environment carries a variable of the engine's."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    code = (
        "import os, glob\n"
        "texts = [repr(dict(os.environ))]\n"
        "for path in glob.glob('/proc/[0-9]*/environ') + glob.glob('/proc/[0-9]*/cmdline'):\n"
        "    try: texts.append(open(path).read())\n"
        "    except OSError: pass\n"
        "print(len(texts) > 3, any('very-secret' in text for text in texts))"
    )
    assert "True False\n" == (await say(kernel, code)).text


@pytest.mark.parametrize(
    "path", ["/etc/shadow", "/etc/hostname", "/var", "/root/.bashrc", "/sys", "/run/user"]
)
async def test_files_of_the_host_are_not_there(sandbox: Sandbox, path: str) -> None:
    """The root holds what was put there and nothing else."""
    assert "False\n" == (await ask(sandbox, f"import os; print(os.path.lexists({path!r}))")).text


async def test_the_home_of_the_engine_user_shows_nothing_of_his(
    sandbox: Sandbox, environment: Environment
) -> None:
    """Even when the interpreter lies below that home, only the way to it is there."""
    home = Path.home()
    ways = [
        folder.relative_to(home).parts[0]
        for folder in (environment.prefix, environment.base)
        if folder.is_relative_to(home)
    ]
    heard = await ask(
        sandbox,
        f"import os\nprint(*(os.listdir({str(home)!r}) if os.path.exists({str(home)!r}) else ()))",
    )
    assert sorted(set(ways)) == sorted(heard.text.split())


@pytest.mark.parametrize(
    "folder", ["/", "/usr/bin", "/etc", "/dev", "sys.prefix", "sys.base_prefix"]
)
async def test_the_system_cannot_be_written(sandbox: Sandbox, folder: str) -> None:
    """Only /mnt/data, /tmp, /dev/shm and the home take files."""
    where = folder if folder.startswith("sys.") else repr(folder)
    heard = await ask(sandbox, f"import sys, os\nopen(os.path.join({where}, 'planted'), 'w')")
    assert heard.error in ("OSError", "PermissionError")


async def test_global_kernel_parameters_cannot_be_written(sandbox: Sandbox) -> None:
    """core_pattern would run code as root on the host."""
    heard = await ask(sandbox, "open('/proc/sys/kernel/core_pattern', 'w')")
    assert heard.error in ("PermissionError", "OSError", "FileNotFoundError")


async def test_processes_of_the_host_are_invisible(sandbox: Sandbox) -> None:
    """The process list is short and starts at the sandbox's own first process."""
    heard = await ask(
        sandbox, "import os; print(sum(name.isdigit() for name in os.listdir('/proc')))"
    )
    assert int(heard.text) <= 4


async def test_the_engine_cannot_be_signalled(sandbox: Sandbox) -> None:
    """Its pid means nothing inside, where numbers are small."""
    assert os.getpid() > 64
    heard = await ask(sandbox, f"import os; os.kill({os.getpid()}, 0)")
    assert "ProcessLookupError" == heard.error


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("unshare", "0x10000000"),
        ("setns", "0, 0"),
        ("chroot", "b'/tmp'"),
        ("ptrace", "0, 0, 0, 0"),
        ("mount", "b'none', b'/tmp', b'no-such-type', 0, None"),
        ("syscall", "425, 8, 0"),  # io_uring_setup: one number on both machines
        ("personality", "0x0040000"),
    ],
)
async def test_dangerous_system_calls_are_refused(
    sandbox: Sandbox, call: str, arguments: str
) -> None:
    """The filter answers EPERM before the kernel of the operating system looks at them."""
    code = (
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        f"print(libc.{call}({arguments}), ctypes.get_errno())"
    )
    assert "-1 1\n" == (await ask(sandbox, code)).text


async def test_the_program_has_no_capability(sandbox: Sandbox) -> None:
    """Effective, permitted and bounding sets are empty."""
    code = (
        "print({line.split()[1] for line in open('/proc/self/status') if line.startswith('Cap')})"
    )
    assert "{'0000000000000000'}\n" == (await ask(sandbox, code)).text


async def test_a_root_engine_does_not_lend_its_uid(kernel: Kernel, data: Path) -> None:
    """What code writes belongs to an ordinary user of the host, never to root."""
    await say(kernel, "open('mine.txt', 'w').write('x')")
    assert 0 != (data / "mine.txt").stat().st_uid


async def test_no_file_of_the_engine_is_inherited(kernel: Kernel, tmp_path: Path) -> None:
    """A descriptor that the engine left inheritable does not slip in."""
    with (tmp_path / "secret").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        code = (
            "import os\n"
            "paths = [f'/proc/self/fd/{n}' for n in os.listdir('/proc/self/fd')]\n"
            "ends = [os.readlink(path) for path in paths if os.path.islink(path)]\n"  # not that of the listing itself
            "print([end for end in ends if end.endswith('secret')])"
        )
        assert "[]\n" == (await say(kernel, code)).text
