"""Working folders that an evaluator holds in the host's file system, and those of dead ones.

An evaluator locks its folder as long as it lives; the kernel drops the lock however it ends. So a
folder that can be locked is nobody's, whatever container or user the others run in.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from sandbox import boxes

PREFIX = "ssd-eval-boxes-"


class Folder:
    """A new, empty, private one. `close` removes it with all that programs left there."""

    def __init__(self) -> None:
        while True:
            self.path = tempfile.mkdtemp(prefix=PREFIX)
            with suppress(OSError):  # somebody cleared it away before it was locked
                self._lock = _locked(self.path)
                if os.path.samestat(os.fstat(self._lock), os.stat(self.path)):
                    return

    def close(self) -> None:
        boxes.remove(self.path)
        os.close(self._lock)


def clear() -> None:
    """Removes the folders of this user whose evaluators are dead."""
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            lock = _locked(str(path))
            about = os.fstat(lock)
            if about.st_uid == os.geteuid() and stat.S_IMODE(about.st_mode) == 0o700:
                boxes.remove(str(path))
            os.close(lock)


def _locked(path: str) -> int:
    """Raises OSError where somebody has it, or it is no folder of ours."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
