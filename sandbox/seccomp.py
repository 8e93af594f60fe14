"""The system calls a program may not make, as a seccomp filter for this machine's architecture.

A deny list: what contest programs need is wide, what could reach outside is known. Builds bytes;
installing them is `linux.install_filter`. Tests interpret the filter.
"""

from __future__ import annotations

import struct

EPERM, ENOSYS = 1, 38
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
CLONE_THREAD = 0x00010000
_LOAD, _JUMP_EQ, _JUMP_SET, _JUMP_GE, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENT = 0, 4, 16
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000

# name: (x86_64, aarch64); None where the architecture has no such call.
DENIED: dict[str, tuple[int | None, int | None]] = {
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "kcmp": (312, 272),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_setup": (206, 0),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "semget": (64, 190),
    "semop": (65, 193),
    "semctl": (66, 191),
    "semtimedop": (220, 192),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "flock": (73, 32),
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "link": (86, None),
    "linkat": (265, 37),
    "symlink": (88, None),
    "symlinkat": (266, 36),
    "quotactl": (179, 60),
    "acct": (163, 89),
    "swapon": (167, 224),
    "reboot": (169, 142),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "kexec_load": (246, 104),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "personality": (135, 92),
    "syslog": (103, 116),
    "sethostname": (170, 161),
    "setpriority": (141, 140),
    "sched_setscheduler": (144, 119),
    "sched_setattr": (314, 274),
    "ioprio_set": (251, 30),
    "fanotify_init": (300, 262),
    "inotify_init1": (294, 26),
    "seccomp": (317, 277),
    "landlock_create_ruleset": (444, 444),
    "lookup_dcookie": (212, 18),
    "vmsplice": (278, 75),
    "modify_ldt": (154, None),
    "iopl": (172, None),
    "ioperm": (173, None),
}
_CLONE = (56, 220)
_CLONE3 = (435, 435)
_PRLIMIT = (302, 261)
_FCNTL = (72, 25)
_F_SETLEASE, _F_SETLK, _F_SETLKW = 1024, 6, 7
_SIGNALS = ((62, 129), (234, 131))  # kill, tgkill
_QUEUES = ((200, 130), (129, 138), (297, 240))  # tkill, rt_sigqueueinfo, rt_tgsigqueueinfo


def _instruction(code: int, yes: int, no: int, value: int) -> bytes:
    return struct.pack("HBBI", code, yes, no, value)


def _returning(action: int) -> bytes:
    return _instruction(_RETURN, 0, 0, action)


def _deny(number: int, error: int = EPERM) -> list[bytes]:
    return [_instruction(_JUMP_EQ, 0, 1, number), _returning(ERRNO | error)]


def _when(number: int, argument: int, test: tuple[int, int], *, deny_if: bool) -> list[bytes]:
    """For this call, EPERM if the test of the argument's low half is `deny_if`, else allowed."""
    code, value = test
    yes, no = (0, 1) if deny_if else (1, 0)
    return [
        _instruction(_JUMP_EQ, 0, 4, number),
        _instruction(_LOAD, 0, 0, _ARGUMENT + 8 * argument),
        _instruction(code, yes, no, value),
        _returning(ERRNO | EPERM),
        _returning(ALLOW),
    ]


def build(machine: str, *, own_pid: int | None = None) -> bytes:
    """The filter. With `own_pid` signals reach that process only (no pid namespace protects)."""
    column = {"x86_64": 0, "aarch64": 1}[machine]
    code = [
        _instruction(_LOAD, 0, 0, _ARCHITECTURE),
        _instruction(_JUMP_EQ, 1, 0, AUDIT[machine]),
        _returning(KILL),
        _instruction(_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        code += [_instruction(_JUMP_GE, 0, 1, _X32), _returning(KILL)]
    for numbers in DENIED.values():
        number = numbers[column]
        if number is not None:
            code += _deny(number)
    code += _deny(_CLONE3[column], ENOSYS)  # libc then falls back to clone, whose flags we see
    code += _when(_CLONE[column], 0, (_JUMP_SET, CLONE_THREAD), deny_if=False)
    code += _fcntl(_FCNTL[column])
    if own_pid is not None:
        for calls in _SIGNALS:
            code += _when(calls[column], 0, (_JUMP_EQ, own_pid), deny_if=False)
        # 0 is the caller itself; limits of others are out of reach, its own can't be raised.
        code += _when(_PRLIMIT[column], 0, (_JUMP_EQ, 0), deny_if=False)
        for calls in _QUEUES:
            code += _deny(calls[column])
    return b"".join([*code, _returning(ALLOW)])


def _fcntl(number: int) -> list[bytes]:
    """Locks and leases on files that others share are refused."""
    return [
        _instruction(_JUMP_EQ, 0, 6, number),
        _instruction(_LOAD, 0, 0, _ARGUMENT + 8),
        _instruction(_JUMP_EQ, 3, 0, _F_SETLEASE),
        _instruction(_JUMP_EQ, 2, 0, _F_SETLK),
        _instruction(_JUMP_EQ, 1, 0, _F_SETLKW),
        _returning(ALLOW),
        _returning(ERRNO | EPERM),
    ]
