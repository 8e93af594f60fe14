"""Our own Executor: worker threads, each with a zygote, grading jobs as they come.

The comparison happens here, in the process that holds the answers; programs run in the zygotes'
children. Chooses no problems and extracts no code.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from types import TracebackType

from sandbox import leftovers, tiers
from sandbox.asserted import AssertionTrial
from sandbox.base import Answers, Job, Limits, Outcome, SandboxError, Tier
from sandbox.inputs import Inputs
from sandbox.profiled import ProfiledTrial
from sandbox.trial import Lost, Trial
from sandbox.worker import Zygote, proven

Task = tuple[Job, Answers]


class Pool:
    """`workers` zygotes of one tier. A context manager; see `sandbox.base.Executor`.

    `tier` None takes the best that this machine offers, but C only with `unsafe`. `limits` are
    those of a usual job: a job's own decide, but for a larger stack. Without `series` every test
    has a process of its own, also where a program could not tell (`sandbox.memoryless`). Raises
    SandboxError where no sandbox can be had.
    """

    def __init__(
        self,
        workers: int = 2,
        limits: Limits | None = None,
        unsafe: bool = False,
        tier: Tier | None = None,
        series: bool = True,
    ) -> None:
        if workers < 1:
            raise SandboxError(f"{workers} workers; use 1 or more")
        self._limits = limits or Limits()
        self._series = series
        self._modules = tiers.third_party()
        self._todo: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._alone = _Alone()
        self._inputs = Inputs()
        self._closed = False
        self._workers: list[_Worker] = []
        reasons: dict[Tier, str] = {}
        for each in tiers.candidates(tier, unsafe=unsafe):
            try:
                self._start(each, workers)
                return
            except SandboxError as error:
                reasons[each] = str(error)
        raise tiers.refusal(reasons)

    def _start(self, tier: Tier, workers: int) -> None:
        self._tier: Tier = tier
        if tier != "A":  # which has no folders in the host's file system
            leftovers.clear()
        started = [_Worker(self, tier) for _ in range(workers)]
        try:
            for worker in started:
                worker.wait_until_ready()
        except SandboxError:
            _end(started, self._todo)
            raise
        self._workers = started

    @property
    def tier(self) -> Tier:
        return self._tier

    def describe(self) -> dict[str, object]:
        return {
            "tier": self._tier,
            "limits": asdict(self._limits),
            "series": self._series,
            "python": self._workers[0].version,
            "modules": sorted(name for name in self._modules if not name.endswith(".libs")),
        }

    def zygote(self) -> Zygote:
        """A new one. It dies with the thread that calls this."""
        return proven(self._tier, self._modules, self._limits.stack_mb)

    def run(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        """Outcomes in the order they finish. Jobs are pulled one for each idle worker.

        A job whose worker is lost twice is an infra_error.
        """
        answers: queue.SimpleQueue[Outcome | BaseException] = queue.SimpleQueue()
        source = iter(jobs)
        running, exhausted = 0, False
        while True:
            while not exhausted and running < len(self._workers) + 1:  # one waits: none idles
                job = next(source, None)
                exhausted = job is None
                if job is not None:
                    self.submit(job, answers)
                    running += 1
            if not running:
                return
            answer = answers.get()
            running -= 1
            if isinstance(answer, BaseException):
                raise answer
            yield answer

    def submit(self, job: Job, answers: Answers) -> None:
        """Without waiting; what `run` would yield or raise is put into `answers`."""
        if self._closed:
            raise SandboxError("the pool is closed; open another")
        self._todo.put((job, answers))

    def cpu_seconds(self) -> float:
        """Of the zygotes, all that they started, and the threads here that compare."""
        return sum(worker.cpu_seconds() for worker in self._workers)

    def grade(self, zygote: Zygote, job: Job) -> Outcome:
        """A time limit is tried once more with no neighbour, if the program lacked a whole core.

        So is a program that the kernel killed while it used less than it may. Raises Lost.
        """
        first = self._trial(zygote, job)
        with self._alone.beside_others():
            outcome = first.run()
        if outcome.status not in ("time_limit", "memory_limit") or not first.was_busy:
            return outcome
        with self._alone.alone():
            again = self._trial(zygote, job).run()
        return again if again.status == outcome.status else replace(again, flaky=True)

    def _trial(self, zygote: Zygote, job: Job) -> Trial | ProfiledTrial:
        """Checks are the same under every profile: no other scorer has them."""
        if job.tests and job.tests[0].kind == "assertion":
            return AssertionTrial(zygote.sock, job)
        if job.profile == "faithful":
            return Trial(zygote.sock, job, self._inputs, in_series=self._series)
        return ProfiledTrial(zygote.sock, job)

    def close(self) -> None:
        """Ends all processes; programs that still run are killed."""
        if not self._closed:
            self._closed = True
            _end(self._workers, self._todo)
            self._inputs.close()

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Worker:
    """A thread that lives as long as its pool, since zygotes die with the thread they come from."""

    def __init__(self, pool: Pool, tier: Tier) -> None:
        self._pool = pool
        self._ready: queue.SimpleQueue[SandboxError | None] = queue.SimpleQueue()
        self._ending = False
        self._zygote: Zygote | None = None
        self._cpu_s = self._before_cpu_s = 0.0  # this thread's, and ended zygotes'
        self.version = ""
        self.thread = threading.Thread(target=self._live, name=f"sandbox-{tier}", daemon=True)
        self.thread.start()

    def wait_until_ready(self) -> None:
        if (error := self._ready.get()) is not None:
            raise error

    def cpu_seconds(self) -> float:
        zygote = self._zygote
        return self._cpu_s + self._before_cpu_s + (zygote.cpu_seconds() if zygote else 0.0)

    def end(self) -> None:
        """A program that runs is given up; the thread ends after that."""
        self._ending = True
        if (zygote := self._zygote) is not None:
            zygote.interrupt()

    def _live(self) -> None:
        try:
            self._zygote = self._pool.zygote()
        except SandboxError as error:
            self._ready.put(error)
            return
        self.version = self._zygote.version
        self._ready.put(None)
        while (task := self._pool._todo.get()) is not None:
            job, answers = task
            try:
                outcome: Outcome | BaseException = self._outcome(job)
            except BaseException as error:  # to whoever asked
                outcome = error
            self._cpu_s = time.thread_time()
            answers.put(outcome)
        self._discard()

    def _outcome(self, job: Job) -> Outcome:
        lost = ""
        for _ in range(2):
            try:
                return self._pool.grade(self._fresh(), job)
            except Lost as error:
                lost = str(error)
                self._discard()
        return Outcome(
            job.key,
            "infra_error",
            f"the sandbox lost it twice: {lost}"[:300],
            tests=len(job.tests),
        )

    def _fresh(self) -> Zygote:
        if self._ending:
            raise SandboxError("the pool was closed before the program's end")
        if self._zygote is None:
            self._zygote = self._pool.zygote()
        return self._zygote

    def _discard(self) -> None:
        zygote, self._zygote = self._zygote, None
        if zygote is not None:
            self._before_cpu_s += zygote.cpu_seconds()
            zygote.close()


def _end(workers: list[_Worker], todo: queue.SimpleQueue[Task | None]) -> None:
    _empty(todo)
    for worker in workers:
        worker.end()
        todo.put(None)
    for worker in workers:
        worker.thread.join()
    _empty(todo)  # a worker that never began took no last word: the next tier's would


def _empty(todo: queue.SimpleQueue[Task | None]) -> None:
    with suppress(queue.Empty):
        while True:
            task = todo.get_nowait()
            if task is not None:
                task[1].put(SandboxError("the pool was closed before the program's turn"))


class _Alone:
    """Many beside each other, or one alone; who wants to be alone goes first."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._beside = 0
        self._waiting = 0
        self._taken = False

    @contextmanager
    def beside_others(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._taken and not self._waiting)
            self._beside += 1
        try:
            yield
        finally:
            with self._changed:
                self._beside -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._changed:
            self._waiting += 1
            self._changed.wait_for(lambda: not self._taken and not self._beside)
            self._waiting -= 1
            self._taken = True
        try:
            yield
        finally:
            with self._changed:
                self._taken = False
                self._changed.notify_all()
