"""Our own Executor: worker threads, each with a zygote, grading jobs as they come.

The comparison happens here, in the process that holds the answers; programs run in the zygotes'
children. Chooses no problems and extracts no code.
"""

from __future__ import annotations

import json
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

from sandbox import protocol, tiers
from sandbox.base import Job, Limits, Outcome, SandboxError, Tier
from sandbox.trial import Lost, Trial

HELLO_SECONDS = 30.0
DONE = object()


class Zygote:
    """One zygote process and the socket to it."""

    def __init__(self, tier: Tier, modules: dict[str, str]) -> None:
        from sandbox.zygote import LAUNCH

        ours, theirs = socket.socketpair()
        command = [
            sys.executable,
            "-I",
            "-S",
            "-B",
            "-c",
            LAUNCH,
            str(Path(__file__).parent.parent),
        ]
        with theirs:
            self.process = subprocess.Popen(
                [*command, str(theirs.fileno()), tier, json.dumps(modules)],
                env={},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self.sock = ours
        self._greet()

    def _greet(self) -> None:
        self.sock.settimeout(HELLO_SECONDS)
        try:
            hello, _ = protocol.receive(self.sock)
        except (protocol.Closed, TimeoutError) as error:
            self.close()
            raise SandboxError(
                f"the sandbox's zygote does not start ({error}); run `ssd-eval doctor`"
            ) from error
        if not hello["ok"]:
            self.close()
            raise SandboxError(f"the sandbox cannot be set up: {hello['detail']}")
        self.version = str(hello["detail"])

    def close(self) -> None:
        """Ends the zygote and all that it started."""
        self.sock.close()
        self.process.kill()
        self.process.wait()


class Pool:
    """`workers` zygotes of one tier. A context manager; see `sandbox.base.Executor`.

    `tier` None takes the best that this machine offers, but C only with `unsafe`. Raises
    SandboxError where it offers none.
    """

    def __init__(
        self,
        workers: int = 2,
        limits: Limits | None = None,
        unsafe: bool = False,
        tier: Tier | None = None,
    ) -> None:
        if workers < 1:
            raise SandboxError(f"{workers} workers; use 1 or more")
        self._limits = limits or Limits()
        self._tier: Tier = tiers.choose(tier, unsafe=unsafe)
        self._modules = tiers.third_party()
        self._zygotes = [Zygote(self._tier, self._modules) for _ in range(workers)]
        self._alone = threading.Lock()  # held by a program that is tried again with no neighbour
        self._closed = False

    @property
    def tier(self) -> Tier:
        return self._tier

    def describe(self) -> dict[str, object]:
        return {
            "tier": self._tier,
            "limits": asdict(self._limits),
            "python": self._zygotes[0].version,
            "modules": sorted(self._modules),
        }

    def run(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        """Outcomes in the order they finish. Jobs are pulled one for each idle worker.

        A job whose worker is lost twice is an infra_error.
        """
        todo: queue.Queue[Job | None] = queue.Queue()
        results: queue.Queue[Outcome | BaseException] = queue.Queue()
        threads = [
            threading.Thread(target=self._work, args=(number, todo, results), daemon=True)
            for number in range(len(self._zygotes))
        ]
        for thread in threads:
            thread.start()
        try:
            yield from self._flow(iter(jobs), todo, results)
        finally:
            for _ in threads:
                todo.put(None)
            for thread in threads:
                thread.join()

    def _flow(
        self,
        jobs: Iterator[Job],
        todo: queue.Queue[Job | None],
        results: queue.Queue[Outcome | BaseException],
    ) -> Iterator[Outcome]:
        running = 0
        exhausted = False
        while True:
            while not exhausted and running < len(self._zygotes) + 1:  # one waits: none idles
                job = next(jobs, None)
                exhausted = job is None
                if job is not None:
                    todo.put(job)
                    running += 1
            if not running:
                return
            result = results.get()
            running -= 1
            if isinstance(result, BaseException):
                raise result
            yield result

    def _work(
        self,
        number: int,
        todo: queue.Queue[Job | None],
        results: queue.Queue[Outcome | BaseException],
    ) -> None:
        while (job := todo.get()) is not None:
            try:
                results.put(self._outcome(number, job))
            except BaseException as error:
                results.put(error)

    def _outcome(self, number: int, job: Job) -> Outcome:
        lost = ""
        for _ in range(2):
            try:
                return self._tried(number, job)
            except Lost as error:
                lost = str(error)
                self._replace(number)
        return Outcome(job.key, "infra_error", f"the sandbox lost it twice: {lost}"[:300])

    def _tried(self, number: int, job: Job) -> Outcome:
        """A time limit is tried once more alone where other programs were running beside it."""
        trial = Trial(self._zygotes[number].sock, job)
        outcome = trial.run()
        if outcome.status != "time_limit" or not trial.was_busy:
            return outcome
        with self._alone:
            again = Trial(self._zygotes[number].sock, job).run()
        if again.status == "time_limit":
            return again
        return Outcome(**{**vars(again), "flaky": True})

    def _replace(self, number: int) -> None:
        self._zygotes[number].close()
        self._zygotes[number] = Zygote(self._tier, self._modules)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            for zygote in self._zygotes:
                zygote.close()

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
