"""The Linux calls that Python lacks: namespaces, mounts, capabilities, Landlock, seccomp.

ctypes on libc, standard library only. Each call raises OSError with its name. Policy is elsewhere.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
import struct
from collections.abc import Sequence

CLONE_PIDFD = 0x00001000
CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
MS_NOATIME, MS_NODIRATIME, MS_RELATIME = 1024, 2048, 1 << 21
MNT_DETACH = 2
SIGCHLD = 17
CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SETPCAP, CAP_SYS_ADMIN = 5, 6, 7, 8, 21
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP = 1, 24
_PR_SET_KEEPCAPS = 8
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_CAPABILITY_VERSION_3 = 0x20080522

MACHINE = os.uname().machine
_CLONE = {"x86_64": 56, "aarch64": 220}
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446  # alike everywhere

FORK_TEST = CLONE_NEWPID | CLONE_PIDFD | SIGCHLD

_libc = ctypes.CDLL(None, use_errno=True)
_clone = ctypes.PyDLL(None, use_errno=True)["syscall"]
_clone.argtypes = (
    *(ctypes.c_long, ctypes.c_ulong, ctypes.c_ulong),
    *(ctypes.c_void_p, ctypes.c_ulong, ctypes.c_ulong),
)
_clone.restype = ctypes.c_long


def _call(name: str, *arguments: object) -> int:
    result: int = getattr(_libc, name)(*arguments)
    return _checked(result, name)


def _checked(result: int, name: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def _syscall(name: str, number: int, *arguments: object) -> int:
    values = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return _checked(int(_libc.syscall(ctypes.c_long(number), *values)), name)


def supported() -> bool:
    return MACHINE in _CLONE


def unshare(flags: int) -> None:
    _call("unshare", flags)


def mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    encoded = None if kind is None else kind.encode()
    _call("mount", source.encode(), target.encode(), encoded, ctypes.c_ulong(flags), data.encode())


def unmount(target: str) -> None:
    _call("umount2", target.encode(), MNT_DETACH)


def pivot_root(new: str, old: str) -> None:
    _syscall("pivot_root", _PIVOT_ROOT[MACHINE], new.encode(), old.encode())


def fork_into(flags: int) -> int:
    """fork() into new namespaces. The caller must have one thread only.

    The raw call, with the interpreter's lock held: what fork() does besides is for other threads,
    and for modules that want to know. To leave it out saves a test 200 page faults.
    """
    return _checked(int(_clone(_CLONE[MACHINE], flags | SIGCHLD, 0, None, 0, 0)), "clone")


def fork_test() -> tuple[int, int]:
    """fork() into a pid namespace of its own: (pid, descriptor that ends with it); (0, -1) in it.

    The one way to make a process that `seccomp` leaves open to who may make namespaces.
    """
    descriptor = ctypes.c_int(-1)
    pid = int(_clone(_CLONE[MACHINE], FORK_TEST, 0, ctypes.byref(descriptor), 0, 0))
    return _checked(pid, "clone"), descriptor.value


def die_with_parent(parent: int | None = None) -> None:
    """SIGKILL when the thread that created this process ends. Lost when the uid changes.

    With `parent`, its pid as seen from here: ProcessLookupError where it has ended already.
    """
    _call("prctl", _PR_SET_PDEATHSIG, 9, 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        raise ProcessLookupError("the parent has ended")


def set_host_name(name: str) -> None:
    _call("sethostname", name.encode(), len(name))


def keep_capabilities(*kept: int) -> None:
    """Drops all others; from the bounding set too where we may."""
    for number in range(64):
        if number not in kept and _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) != 0:
            break
    drop_capabilities(*kept)


def drop_capabilities(*kept: int) -> None:
    """All but `kept`, for this process; the bounding set stays."""
    mask = sum(1 << number for number in kept)  # all that are kept here are below 32
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    _call("capset", header, struct.pack("6I", mask, mask, 0, 0, 0, 0))


def keep_capabilities_of_root() -> None:
    """A change of uid from root then takes none away; they have to be raised again."""
    _call("prctl", _PR_SET_KEEPCAPS, 1, 0, 0, 0)


_HEADER, _NONE = struct.pack("Ii", _CAPABILITY_VERSION_3, 0), bytes(24)
_capset, _prctl = _libc["capset"], _libc["prctl"]


def become_a_test() -> None:
    """`die_with_parent` and `drop_capabilities`, with as few pages touched as can be: each costs a
    fork a microsecond."""
    _checked(_prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0), "prctl")
    _checked(_capset(_HEADER, _NONE), "capset")


def no_new_privileges() -> None:
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def install_filter(instructions: bytes) -> None:
    """A seccomp filter (8 bytes an instruction) for this process, for good."""
    program = _Program(len(instructions) // 8, instructions)
    _call("prctl", _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0)


_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3
_EXECUTE, _WRITE_FILE, _TRUNCATE, _DEVICE_CALLS = 1, 1 << 1, 1 << 14, 1 << 15
# Rights on files that each version of Landlock knows; 2 adds moves, 3 truncation, 5 device calls.
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
_SCOPED = 0b11  # since version 6: no abstract socket and no signal leaves the domain
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _DEVICE_CALLS


def landlock_version() -> int:
    """0 where the kernel has none."""
    try:
        return _syscall("landlock", _LANDLOCK_CREATE, None, 0, 1)
    except OSError:
        return 0


def landlock_rules(
    readable: list[str], writable: Sequence[str | int], unlisted: tuple[str, ...] = ()
) -> int:
    """A descriptor of rules: only these paths (or what descriptors stand for) can be read, or read
    and written; nothing be run.

    Below `unlisted`, files can be read, but folders not be listed. What is absent is left out.
    """
    version = landlock_version()
    every = (1 << _RIGHTS.get(version, 16)) - 1
    handled = struct.pack("QQQ", every, 0, _SCOPED) if version >= 6 else struct.pack("Q", every)
    rules = _syscall("landlock", _LANDLOCK_CREATE, handled, len(handled), 0)
    for path in unlisted:
        _allow(rules, path, _READ_FILE)
    for path in readable:
        _allow(rules, path, _READ_FILE | _READ_FOLDER)
    for place in writable:
        _allow(rules, place, every & ~_EXECUTE)
    return rules


def _allow(rules: int, path: str | int, access: int) -> None:
    try:
        place = os.open(path, os.O_PATH) if isinstance(path, str) else os.dup(path)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            access &= _ON_FILES
        _syscall("landlock", _LANDLOCK_ADD, rules, 1, struct.pack("=Qi", access, place), 0)
    finally:
        os.close(place)


def obey_landlock(rules: int) -> None:
    """For good. Needs `no_new_privileges` first."""
    _syscall("landlock", _LANDLOCK_RESTRICT, rules, 0)


_IN_NONBLOCK, _IN_CLOEXEC = 0o4000, 0o2000000
_CHANGES = (
    0x2 | 0x4 | 0x20 | 0xC0 | 0x100 | 0x200 | 0x400 | 0x800
)  # and opening, of a file without name
_EVENT, _OVERFLOWN = struct.Struct("iIII"), -1


def change_queue() -> int:
    """A descriptor that tells changes of watched folders. To close it takes the kernel 10 ms."""
    return _call("inotify_init1", _IN_NONBLOCK | _IN_CLOEXEC)


def watch_folder(queue: int, path: str) -> int:
    """The number of a new watch on the folder; `is_changed` looks for it."""
    return _call("inotify_add_watch", queue, path.encode(), _CHANGES)


def is_changed(queue: int, watch: int) -> bool:
    """Whether anything in the folder, or the folder itself, changed; empties the queue."""
    changed = False
    with contextlib.suppress(BlockingIOError):
        while events := os.read(queue, 1 << 16):
            at = 0
            while at < len(events):
                number, _, _, length = _EVENT.unpack_from(events, at)
                changed |= number in (watch, _OVERFLOWN)
                at += _EVENT.size + length
    return changed
