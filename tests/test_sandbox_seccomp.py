"""The filter of system calls, interpreted here as the kernel would, on both architectures."""

from __future__ import annotations

import errno
import struct

import pytest

from sandbox import seccomp, seccomp_calls

MACHINES = ("x86_64", "aarch64")
KILLED = "killed"
OK = 0


def verdict(program: bytes, machine: str, number: int, *arguments: int) -> int | str:
    """0 for allowed, the errno, or KILLED: what one call comes to."""
    data = struct.pack(
        "=iIQ6Q", number, seccomp.AUDIT[machine], 0, *arguments, *[0] * (6 - len(arguments))
    )
    return _interpreted(program, data)


def _interpreted(program: bytes, data: bytes) -> int | str:
    code = list(struct.iter_unpack("HBBI", program))
    at = value = 0
    while True:
        operation, yes, no, constant = code[at]
        at += 1
        if operation == 0x20:
            (value,) = struct.unpack_from("I", data, constant)
        elif operation == 0x54:
            value &= constant
        elif operation == 0x15:
            at += yes if value == constant else no
        elif operation == 0x35:
            at += yes if value >= constant else no
        elif operation == 0x06:
            return _action(constant)
        else:
            raise AssertionError(f"an operation the filter should not need: {operation:#x}")


def _action(constant: int) -> int | str:
    if constant == 0x7FFF0000:
        return OK
    if constant == 0x80000000:
        return KILLED
    assert constant & 0xFFFF0000 == 0x00050000
    return constant & 0xFFFF


def number(machine: str, name: str) -> int:
    pyseccomp = pytest.importorskip("pyseccomp", exc_type=ImportError)
    arch = {"x86_64": pyseccomp.Arch.X86_64, "aarch64": pyseccomp.Arch.AARCH64}[machine]
    return int(pyseccomp.resolve_syscall(arch, name))


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def program(machine: str) -> bytes:
    return seccomp.build(machine)


LATER_THAN_LIBSECCOMP = 430  # its older versions; from 424 on numbers are alike everywhere


@pytest.mark.parametrize("table", ["DENIED", "DENIED_ON_HOST_FILES", "INSPECTED", "SIGNALS"])
def test_numbers_are_libseccomps(machine: str, table: str) -> None:
    column = seccomp.COLUMN[machine]
    for name, numbers in getattr(seccomp_calls, table).items():
        theirs = number(machine, name)
        if theirs < 0 and (numbers[column] or 0) >= LATER_THAN_LIBSECCOMP:
            assert numbers[0] == numbers[1], name
        else:
            assert (numbers[column] if numbers[column] is not None else -1) == max(theirs, -1), name


def test_every_denied_call_is_refused(machine: str, program: bytes) -> None:
    for name, numbers in seccomp_calls.DENIED.items():
        each = numbers[seccomp.COLUMN[machine]]
        if each is not None:
            assert verdict(program, machine, each) == errno.EPERM, name


ORDINARY = (
    *("read", "write", "openat", "close", "mmap", "munmap", "brk", "futex", "exit_group", "lseek"),
    *("rt_sigaction", "sched_yield", "clock_nanosleep", "getrandom", "mkdirat", "unlinkat"),
    *(
        "setrlimit",
        "prlimit64",
        "kill",
        "tgkill",
        "ppoll",
        "dup",
        "pread64",
        "renameat2",
        "madvise",
    ),
)


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_call_is_allowed(machine: str, program: bytes, name: str) -> None:
    assert verdict(program, machine, number(machine, name)) == OK


