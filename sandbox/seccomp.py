"""The system calls a program may not make, as a seccomp filter: bytes for `linux.install_filter`.

A deny list, since what contest programs need is wide and what could reach outside is known; calls
newer than the list do not exist. The filter is made from `seccomp_calls` when a zygote starts, not
shipped as bytes: in tier B it holds a number of its process. Tests interpret it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from sandbox.linux import FORK_TEST
from sandbox.seccomp_calls import (
    DENIED,
    DENIED_ON_HOST_FILES,
    FIRST_UNKNOWN,
    INSPECTED,
    SIGNALS,
    Numbers,
)

EPERM, ENOSYS = 1, 38
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
COLUMN = {"x86_64": 0, "aarch64": 1}
CLONE_THREAD = 0x00010000
_CLONE_LOOKED_AT = CLONE_THREAD | 0x7E020080  # the namespaces' flags
_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_X32 = 0x40000000
_AF_UNIX = 1
# Locks and leases on files that others have too, signals on events, seals.
_REFUSED_FCNTL = (5, 6, 7, 8, 10, 15, 36, 37, 38, 1024, 1026, 1033)


# Who gets signals on a socket's events (FIOSETOWN, SIOCSPGRP), and a terminal's input.
_REFUSED_IOCTL = (0x8901, 0x8902, 0x5412, 0x541C)
_PR_SET_PDEATHSIG, _SIGKILL = 1, 9


def build(machine: str, *, own_pid: int | None = None, forks_tests: bool = False) -> bytes:
    """The filter, 8 bytes an instruction. `forks_tests`: for the parent of tests, who inherit it.

    With `own_pid`, for a process that shares pids and files with the host: signals reach that
    process only, and attributes of files can't be changed.
    """
    column = COLUMN[machine]
    numbers = {name: each[column] for name, each in INSPECTED.items()}
    code = [_load(_ARCHITECTURE), _instruction(_EQUAL, 1, 0, AUDIT[machine]), _returning(KILL)]
    code += [_load(_NUMBER)]
    if machine == "x86_64":
        code += [_instruction(_AT_LEAST, 0, 1, _X32), _returning(KILL)]
    code += [_instruction(_AT_LEAST, 0, 1, FIRST_UNKNOWN), _returning(ERRNO | ENOSYS)]
    code += _all_denied(DENIED, column)
    code += _deny(numbers["clone3"], ENOSYS)  # libc then falls back to clone, whose flags we see
    if forks_tests:
        code += _fork_by_the_privileged(numbers["clone"])
    code += _only(numbers["clone"], 0, CLONE_THREAD, mask=_CLONE_LOOKED_AT)
    code += _only(numbers["socketpair"], 0, _AF_UNIX)
    code += _none_of(numbers["fcntl"], 1, _REFUSED_FCNTL)
    code += _none_of(numbers["ioctl"], 1, _REFUSED_IOCTL)
    code += _dying_with_its_parent(numbers["prctl"])
    if own_pid is not None:
        code += _all_denied(DENIED_ON_HOST_FILES, column) + _all_denied(SIGNALS, column)
        code += _only(numbers["kill"], 0, own_pid) + _only(numbers["tgkill"], 0, own_pid)
        code += _only(numbers["prlimit64"], 0, 0)  # 0 is the caller
    return b"".join([*code, _returning(ALLOW)])


def _instruction(code: int, yes: int, no: int, value: int) -> bytes:
    return struct.pack("HBBI", code, yes, no, value)


def _load(offset: int) -> bytes:
    return _instruction(_LOAD, 0, 0, offset)


def _load_argument(position: int) -> bytes:
    """Its low half: what the kernel reads of an int, and of flags where the high half means nothing
    (x86_64 and aarch64 are little-endian)."""
    return _load(_ARGUMENTS + 8 * position)


def _returning(action: int) -> bytes:
    return _instruction(_RETURN, 0, 0, action)


def _all_denied(calls: Mapping[str, Numbers], column: int) -> list[bytes]:
    numbers = (each[column] for each in calls.values())
    return [line for number in numbers if number is not None for line in _deny(number)]


def _deny(number: int, error: int = EPERM) -> list[bytes]:
    return [_instruction(_EQUAL, 0, 1, number), _returning(ERRNO | error)]


def _only(number: int, argument: int, value: int, mask: int = 0xFFFFFFFF) -> list[bytes]:
    """This call is allowed where the argument, masked, has this value; else EPERM."""
    return [
        _instruction(_EQUAL, 0, 5, number),
        _load_argument(argument),
        _instruction(_AND, 0, 0, mask),
        _instruction(_EQUAL, 0, 1, value),
        _returning(ALLOW),
        _returning(ERRNO | EPERM),
    ]


def _fork_by_the_privileged(number: int) -> list[bytes]:
    """What `linux.fork_test` asks for: a new pid namespace, so the kernel refuses it (EPERM) to
    programs, which have no capabilities. By this the filter can be older than a test's process."""
    return [
        _instruction(_EQUAL, 0, 3, number),
        _load_argument(0),
        _instruction(_EQUAL, 0, 1, FORK_TEST),
        _returning(ALLOW),
        _load(_NUMBER),
    ]


def _dying_with_its_parent(number: int) -> list[bytes]:
    """A program can't decide to outlive its parent; all else that prctl does is allowed."""
    return [
        _instruction(_EQUAL, 0, 6, number),
        _load_argument(0),
        _instruction(_EQUAL, 0, 2, _PR_SET_PDEATHSIG),
        _load_argument(1),
        _instruction(_EQUAL, 0, 1, _SIGKILL),
        _returning(ALLOW),
        _returning(ERRNO | EPERM),
    ]


def _none_of(number: int, argument: int, values: tuple[int, ...]) -> list[bytes]:
    """This call is refused where the argument has one of the values."""
    count = len(values)
    tests = [_instruction(_EQUAL, count - at, 0, value) for at, value in enumerate(values)]
    return [
        _instruction(_EQUAL, 0, count + 3, number),
        _load_argument(argument),
        *tests,
        _returning(ALLOW),
        _returning(ERRNO | EPERM),
    ]
