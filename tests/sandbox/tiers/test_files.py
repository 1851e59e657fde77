"""Files of the host, of the engine and of other sessions are neither read, nor changed, nor watched."""

import ast
import os
from pathlib import Path

import pytest

from .rows import Engine, breaches

HIDDEN = ("ENOENT", "EACCES", "EPERM")
UNWRITABLE = (*HIDDEN, "EROFS")
PRETENDED = ("done None", "done 0", "ENOTSUP", "ENOSYS")


def test_the_self_test_finds_the_tier_that_the_machine_offers(engine: Engine) -> None:
    """Not a lesser one because a better one broke."""
    assert engine.row.tier == engine.tier


@pytest.mark.parametrize("victim", ["secret", "file"])
def test_files_of_the_engines_user_cannot_be_read(engine: Engine, victim: str) -> None:
    """Not even those that everybody may read."""
    assert engine.escape(f"open(${victim}).read()") in HIDDEN


def test_folders_of_the_host_cannot_be_listed(engine: Engine) -> None:
    """A known path does not help."""
    assert engine.escape("os.listdir($folder)") in HIDDEN


def test_the_systems_own_files_are_hidden(engine: Engine) -> None:
    """Of the host's root only programs and libraries are there."""
    paths = [
        "/etc/shadow",
        "/etc/machine-id",
        "/var/log",
        "/var/lib",
        "/sys/kernel",
        "/boot",
        "/run/user",
        "/run/lock",
    ]
    setup = "def seen(path): return os.listdir(path) if os.path.isdir(path) else open(path).read()"
    outcomes = engine.each([f"seen({path!r})" for path in paths], setup)
    # bwrap leaves an empty folder on the way to what it binds below.
    assert {} == breaches(outcomes, (*HIDDEN, "done []"))


def test_accounts_of_the_host_are_unknown(engine: Engine) -> None:
    """/etc/passwd is one of the sandbox's own, or out of reach."""
    assert "root:" not in engine.tries("open('/etc/passwd').read()")


def test_the_way_up_from_the_data_leads_nowhere(engine: Engine) -> None:
    """Beside /mnt/data lie the engine's records of the session, and above it other sessions."""
    for way in ("..", "../..", "../../.."):
        seen = engine.tries(f"os.listdir({way!r})")
        assert not any(name in seen for name in ("other", "mounted", "session", "programs"))


def test_files_of_the_host_cannot_be_changed(engine: Engine) -> None:
    """They belong to the engine's user, or everybody may write them."""
    attempts = [
        "open($file, 'a')",
        "os.truncate($file, 0)",
        "os.close(os.open($folder + '/planted', os.O_CREAT | os.O_WRONLY))",
        "os.mkdir($folder + '/planted')",
        "os.mkfifo($folder + '/planted')",
        "os.symlink('/', $folder + '/planted')",
        "os.rename($file, $folder + '/renamed')",
        "os.unlink($file)",
        "os.link($file, 'linked')",
        "os.rename($file, 'stolen')",
        "os.close(os.open($folder, os.O_TMPFILE | os.O_WRONLY))",
        "os.open($fifo, os.O_RDWR | os.O_NONBLOCK)",
    ]
    assert {} == breaches(engine.each(attempts), (*UNWRITABLE, "EXDEV", "EOPNOTSUPP"))
    folder: str = engine.facts["folder"]
    assert ["datagram.sock", "fifo", "file.txt", "stream.sock"] == sorted(os.listdir(folder))


def test_metadata_of_the_hosts_files_cannot_be_changed(engine: Engine) -> None:
    """Mode, owner and times stay, whether a call is refused or only pretends to work."""
    attempts = [
        "os.chmod($file, 0o600)",
        "os.chown($file, -1, os.getgid())",
        "os.utime($file, (1, 1))",
        "os.setxattr($file, 'user.planted', b'x')",
        "call('fchmodat', -100, $file.encode(), 0o600, 0)",
        "system(452, os.open($file, os.O_PATH), ctypes.addressof(empty), 0o600, 0x1000)",
    ]
    before = engine.look([engine.facts["file"]])
    outcomes = engine.each(attempts, "empty = ctypes.create_string_buffer(1)")
    assert before == engine.look([engine.facts["file"]])
    assert {} == breaches(outcomes, (*UNWRITABLE, *PRETENDED))


def test_the_interpreter_cannot_be_changed(engine: Engine) -> None:
    """All sessions share it, and an engine that is no root owns it."""
    attempts = [
        "open(config, 'ab')",
        "os.close(os.open($interpreter + '/planted', os.O_CREAT | os.O_WRONLY))",
        "os.rename(config, config + '.old')",
        "os.chmod(config, 0o600)",
        "os.chmod($interpreter, 0o700)",
        "os.fchmod(opened(config), 0o600)",
        "os.utime(config, (1, 1))",
        "os.utime(opened(config), (1, 1))",
        "os.setxattr(opened(config), 'user.planted', b'x')",
    ]
    prefix = engine.facts["interpreter"]
    paths = [prefix, f"{prefix}/pyvenv.cfg", f"{prefix}/bin"]
    before = engine.look(paths)
    outcomes = engine.each(attempts, "config = $interpreter + '/pyvenv.cfg'")
    assert before == engine.look(paths)
    assert {} == breaches(outcomes, (*UNWRITABLE, *PRETENDED))


