"""A test's standard streams and its result, as memory files that outlive its process."""

from __future__ import annotations

import fcntl
import os
import sys

RESULT = 3  # the descriptor that a functional test's value leaves by
STDERR_TAIL = 4000
_ASIDE = 200  # descriptors that nothing of ours uses
_MOST_FD = 65_536
_F_ADD_SEALS, _EVERY_SEAL = 1033, 0xF  # no shrinking, growing, writing or unsealing


class Streams:
    """Made by the trusted side before the fork; `install` is for the test's process."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.stdin = _memory_file("stdin", data)
        self.out = [_memory_file(name) for name in ("stdout", "result", "stderr")]

    def install(self, done: int, keep: int | None = None) -> int:
        """Descriptors 0, 1, 2 and 3 (result); all others are closed but `done`, which moves to
        the number returned, and `keep`."""
        spare = [os.dup2(fd, _ASIDE + i) for i, fd in enumerate((self.stdin, *self.out, done))]
        for target, source in zip((0, 1, RESULT, 2), spare, strict=False):
            os.dup2(source, target)
        done = spare[-1]
        _close_all_but(sorted({*range(RESULT + 1), done, *([] if keep is None else [keep])}))
        _open_streams()
        return done

    def sizes(self) -> list[int]:
        return [os.fstat(fd).st_size for fd in self.out]

    def contents(self, most: int) -> list[bytes]:
        """stdout and result up to `most` bytes, the end of stderr."""
        stdout, result, stderr = self.out
        tail = max(0, os.fstat(stderr).st_size - STDERR_TAIL)
        return [
            os.pread(stdout, most, 0),
            os.pread(result, most, 0),
            os.pread(stderr, STDERR_TAIL, tail),
        ]

    def close(self) -> None:
        for fd in (self.stdin, *self.out):
            os.close(fd)


def _open_streams() -> None:
    """Python's own view of descriptors 0, 1 and 2, as a fresh interpreter has it."""
    streams = [
        os.fdopen(0, encoding="utf-8", closefd=False),
        os.fdopen(1, "w", encoding="utf-8", closefd=False),
        os.fdopen(2, "w", encoding="utf-8", closefd=False, errors="backslashreplace"),
    ]
    for name, stream in zip(("stdin", "stdout", "stderr"), streams, strict=True):
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _close_all_but(kept: list[int]) -> None:
    for low, high in zip(kept, [*kept[1:], _MOST_FD], strict=True):
        os.closerange(low + 1, high)


def _memory_file(name: str, data: bytes | None = None) -> int:
    fd = os.memfd_create(name, os.MFD_ALLOW_SEALING)
    if data is not None:
        left = memoryview(data)
        while left:
            left = left[os.write(fd, left) :]
        os.lseek(fd, 0, os.SEEK_SET)
        fcntl.fcntl(fd, _F_ADD_SEALS, _EVERY_SEAL)
    return fd