THREAD = 0x3D0F00  # as libc makes one: VM, FS, FILES, SIGHAND, THREAD, SYSVSEM, SETTLS...


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (THREAD, OK),
        (17, errno.EPERM),  # fork
        (0x4111, errno.EPERM),  # vfork
        (THREAD | 0x10000000, errno.EPERM),  # a thread with a user namespace
        (THREAD | 0x40000000, errno.EPERM),
        (THREAD | 1 << 32, OK),  # the kernel reads no such bit here
        (17 | 1 << 48, errno.EPERM),
    ],
)
def test_clone_makes_threads_only(machine: str, program: bytes, flags: int, expected: int) -> None:
    assert verdict(program, machine, number(machine, "clone"), flags) == expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (THREAD, OK),
        (0x20001011, OK),  # a pid namespace, a pidfd, SIGCHLD: refused by the kernel to programs
        (0x20000011, errno.EPERM),
        (0x1011, errno.EPERM),
        (0x20001011 | 0x10000000, errno.EPERM),  # with a user namespace anyone may
        (0x20001000, errno.EPERM),
        (17, errno.EPERM),
    ],
)
def test_parent_of_tests_may_make_one_kind_of_process(
    machine: str, flags: int, expected: int
) -> None:
    parents = seccomp.build(machine, forks_tests=True)
    assert verdict(parents, machine, number(machine, "clone"), flags) == expected
    for name, numbers in seccomp_calls.DENIED.items():
        each = numbers[seccomp.COLUMN[machine]]
        if each is not None:
            assert verdict(parents, machine, each) == errno.EPERM, name


def test_clone3_does_not_exist_so_that_libc_falls_back(machine: str, program: bytes) -> None:
    assert verdict(program, machine, 435) == errno.ENOSYS


def test_calls_of_later_kernels_do_not_exist(machine: str, program: bytes) -> None:
    for each in (470, 500, 5000, 0x3FFFFFFF):
        assert verdict(program, machine, each) == errno.ENOSYS


def test_foreign_architecture_and_x32_kill(machine: str, program: bytes) -> None:
    other = "aarch64" if machine == "x86_64" else "x86_64"
    assert verdict(program, other, 0) == KILLED
    i386 = struct.pack("=iI7Q", 1, 0x40000003, *[0] * 7)
    assert _interpreted(program, i386) == KILLED
    if machine == "x86_64":
        assert verdict(program, machine, 0x40000000 + 39) == KILLED
        assert verdict(program, machine, -1) == KILLED


@pytest.mark.parametrize(
    ("family", "expected"), [(1, OK), (2, errno.EPERM), (10, errno.EPERM), (1 << 32 | 1, OK)]
)
def test_only_local_socket_pairs(machine: str, program: bytes, family: int, expected: int) -> None:
    assert verdict(program, machine, number(machine, "socketpair"), family) == expected


def test_fcntl_takes_no_locks_or_leases(machine: str, program: bytes) -> None:
    fcntl = number(machine, "fcntl")
    for command in (5, 6, 7, 37, 38, 1024, 1026, 1033):
        assert verdict(program, machine, fcntl, 3, command) == errno.EPERM
    for command in (0, 1, 2, 3, 4, 1030, 1032):
        assert verdict(program, machine, fcntl, 3, command) == OK


def test_with_an_own_pid_signals_reach_that_process_alone(machine: str) -> None:
    program = seccomp.build(machine, own_pid=4242)
    for name in ("kill", "tgkill"):
        call = number(machine, name)
        assert verdict(program, machine, call, 4242, 9) == OK
        for other in (1, 0, 4243, 0xFFFFFFFF):
            assert verdict(program, machine, call, other, 9) == errno.EPERM
    for name in ("tkill", "rt_sigqueueinfo", "chmod", "fchmodat", "truncate", "utimensat"):
        call = number(machine, name)
        if call >= 0:
            assert verdict(program, machine, call, 4242, 9) == errno.EPERM, name
    prlimit = number(machine, "prlimit64")
    assert verdict(program, machine, prlimit, 0) == OK
    assert verdict(program, machine, prlimit, 1) == errno.EPERM


def test_jumps_stay_inside(machine: str) -> None:
    for own_pid, forks_tests in ((None, False), (7, False), (None, True)):
        built = seccomp.build(machine, own_pid=own_pid, forks_tests=forks_tests)
        code = list(struct.iter_unpack("HBBI", built))
        assert len(code) < 4096
        for at, (operation, yes, no, _) in enumerate(code):
            if operation & 7 == 5:
                assert at + 1 + max(yes, no) < len(code)
        assert code[-1][0] == 0x06
