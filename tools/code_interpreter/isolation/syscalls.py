"""Numbers of the system calls that the filter treats, for x86_64 and aarch64, from the kernel's own headers.

Three groups: those that no sandbox may make (DENIED), those that reach other processes or files of the same user where
no namespaces stand between (`PAST_BORDERS`), and those that change what a file is called by others: its mode, owner,
times, attributes (`FILE_MODES`, `FILE_ATTRIBUTES`). What to answer is `seccomp.py`'s.
"""

from dataclasses import dataclass

_COMMON = {
    "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433,
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "pidfd_getfd": 438,
    "mount_setattr": 442, "quotactl_fd": 443, "memfd_secret": 447, "statmount": 457, "listmount": 458,
}  # fmt: skip

_X86_64 = {
    "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312, "mount": 165, "umount2": 166,
    "pivot_root": 155, "chroot": 161, "unshare": 272, "setns": 308, "bpf": 321, "perf_event_open": 298,
    "userfaultfd": 323, "add_key": 248, "request_key": 249, "keyctl": 250, "kexec_load": 246,
    "kexec_file_load": 320, "create_module": 174, "init_module": 175, "delete_module": 176, "query_module": 178,
    "finit_module": 313, "swapon": 167, "swapoff": 168, "acct": 163, "quotactl": 179, "reboot": 169,
    "syslog": 103, "open_by_handle_at": 304, "fanotify_init": 300, "personality": 135, "settimeofday": 164,
    "clock_settime": 227, "clock_adjtime": 305, "adjtimex": 159, "shmget": 29, "shmat": 30, "shmctl": 31,
    "shmdt": 67, "semget": 64, "semop": 65, "semctl": 66, "semtimedop": 220, "msgget": 68, "msgsnd": 69,
    "msgrcv": 70, "msgctl": 71, "mq_open": 240, "mq_unlink": 241, "memfd_create": 319, "seccomp": 317,
    "sethostname": 170, "setdomainname": 171, "iopl": 172, "ioperm": 173, "modify_ldt": 154, "uselib": 134,
    "vhangup": 153, "nfsservctl": 180, "_sysctl": 156, "sysfs": 139, "ustat": 136, "lookup_dcookie": 212,
    "io_setup": 206, "inotify_init": 253, "inotify_init1": 294,
}  # fmt: skip

_AARCH64 = {
    "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272, "mount": 40, "umount2": 39,
    "pivot_root": 41, "chroot": 51, "unshare": 97, "setns": 268, "bpf": 280, "perf_event_open": 241,
    "userfaultfd": 282, "add_key": 217, "request_key": 218, "keyctl": 219, "kexec_load": 104,
    "kexec_file_load": 294, "init_module": 105, "delete_module": 106, "finit_module": 273, "swapon": 224,
    "swapoff": 225, "acct": 89, "quotactl": 60, "reboot": 142, "syslog": 116, "open_by_handle_at": 265,
    "fanotify_init": 262, "personality": 92, "settimeofday": 170, "clock_settime": 112, "clock_adjtime": 266,
    "adjtimex": 171, "shmget": 194, "shmctl": 195, "shmat": 196, "shmdt": 197, "semget": 190, "semctl": 191,
    "semtimedop": 192, "semop": 193, "msgget": 186, "msgctl": 187, "msgrcv": 188, "msgsnd": 189, "mq_open": 180,
    "mq_unlink": 181, "memfd_create": 279, "seccomp": 277, "sethostname": 161, "setdomainname": 162,
    "vhangup": 58, "nfsservctl": 42, "lookup_dcookie": 18, "io_setup": 0,
    "inotify_init1": 26,
}  # fmt: skip


# Where no namespaces stand between: an address to connect to or to be called by, and what acts on any process or path
# of the same user with nothing but its number or name. Landlock mediates none of these.
_PAST_BORDERS_X86_64 = {
    "connect": 42, "bind": 49, "listen": 50, "truncate": 76, "ioprio_set": 251, "migrate_pages": 256,
    "move_pages": 279, "inotify_add_watch": 254,
    "name_to_handle_at": 303, "process_madvise": 440, "process_mrelease": 448,
}  # fmt: skip
_PAST_BORDERS_AARCH64 = {
    "connect": 203, "bind": 200, "listen": 201, "truncate": 45, "ioprio_set": 30, "migrate_pages": 238,
    "move_pages": 239, "inotify_add_watch": 27, "name_to_handle_at": 264,
    "process_madvise": 440, "process_mrelease": 448,
}  # fmt: skip
_FILE_MODES_X86_64 = {
    "chmod": 90, "fchmod": 91, "fchmodat": 268, "fchmodat2": 452, "chown": 92, "fchown": 93, "lchown": 94,
    "fchownat": 260, "utime": 132, "utimes": 235, "futimesat": 261, "utimensat": 280,
}  # fmt: skip
_FILE_MODES_AARCH64 = {
    "fchmod": 52, "fchmodat": 53, "fchmodat2": 452, "fchown": 55, "fchownat": 54, "utimensat": 88,
}  # fmt: skip
_FILE_ATTRIBUTES_X86_64 = {
    "setxattr": 188, "lsetxattr": 189, "fsetxattr": 190, "removexattr": 197, "lremovexattr": 198,
    "fremovexattr": 199, "setxattrat": 463, "removexattrat": 466,
}  # fmt: skip
_FILE_ATTRIBUTES_AARCH64 = {
    "setxattr": 5, "lsetxattr": 6, "fsetxattr": 7, "removexattr": 14, "lremovexattr": 15, "fremovexattr": 16,
    "setxattrat": 463, "removexattrat": 466,
}  # fmt: skip


@dataclass(frozen=True)
class Architecture:
    """Numbers of one machine kind: its audit constant, the calls that need a look at arguments, and the groups.

    `schedulers`: calls whose first argument is a process to be scheduled otherwise.
    """

    audit: int
    clone: int
    socket: int
    socketpair: int
    ioctl: int
    prctl: int
    fcntl: int
    prlimit64: int
    setpriority: int
    fallocate: int
    schedulers: tuple[int, ...]
    denied: dict[str, int]
    past_borders: dict[str, int]
    file_modes: dict[str, int]
    file_attributes: dict[str, int]
    clone3: int = 435


ARCHITECTURES = {
    "x86_64": Architecture(
        audit=0xC000003E, clone=56, socket=41, socketpair=53, ioctl=16, prctl=157, fcntl=72, prlimit64=302,
        setpriority=141, fallocate=285, schedulers=(203, 144, 142, 314), denied=_X86_64 | _COMMON,
        past_borders=_PAST_BORDERS_X86_64, file_modes=_FILE_MODES_X86_64, file_attributes=_FILE_ATTRIBUTES_X86_64,
    ),
    "aarch64": Architecture(
        audit=0xC00000B7, clone=220, socket=198, socketpair=199, ioctl=29, prctl=167, fcntl=25, prlimit64=261,
        setpriority=140, fallocate=47, schedulers=(122, 119, 118, 274), denied=_AARCH64 | _COMMON,
        past_borders=_PAST_BORDERS_AARCH64, file_modes=_FILE_MODES_AARCH64, file_attributes=_FILE_ATTRIBUTES_AARCH64,
    ),
}  # fmt: skip
