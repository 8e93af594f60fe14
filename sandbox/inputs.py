"""Large test inputs, kept once in memory files that every program's test reads.

What a socket would carry anew for each program is written once, sealed, and passed as a descriptor
with a position of its own. Small inputs are not worth it. Standard library only.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from sandbox.base import Test
from sandbox.streams import sealed_file

SHARED_FROM = 1 << 20  # characters
HELD_BYTES = 1 << 28


def is_large(test: Test) -> bool:
    return len(test.input) >= SHARED_FROM


class Inputs:
    """For all workers of a pool. Files of tests not seen for longest go first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files: OrderedDict[int, tuple[Test, int, int]] = OrderedDict()  # test, file, bytes

    @contextmanager
    def opened(self, test: Test) -> Iterator[int]:
        """A descriptor of the test's input, to be read only, at its start."""
        with self._lock:
            file = self._file(test)
            mine = os.open(f"/proc/self/fd/{file}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield mine
        finally:
            os.close(mine)

    def close(self) -> None:
        with self._lock:
            while self._files:
                self._forget()

    def _file(self, test: Test) -> int:
        # By identity: comparing texts of 50 MB is what this avoids. The test is kept with it.
        key = id(test)
        if key in self._files:
            self._files.move_to_end(key)
            return self._files[key][1]
        data = test.input.encode("utf-8", "surrogatepass")
        held = sum(size for _, _, size in self._files.values())
        while self._files and held + len(data) > HELD_BYTES:
            held -= self._forget()
        file = sealed_file("input", data)
        # Not to be marked by programs: extended attributes would tell the next one something.
        os.fchmod(file, 0o400)
        self._files[key] = test, file, len(data)
        return file

    def _forget(self) -> int:
        _, (_, file, size) = self._files.popitem(last=False)
        os.close(file)
        return size