def test_the_system_cannot_be_written(engine: Engine) -> None:
    """Only the data and scratch folders take files."""
    system = ["/", "/usr", "/usr/bin", "/etc", "/dev", "/mnt", "/var/tmp", "/run", "/home", "/opt"]
    folders = [*map(repr, system), "sys.prefix", "sys.base_prefix"]
    setup = "import sys\ndef plant(folder): os.close(os.open(folder + '/planted', os.O_CREAT | os.O_WRONLY))"
    outcomes = engine.each([f"plant({folder})" for folder in folders], setup)
    assert {} == breaches(outcomes, UNWRITABLE)


def test_scratch_folders_are_the_sessions_own(engine: Engine) -> None:
    """What one session leaves in its temporary folder, no other finds."""
    setup = "import tempfile, glob\nplace = tempfile.gettempdir()"
    left = engine.tries("open(place + '/left-behind', 'w').write('x')", setup, session="one")
    assert "done 1" == left
    for place in ("place", "'/tmp'", "'/dev/shm'", "'/var/tmp'"):
        found = engine.tries(f"open({place} + '/left-behind').read()", setup, session="two")
        assert found in HIDDEN
    assert not os.path.exists("/tmp/left-behind")


def test_another_sessions_files_are_out_of_reach(engine: Engine) -> None:
    """Their path on the host is known here: nothing rests on its being a secret."""
    theirs = f"{engine.facts['other_data']}/theirs.txt"
    assert os.path.exists(theirs)
    assert engine.tries(f"open({theirs!r}).read()") in HIDDEN
    assert engine.tries(f"open({theirs!r}, 'w')") in UNWRITABLE
    assert engine.tries(f"os.listdir({engine.facts['other_data']!r})") in HIDDEN


def test_folders_of_the_host_cannot_be_watched(engine: Engine) -> None:
    """inotify asks for no more than the right to read: it would tell the names of other threads' files."""
    setup = "watcher = libc.inotify_init1(0)"
    for folder in ("$folder", "$other_data"):
        attempt = f"call('inotify_add_watch', watcher, {folder}.encode(), 0xfff)"
        assert engine.escape(attempt, setup) in (*HIDDEN, "EBADF")


def test_only_harmless_devices_are_there(engine: Engine) -> None:
    """No disk, no memory, no hypervisor, no terminal of somebody else."""
    setup = "def usable(name):\n    return outcome(lambda: os.open('/dev/' + name, os.O_RDWR | os.O_NONBLOCK))[:4]"
    nodes = sorted(path.name for path in Path("/dev").iterdir() if not path.is_dir())
    more = ["kvm", "fuse", "mem", "kmsg", "vsock", "net/tun", "userfaultfd", "loop-control"]
    attempt = f"sorted(name for name in {[*nodes, *more]!r} if usable(name) == 'done')"
    harmless = {
        "full",
        "null",
        "ptmx",
        "random",
        "tty",
        "urandom",
        "zero",
        "stdin",
        "stdout",
        "stderr",
        "fd",
    }
    seen = engine.tries(attempt, setup)
    assert seen.startswith("done [")
    assert set(ast.literal_eval(seen.removeprefix("done "))) <= harmless


def test_no_descriptor_of_the_engine_is_inherited(engine: Engine) -> None:
    """Of what the engine left open, a program has only its three streams."""
    setup = "def is_open(n):\n    return outcome(lambda: os.fstat(n))[:4] == 'done'"
    assert "done [0, 1, 2]" == engine.tries("[n for n in range(4096) if is_open(n)]", setup)


def test_secrets_are_in_no_environment(engine: Engine) -> None:
    """Neither in the program's own nor in that of a process above it."""
    setup = (
        "import glob\n"
        "def read(path):\n"
        "    try: return open(path, 'rb').read()\n"
        "    except OSError: return b''\n"
        "def texts():\n"
        "    return [repr(dict(os.environ)).encode()] + [read(path) for path in glob.glob('/proc/[0-9]*/environ')]"
    )
    assert "done False" == engine.tries("b'OPENAI_API_KEY' in b' '.join(texts())", setup)


def test_names_of_the_hosts_keys_are_hidden(engine: Engine) -> None:
    """/proc/keys lists what its reader's user holds, in a namespace, too."""
    name = engine.facts["key"]
    listing = engine.tries("open('/proc/keys').read()")
    assert name is None or name not in listing


def test_the_engines_home_is_empty(engine: Engine) -> None:
    """Even when the interpreter lies below a home, only the way to it is there."""
    home = Path.home()
    ways = {
        folder.relative_to(home).parts[0]
        for folder in (engine.environment.prefix, engine.environment.base)
        if folder.is_relative_to(home)
    }
    seen = engine.tries(f"sorted(os.listdir({str(home)!r}))")
    assert seen in (*HIDDEN, f"done {sorted(ways)}")
