"""Several batches side by side, one thread each, fed from one stream of requests.

For small models on a CPU: two single-threaded batches fill two cores, where one batch with two
OpenMP threads spins as soon as another process needs a core. A thread may stand for a process
(`forked`, `replica`). Which lane draws a sample does not matter to the sample.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import torch

from ssd_eval.backends.base import Generation, Request

DONE = None  # what a lane says last


class Lane(Protocol):
    """What draws: a `batch.Batch`, a `forked.ForkedLane`, a `replica.Replica`."""

    def run(self, requests: Iterable[Request]) -> Iterator[Generation]: ...


def run_lanes(
    batches: Sequence[Lane],
    requests: Iterable[Request],
    patience: float | None = None,
    stop: Callable[[], object] = lambda: None,
) -> Iterator[Generation]:
    """All generations as they finish. Requests are pulled in the lanes' threads, one at a time.

    Raises the first exception of any lane or of `requests`. Closing the iterator stops the lanes
    (with `stop`, where they don't look for it), and waits at most `patience` seconds for each: one
    may hang on a server that never answers.
    """
    if len(batches) == 1:
        yield from batches[0].run(requests)
        return
    shared = _Shared(requests, room=2 * len(batches))
    threads = [
        threading.Thread(target=shared.run, args=(batch,), name=f"lane-{i}", daemon=True)
        for i, batch in enumerate(batches)
    ]
    with _one_torch_thread():
        for thread in threads:
            thread.start()
        try:
            yield from shared.results(len(threads))
        finally:
            shared.stop()
            stop()
            for thread in threads:
                thread.join(patience)


class _Shared:
    def __init__(self, requests: Iterable[Request], room: int) -> None:
        self._requests = iter(requests)
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        # Bounded, so that lanes wait for a slow reader instead of piling up results.
        self._queue: queue.Queue[Generation | BaseException | None] = queue.Queue(room)

    def run(self, batch: Lane) -> None:
        """A lane's life. Every exception goes to the reader; the last word is DONE."""
        torch.set_num_threads(1)  # OpenMP keeps this number for each thread
        try:
            for generation in batch.run(self._pull()):
                if not self._put(generation):
                    return
            self._put(DONE)
        except BaseException as error:
            self._put(error)

    def results(self, lanes: int) -> Iterator[Generation]:
        while lanes:
            item = self._queue.get()
            if isinstance(item, BaseException):
                raise item
            if item is DONE:
                lanes -= 1
            else:
                yield item

    def stop(self) -> None:
        self._stopped.set()

    def _pull(self) -> Iterator[Request]:
        while True:
            with self._lock:
                request = None if self._stopped.is_set() else next(self._requests, None)
            if request is None:
                return
            yield request

    def _put(self, item: Generation | BaseException | None) -> bool:
        """False once the reader has gone."""
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
