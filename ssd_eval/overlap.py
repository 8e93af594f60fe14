"""Grading beside sampling: completions go in as they are written, verdicts come out as they come.

One thread that waits on one queue, for completions and for outcomes alike; the sandbox's processes
do the work. Writes nothing itself (`on_verdict` does) and knows no run folder.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable
from types import TracebackType

from sandbox.base import Executor, Job, Outcome
from ssd_eval.grade import Ledger, sample_of
from ssd_eval.records import Completion, Verdict

_Item = Completion | Outcome | BaseException


class _Word:
    """What the caller says last."""


_END, _STOP = _Word(), _Word()


class Grading:
    """A context manager. `add` completions, then `finish`; left without that, it stops at once.

    `on_verdict` is called in the grading thread, one call at a time. What it raises, or what
    grading raises (see `grade`), comes out of the next `add` or of `finish`.
    """

    def __init__(
        self, ledger: Ledger, executor: Executor, on_verdict: Callable[[Verdict], None]
    ) -> None:
        self._ledger = ledger
        self._executor = executor
        self._on_verdict = on_verdict
        self._items: queue.SimpleQueue[_Item | _Word] = queue.SimpleQueue()
        self._over: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._live, name="grading", daemon=True)

    def add(self, completion: Completion) -> None:
        """Returns at once."""
        if self._error is not None:
            raise self._error
        self._items.put(completion)

    def finish(self) -> None:
        """Waits for the last verdict."""
        self._items.put(_END)
        if (error := self._over.get()) is not None:
            raise error

    def __enter__(self) -> Grading:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._items.put(_STOP)
        self._thread.join()

    def _live(self) -> None:
        try:
            self._work()
        except BaseException as error:  # to whoever adds or waits
            self._error = error
        self._over.put(self._error)

    def _work(self) -> None:
        ending = False
        while not (ending and not self._ledger.waiting):
            item = self._items.get()
            if item is _STOP:
                return
            if item is _END:
                ending = True
            elif isinstance(item, Completion):
                self._enter(item)
            elif isinstance(item, Outcome):
                self._tell(self._ledger.settle(item))
            elif isinstance(item, BaseException):
                raise item

    def _enter(self, completion: Completion) -> None:
        found = sample_of(completion, self._ledger.problems, self._ledger.extractor)
        entered = self._ledger.enter(found)
        if isinstance(entered, Job):
            self._executor.submit(entered, self._items)
        elif entered is not None:
            self._tell([entered])

    def _tell(self, verdicts: Iterable[Verdict]) -> None:
        for verdict in verdicts:
            self._on_verdict(verdict)
