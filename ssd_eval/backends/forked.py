"""A lane in a process of its own, forked from this one: the weights are here, the lock is not.

Two threads that decode a small model leave a tenth of two cores idle, waiting for Python's lock;
two processes don't (perf/overlap.py). A fork shares the weights' memory, draws with one torch
thread and dies with the thread that started it. Prompts are prefilled once for each fork. Knows
nothing of batches. Linux alone: elsewhere a process with threads can't be forked safely.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection, Pipe
from typing import Any

import torch

from sandbox.linux import die_with_parent
from ssd_eval.backends.base import Generation, Request
from ssd_eval.backends.lanes import Lane, run_lanes
from ssd_eval.errors import BackendError

AVAILABLE = sys.platform == "linux"
PULL = "pull"  # the fork's word for: one more request, please


class ForkedLane:
    """`make` builds the lane that runs, in the fork. Good for one `run`."""

    def __init__(self, make: Callable[[], Lane]) -> None:
        self._make = make
        self._pid: int | None = None
        self._ending = threading.Lock()  # no signal to a pid that is another's by now

    def run(self, requests: Iterable[Request]) -> Iterator[Generation]:
        """Generations as they finish. Raises what the lane raises; BackendError if it is killed."""
        waiting = iter(requests)
        ours, self._pid = _forked(self._make)
        try:
            with ours:
                while (word := _heard(ours)) is not None:
                    if isinstance(word, BaseException):
                        raise word
                    if isinstance(word, Generation):
                        yield word
                    else:
                        ours.send(next(waiting, None))
        finally:
            self.stop()

    def stop(self) -> None:
        """Ends the process in the middle of whatever it does; from any thread."""
        with self._ending:
            if self._pid is not None:
                os.kill(self._pid, signal.SIGKILL)
                os.waitpid(self._pid, 0)
                self._pid = None


def run_forked(
    makes: Sequence[Callable[[], Lane]], requests: Iterable[Request]
) -> Iterator[Generation]:
    """`lanes.run_lanes` over a fork for each of `makes`."""
    lanes = [ForkedLane(make) for make in makes]

    def stop() -> None:
        for lane in lanes:
            lane.stop()

    return run_lanes(lanes, requests, stop=stop)


def _heard(ours: Connection) -> Any:
    try:
        return ours.recv()
    except (EOFError, ConnectionError) as error:
        raise BackendError(
            "a sampling process was killed, perhaps for want of memory; lower --sampling-batch or "
            "--max-tokens and repeat the command: what was finished is kept"
        ) from error


def _forked(make: Callable[[], Lane]) -> tuple[Connection, int]:
    ours, theirs = Pipe()
    parent = os.getpid()
    with warnings.catch_warnings():
        # The fork touches nothing that another thread may hold.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        theirs.close()
        return ours, pid
    try:
        _live(make, theirs, parent)
    finally:
        os._exit(0)


def _live(make: Callable[[], Lane], theirs: Connection, parent: int) -> None:
    _prepare(parent, theirs.fileno())
    try:
        for generation in make().run(_pulled(theirs)):
            theirs.send(generation)
        theirs.send(None)
    except BaseException as error:
        theirs.send(_picklable(error))


def _prepare(parent: int, keep: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    die_with_parent(parent)
    os.closerange(3, keep)  # a sandbox ends when the last copy of its socket is closed
    os.closerange(keep + 1, os.sysconf("SC_OPEN_MAX"))
    torch.set_num_threads(1)


def _pulled(theirs: Connection) -> Iterator[Request]:
    while True:
        theirs.send(PULL)
        if (request := theirs.recv()) is None:
            return
        yield request


def _picklable(error: BaseException) -> BaseException:
    """With the place where it was raised, which is lost on the way."""
    error.add_note("".join(traceback.format_tb(error.__traceback__)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # its class needs more than its message
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
