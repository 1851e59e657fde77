"""System calls that lead out of namespaces, or into rarely trodden parts of the operating system's kernel."""

import platform

import pytest

from local_assistants.tools.code_interpreter.isolation.seccomp import ARCHITECTURES

from .rows import Engine, breaches

_NUMBERS = ARCHITECTURES[platform.machine()].denied
_REFUSED = (
    # others' memory and descriptors
    "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp",
    # mounts and namespaces
    "mount", "umount2", "pivot_root", "chroot", "unshare", "setns", "open_tree", "move_mount", "fsopen", "fsconfig",
    "fsmount", "fspick", "mount_setattr", "statmount", "listmount", "open_by_handle_at", "fanotify_init",
    # programs and queues inside the kernel
    "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "seccomp",
    # keys
    "add_key", "request_key", "keyctl",
    # the machine as a whole
    "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "swapon", "swapoff", "acct",
    "quotactl", "quotactl_fd", "reboot", "syslog", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex",
    "sethostname", "setdomainname", "vhangup", "nfsservctl", "lookup_dcookie",
    # memory that outlives or hides
    "shmget", "shmat", "shmctl", "shmdt", "semget", "semop", "semctl", "semtimedop", "msgget", "msgsnd", "msgrcv",
    "msgctl", "mq_open", "mq_unlink", "memfd_create", "memfd_secret",
    "personality",
)  # fmt: skip
_ONLY_X86 = (
    "iopl",
    "ioperm",
    "modify_ldt",
    "uselib",
    "create_module",
    "query_module",
    "_sysctl",
    "sysfs",
    "ustat",
)
_NAMESPACES = {
    "time": 0x80, "mount": 0x00020000, "cgroup": 0x02000000, "uts": 0x04000000, "ipc": 0x08000000,
    "user": 0x10000000, "pid": 0x20000000, "net": 0x40000000,
}  # fmt: skip
_CLONE = {"x86_64": 56, "aarch64": 220}[platform.machine()]
_CLONE3 = 435
_SIGCHLD = 17
_SIGSYS = 31


def test_dangerous_calls_are_refused_by_the_filter(engine: Engine) -> None:
    """EPERM for each, whatever its arguments are: the filter answers, the call is never looked at."""
    names = [*_REFUSED, *(_ONLY_X86 if platform.machine() == "x86_64" else ())]
    numbers = {name: _NUMBERS[name] for name in names}
    setup = "def answer(number): return outcome(lambda: system(number, *[1] * 6))"
    attempt = f"[name for name, number in {numbers!r}.items() if answer(number) != 'EPERM']"
    assert "done []" == engine.tries(attempt, setup)


def test_the_filter_is_on(engine: Engine) -> None:
    """PR_GET_SECCOMP says mode 2."""
    assert "done 2" == engine.tries("libc.prctl(21, 0, 0, 0, 0)")


def test_namespaces_cannot_be_made(engine: Engine) -> None:
    """In a user namespace of its own, code would have the rights of root over much of the kernel."""
    setup = (
        "def clone(flags):\n"
        f"    made = system({_CLONE}, flags, 0, 0, 0, 0)\n"
        "    return os._exit(0) if made == 0 else made"
    )
    attempts = [f"call('unshare', {flag})" for flag in _NAMESPACES.values()]
    # Clone takes the bit of time namespaces for a part of the signal's number.
    flags = [flag for kind, flag in _NAMESPACES.items() if kind != "time"]
    attempts += [f"clone({flag} | {_SIGCHLD})" for flag in flags]
    assert {} == breaches(engine.each(attempts, setup), ["EPERM"])


def test_flags_of_clone3_cannot_be_seen_so_there_is_none(engine: Engine) -> None:
    """They lie in memory; ENOSYS makes the C library use clone."""
    assert "ENOSYS" == engine.tries(f"system({_CLONE3}, 1, 88)")


def test_calls_that_nobody_has_reviewed_do_not_exist(engine: Engine) -> None:
    """What a newer kernel adds is not there until somebody looked at it."""
    attempt = "{outcome(lambda: system(number, *[1] * 6)) for number in range(467, 600)}"
    assert "done {'ENOSYS'}" == engine.tries(attempt)


@pytest.mark.skipif(
    platform.machine() != "x86_64", reason="other machines have one instruction set"
)
def test_calls_of_the_other_instruction_set_end_the_program(engine: Engine) -> None:
    """int 0x80 numbers calls otherwise: 26 is ptrace there."""
    code = (
        "import mmap\n"
        "page = mmap.mmap(-1, 4096, prot=7)\n"
        "page.write(b'\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3')  # getpid by int 0x80\n"
        "address = ctypes.addressof(ctypes.c_char.from_buffer(page))\n"
        "print(ctypes.CFUNCTYPE(ctypes.c_int)(address)())"
    )
    ended = engine.run(code)
    assert "" == ended.out
    assert ended.code in (128 + _SIGSYS, -_SIGSYS)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="x32 is a form of x86_64")
def test_calls_of_the_short_pointers_form_do_not_exist(engine: Engine) -> None:
    """x32 has numbers of its own, with bit 30 set."""
    assert "ENOSYS" == engine.tries("system(0x40000000 + 39)")  # getpid


def test_queues_that_the_whole_host_shares_cannot_be_taken(engine: Engine) -> None:
    """fs.aio-max-nr is one number for all: who holds it keeps databases of the host from working."""
    number = 206 if platform.machine() == "x86_64" else 0
    setup = "context = ctypes.create_string_buffer(8)"
    seen = engine.tries(f"system({number}, 1000, ctypes.addressof(context))", setup)
    assert seen in ("EPERM", "ENOSYS")


def test_watches_that_the_user_shares_with_the_engine_cannot_be_taken(engine: Engine) -> None:
    """A user has 128 inotify instances by default, those made in namespaces counted in."""
    assert engine.tries("[call('inotify_init1', 0) for _ in range(150)]") in ("EPERM", "ENOSYS")


def test_a_terminal_cannot_be_typed_into(engine: Engine) -> None:
    """TIOCSTI and TIOCLINUX, on a terminal of the sandbox's own where it may have one."""
    setup = (
        "import fcntl\n"
        "try: device = opened('/dev/ptmx', os.O_RDWR)\n"
        "except OSError: device = opened('/dev/null', os.O_RDWR)"
    )
    for request in (0x5412, 0x541C):
        seen = engine.tries(f"fcntl.ioctl(device, {request}, b'x')", setup)
        assert seen in ("EPERM", "EACCES", "ENOTTY")


def test_the_kernels_insides_cannot_be_read(engine: Engine) -> None:
    """Memory, log, addresses, timers."""
    setup = (
        "def shows(name):\n"
        "    try: return bool(open('/proc/' + name, 'rb').read(4096).strip(b'0 \\n'))\n"
        "    except OSError: return False"
    )
    names = ["kcore", "kmsg", "timer_list", "slabinfo", "vmallocinfo", "iomem_addresses"]
    assert "done []" == engine.tries(f"[name for name in {names!r} if shows(name)]", setup)
