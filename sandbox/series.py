"""Several tests of a memoryless program in one process, each with names and streams of its own.

The process is a test's like any other: confined, killed at its limits, believed in nothing but the
bytes it leaves. It ends at the first test that does anything but end normally, and when it has
used its time; whoever asked runs the rest, and what failed here, in a process of its own.
`record` and `recorded` are the two ends of what leaves. Standard library only.
"""

from __future__ import annotations

import io
import os
import struct
import sys
import time
from types import CodeType
from typing import NoReturn

from sandbox import child
from sandbox.surroundings import Surroundings, mentioned

# Beyond this a process for each test costs little, and what a program that fails early makes us run
# in vain costs much.
ENOUGH_CPU_S = 0.03
MOST_CPU_S = 0.5
MOST_WALL_S = 2.0
_LENGTH = struct.Struct("!I")


def run(
    code: CodeType,
    surroundings: Surroundings,
    entry: str,
    tests: list[tuple[str, bytes]],
    result: int,
) -> NoReturn:
    """One record a test to the descriptor `result`; `tests` are (kind, input)."""
    used = mentioned(code) | {entry}
    began = time.process_time()
    for kind, given in tests:
        child.fresh_interpreter()
        answer = _answer(code, surroundings, entry, kind, given, used)
        if answer is None:
            break
        _write(result, record(answer))
        if time.process_time() - began > ENOUGH_CPU_S:
            break
    os._exit(0)


def record(answer: bytes) -> bytes:
    return _LENGTH.pack(len(answer)) + answer


def recorded(records: bytes) -> list[bytes]:
    """The answers that left whole; from an untrusted process, so that anything may come."""
    answers, at = [], 0
    while at + _LENGTH.size <= len(records):
        (length,) = _LENGTH.unpack_from(records, at)
        at += _LENGTH.size
        if at + length > len(records):
            break
        answers.append(records[at : at + length])
        at += length
    return answers


def _answer(
    code: CodeType, surroundings: Surroundings, entry: str, kind: str, given: bytes, used: set[str]
) -> bytes | None:
    """What it printed or returned; None where it did not end normally."""
    _open_streams(given if kind == "stdin" else b"")
    names = surroundings.fresh("__main__" if kind == "stdin" else "program", used)
    try:
        if kind == "stdin":
            exec(code, names)
            value = b""
        else:
            value = child.called(code, names, entry, given.decode("utf-8", "surrogatepass"))
    except SystemExit as leaving:
        if kind != "stdin" or leaving.code not in (None, 0):
            return None
    except BaseException:
        return None
    finally:
        names.clear()  # functions and the names they see hold each other
    return value if kind != "stdin" else _printed()


def _open_streams(given: bytes) -> None:
    sys.stdin = io.TextIOWrapper(io.BytesIO(given), encoding="utf-8")
    sys.stdout = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    sys.stderr = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace")


def _printed() -> bytes | None:
    try:
        sys.stdout.flush()
        return sys.stdout.buffer.getvalue()  # type: ignore[no-any-return, union-attr]
    except (OSError, ValueError):
        return None


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
