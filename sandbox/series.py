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
from typing import Any, NoReturn

from sandbox import child
from sandbox.surroundings import Surroundings

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
    most_output: int,
) -> NoReturn:
    """One record a test to the descriptor `result`; `tests` are (kind, input)."""
    used = child.mentioned(code) | {entry}
    began = time.process_time()
    for kind, given in tests:
        child.fresh_interpreter()
        out, errors = _open_streams(given)  # arguments too, as alone
        names = surroundings.fresh("__main__" if kind == "stdin" else "program", used)
        answer = _answer(code, names, entry if kind == "functional" else None, given)
        names.clear()  # functions and the names they see hold each other
        if answer is None or max(out.length(), errors.length()) >= most_output:
            break
        _write(result, record(out.getvalue() if kind == "stdin" else answer))
        if time.process_time() - began > ENOUGH_CPU_S:
            break
    os._exit(0)


def record(answer: bytes) -> bytes:
    return _LENGTH.pack(len(answer)) + answer


def recorded(records: bytes, most: int) -> list[bytes]:
    """The answers that left whole, `most` at most; the process is untrusted: anything may come."""
    answers: list[bytes] = []
    at = 0
    while len(answers) < most and at + _LENGTH.size <= len(records):
        (length,) = _LENGTH.unpack_from(records, at)
        at += _LENGTH.size
        if at + length > len(records):
            break
        answers.append(records[at : at + length])
        at += length
    return answers


def _answer(code: CodeType, names: dict[str, Any], entry: str | None, given: bytes) -> bytes | None:
    """What it returned (nothing without an entry); None where it did not end normally."""
    answer = b""

    def work() -> None:
        nonlocal answer
        if entry is None:
            exec(code, names)
        else:
            answer = child.called(code, names, entry, given.decode("utf-8", "surrogatepass"))

    ended = child.attempt(work)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        return None
    return None if ended or (entry is not None and not answer) else answer


class _Bytes(io.BytesIO):
    """A file of a stream, whose number and mode it has."""

    def __init__(self, name: int, mode: str, data: bytes = b"") -> None:
        super().__init__(data)
        self.name = name
        self.mode = mode  # type: ignore[misc]

    def length(self) -> int:
        return len(self.getbuffer())


def _open_streams(given: bytes) -> tuple[_Bytes, _Bytes]:
    """As `streams.open_streams` has them, in memory; what is written to output and error."""
    size = os.fstat(0).st_blksize
    reader = io.BufferedReader(_Bytes(0, "rb", given), size)
    out, errors = _Bytes(1, "wb"), _Bytes(2, "wb")
    sys.stdin = io.TextIOWrapper(reader, encoding="utf-8")
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(out, size), encoding="utf-8")
    sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(errors, size),
        encoding="utf-8",
        errors="backslashreplace",
    )
    for stream, mode in ((sys.stdin, "r"), (sys.stdout, "w"), (sys.stderr, "w")):
        stream.mode = mode  # type: ignore[misc]
    return out, errors


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
