"""One writer a run folder: an advisory lock that the kernel drops however its holder ends."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ssd_eval.errors import RunFolderError

LOCK = ".lock"
FULL = {errno.ENOSPC, errno.EDQUOT}


def acquire(folder: Path) -> int:
    """The descriptor that holds the lock until it is closed.

    Raises RunFolderError where another process has it, or the folder cannot be written to.
    """
    with writing(folder):
        lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise RunFolderError(
                f"{folder} is in use by another process; wait for it or choose another --run-dir"
            ) from None
        except OSError:
            os.close(lock)
            raise
    return lock


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turns the operating system's refusals to write into one line with the fix."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if isinstance(error, FileExistsError | NotADirectoryError):
            fix = "a file is in its place; choose another --run-dir"
        elif error.errno in FULL:
            fix = "free some room, then repeat the command: what was finished is kept"
        else:
            fix = "make it writable or choose another --run-dir; what was finished is kept"
        raise RunFolderError(f"cannot write to {folder}: {reason}; {fix}") from error
