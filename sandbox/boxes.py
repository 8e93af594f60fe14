"""Working folders in the host's file system, where tests get no mount of their own (B and C)."""

from __future__ import annotations

import os
from contextlib import suppress


def make(folder: str | None = None) -> str:
    """A new, empty, private folder."""
    if folder is None:
        import tempfile  # for the evaluator; zygotes stay slim

        folder = tempfile.gettempdir()
    box = f"{folder}/ssd-eval-{_random_name()}"
    os.mkdir(box, 0o700)
    return box


def remove(box: str) -> None:
    """With all that a program left there: folders without rights, or nested beyond any recursion.

    Follows no symbolic link. Nothing that writes there may be alive.
    """
    with suppress(OSError):
        while entries := list(os.scandir(box)):
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    _lift(entry.path, box)
                else:
                    os.unlink(entry.path)
        os.rmdir(box)


def _lift(folder: str, box: str) -> None:
    """Moves what the folder holds up into the box, and removes it."""
    os.chmod(folder, 0o700)
    for entry in list(os.scandir(folder)):
        if entry.is_dir(follow_symlinks=False):
            os.chmod(entry.path, 0o700)  # a move writes its `..`
        os.rename(entry.path, f"{box}/{_random_name()}")
    os.rmdir(folder)


def _random_name() -> str:
    return os.urandom(8).hex()
