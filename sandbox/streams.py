"""A test's standard streams and its result, as memory files that outlive its process."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Sequence

RESULT = 3  # the descriptor that a functional test's value leaves by
STDERR_TAIL = 4000
_OUT = (1, RESULT, 2)  # standard output, the value, standard error
_ASIDE = 200  # descriptors that nothing of ours uses
_MOST_FD = 65_536
_F_ADD_SEALS, _EVERY_SEAL = 1033, 0xF  # no shrinking, growing, writing or unsealing


class Streams:
    """Made by the trusted side before the fork; `install` is for the test's process."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.stdin = sealed_file("stdin", data)
        self.out = [_memory_file(name) for name in ("stdout", "result", "stderr")]

    def install(self, done: int, keep: int | None = None) -> int:
        """Descriptors 0, 1, 2 and 3 (result); all others are closed but `done`, which moves to
        the number returned, and `keep`."""
        spare = [os.dup2(fd, _ASIDE + i) for i, fd in enumerate((self.stdin, *self.out, done))]
        for target, source in zip((0, 1, RESULT, 2), spare, strict=False):
            os.dup2(source, target)
        done = spare[-1]
        _close_all_but(sorted({*range(RESULT + 1), done, *([] if keep is None else [keep])}))
        open_streams()
        return done

    def sizes(self) -> list[int]:
        return [os.fstat(fd).st_size for fd in self.out]

    def contents(self, most: int) -> list[bytes]:
        """stdout and result up to `most` bytes, the end of stderr."""
        return _contents(self.out, self.sizes(), most)

    def close(self) -> None:
        for fd in (self.stdin, *self.out):
            os.close(fd)


def moved_up(fd: int) -> int:
    """The same under a number that no stream takes."""
    if fd > RESULT:
        return fd
    moved: int = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, RESULT + 1)
    os.close(fd)
    return moved


class Placed:
    """The streams of tests to come, at their own numbers (0 to 3) in the process that forks them.

    Files in `folder`, a descriptor, that lose their names at once; nothing is kept from test to
    test. Numbers 0 to 3 are this object's.
    """

    def __init__(self, folder: int) -> None:
        self._folder = folder
        self.renew(b"")
        open_streams()

    def renew(self, data: bytes | int) -> None:
        """Empty outputs, and standard input with `data`, to be read only; an int: that file."""
        if isinstance(data, int):
            os.closerange(0, RESULT + 1)
            os.lseek(data, 0, os.SEEK_SET)  # two tests of a job may share it
            os.dup2(data, 0)
            self._renew_outputs()
            return
        path = "stdin"
        writing = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=self._folder)
        _write(writing, data)
        os.close(writing)
        os.closerange(0, RESULT + 1)
        # Each takes the lowest number that is free.
        os.open(path, os.O_RDONLY, dir_fd=self._folder)
        self._renew_outputs()
        os.unlink(path, dir_fd=self._folder)

    def _renew_outputs(self) -> None:
        for _ in range(RESULT):
            os.open(".", os.O_RDWR | os.O_TMPFILE, 0o600, dir_fd=self._folder)
        for number in range(RESULT + 1):
            os.set_inheritable(number, True)

    def sizes(self) -> list[int]:
        return [os.fstat(fd).st_size for fd in _OUT]

    def contents(self, sizes: list[int], most: int) -> list[bytes]:
        """stdout and result up to `most` bytes, the end of stderr."""
        return _contents(_OUT, sizes, most)


def _contents(out: Sequence[int], sizes: list[int], most: int) -> list[bytes]:
    lengths = (min(sizes[0], most), min(sizes[1], most), min(sizes[2], STDERR_TAIL))
    starts = (0, 0, sizes[2] - lengths[2])
    return [
        os.pread(fd, length, start) if length else b""
        for fd, length, start in zip(out, lengths, starts, strict=True)
    ]


def open_streams() -> None:
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


def sealed_file(name: str, data: bytes) -> int:
    """A memory file with `data` that nobody can change, read from its start."""
    fd = _memory_file(name)
    _write(fd, data)
    os.lseek(fd, 0, os.SEEK_SET)
    fcntl.fcntl(fd, _F_ADD_SEALS, _EVERY_SEAL)
    return fd


def _memory_file(name: str) -> int:
    return os.memfd_create(name, os.MFD_ALLOW_SEALING)


def _write(fd: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]
