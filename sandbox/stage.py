"""The parent of one program's tests in tier A, confined as they are, so that a fork is a new test.

It keeps one capability more than they do, that of making pid namespaces. What tests could see of
each other is made anew for each (process, pid namespace, session, streams), can't be changed (root,
limits, filter), or is watched: a program that touched its working folder gets no further test here.
Trusted; standard library only.
"""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Callable
from typing import NoReturn

from sandbox import linux, root
from sandbox.confine import Confinement, complete, own_limits
from sandbox.streams import RESULT, Placed, moved_up

_MOST_FD = 65_536


class Stage:
    """Confines its process for good. Raises OSError where that fails, perhaps halfway."""

    def __init__(self, confinement: Confinement, limits: dict[str, float], changes: int) -> None:
        self._own = [(which, (most, most)) for which, most in own_limits(limits).items()]
        linux.unshare(linux.CLONE_NEWNS)
        folder = moved_up(root.hidden_folder())
        root.fresh_box(int(limits["box_mb"]))
        linux.is_changed(changes, 0)  # empties it of what earlier programs did
        self._changes, self._watch = changes, linux.watch_folder(changes, root.BOX)
        confinement.settle(limits, folder)
        self._ready, self._began = (moved_up(fd) for fd in os.pipe())
        os.set_blocking(self._ready, False)
        self.streams = Placed(folder)
        gc.disable()  # a test switches it on: what was made until then never is garbage
        gc.freeze()

    def start(self, run: Callable[[], NoReturn]) -> tuple[int, int]:
        """A test that calls `run`: its pid, and a descriptor that can be read when it has ended."""
        pid, pidfd = linux.fork_test()
        if pid == 0:
            self._enter()
            run()
        return pid, pidfd

    def _enter(self) -> None:
        """In the test's process: gives up the rest."""
        try:
            os.setsid()
            os.close(self._ready)
            complete(self._own)
            gc.enable()
            # Fails where the parent died before we were bound to it: then nobody reads.
            os.write(self._began, b"+")
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.write(self._began, f"{type(error).__name__}: {error}".encode()[:190])
            os._exit(1)
        os.closerange(RESULT + 1, _MOST_FD)

    def began(self) -> bytes:
        """What a test that has ended told before the program started: b"+", or what failed."""
        try:
            return os.read(self._ready, 200)
        except BlockingIOError:
            return b""

    def is_touched(self) -> bool:
        """Whether anything was ever made, changed or opened in the working folder."""
        return linux.is_changed(self._changes, self._watch)
