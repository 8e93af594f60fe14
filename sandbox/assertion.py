"""Two processes for each `assertion` test: the program, and the check that calls it.

Stands in for `candidate` where a job's tests are checks. Both are forked side by side and isolated
alike; a socket between them is all they share. The check's source comes as a file's descriptor that
only its own process reads, so the answers in it are in no memory that the program has. Trusted;
standard library only.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from types import CodeType, ModuleType
from typing import Any, NoReturn

from sandbox import boxes, calls, check, child, linux, protocol, root
from sandbox.candidate import Candidate, Inherited
from sandbox.confine import MIB
from sandbox.streams import RESULT, Streams

_VERDICT = 4000  # bytes of a check's verdict, at most


def prepare() -> None:
    """In the zygote, once: nothing beyond this module's own imports."""


class Session(Candidate):
    """`serve` once."""

    def serve(self, source: bytes) -> None:
        """Until the job ends. Raises protocol.Closed when the evaluator is gone."""
        code, problem = self._compiled(source)
        protocol.send(self.sock, {"op": "compiled", "ok": code is not None, "detail": problem})
        while code is not None:
            header, _ = protocol.receive(self.sock)
            if header["op"] != "test":
                return
            self._checked(code, protocol.receive_descriptor(self.sock))

    def _checked(self, code: CodeType, source: int) -> None:
        ours, theirs = socket.socketpair()
        program = _Half(
            self.inherited,
            self.limits,
            _Streams(None, ours.detach()),
            lambda: calls.run_assertion(code, ModuleType("program"), RESULT),
        )
        most = int(self.limits["output_mb"]) * MIB
        checker = _Half(
            self.inherited,
            self.limits,
            _Streams(source, theirs.detach()),
            lambda: check.run_check(RESULT, most, self.entry),
        )
        self._wait(program, checker)
        report = {"op": "done", **program.report(), "check": checker.report()}
        errors, said = program.streams.written(2, _VERDICT), checker.streams.written(0, _VERDICT)
        protocol.send(self.sock, report, errors, said, checker.streams.written(2, _VERDICT))
        program.close()
        checker.close()

    def _wait(self, program: _Half, checker: _Half) -> None:
        """Until the check ends, or the time of either; then nothing of both is alive."""
        end = time.monotonic() + self.limits["wall_s"]
        poll = select.poll()
        poll.register(self.sock.fileno(), select.POLLRDHUP)
        poll.register(checker.pidfd, select.POLLIN)
        gone = False
        while not gone and not checker.ended():
            left = min(end - time.monotonic(), program.cpu_left(), checker.cpu_left())
            if left <= 0:
                late = checker if checker.cpu_left() <= 0 else program
                late.timed_out = True
                break
            gone = self.sock.fileno() in dict(poll.poll(left * 1000 + 1))
        program.end()
        checker.end()
        if gone:  # the evaluator is
            os._exit(1)


class _Streams(Streams):
    """Those of a test, with `channel` for its result and, if given, another standard input.

    Closes what it is given.
    """

    def __init__(self, stdin: int | None, channel: int) -> None:
        super().__init__(b"")
        if stdin is not None:
            os.close(self.stdin)
            self.stdin = stdin
        os.close(self.out[1])
        self.out[1] = channel

    def written(self, which: int, most: int) -> bytes:
        """The end of standard output (0) or standard error (2)."""
        size = os.fstat(self.out[which]).st_size
        return os.pread(self.out[which], most, max(0, size - most))


class _Half:
    """One of the two processes: started here, ended and reported once."""

    def __init__(
        self,
        inherited: Inherited,
        limits: dict[str, float],
        streams: _Streams,
        work: Callable[[], NoReturn],
    ) -> None:
        self.inherited, self.limits, self.streams = inherited, limits, streams
        folder = inherited.boxes
        self.box = boxes.make(folder) if folder else None
        self.timed_out = self.killed = False
        self.started = time.monotonic()
        self.ready, done = os.pipe()
        self.pid = linux.fork_into(0 if folder else linux.CLONE_NEWPID | linux.CLONE_NEWNS)
        if self.pid == 0:
            self._be(work, done)
        os.close(done)
        os.close(streams.out[1])  # so that the other half sees the end of this one
        self.pidfd = os.pidfd_open(self.pid)

    def _be(self, work: Callable[[], NoReturn], done: int) -> NoReturn:
        try:
            if self.box is not None:
                os.chdir(self.box)
            else:
                root.fresh_box(int(self.limits["box_mb"]))
            os.setsid()
            done = self.streams.install(done, keep=self.inherited.confinement.rules)
            self.inherited.confinement.apply(self.limits)
            child.fresh_interpreter()
            os.write(done, b"+")
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.write(done, f"{type(error).__name__}: {error}".encode()[:190])
            os._exit(1)
        os.close(done)
        work()

    def cpu_left(self) -> float:
        try:
            used = time.clock_gettime(~self.pid << 3 | 2)  # as clock_getcpuclockid(3) makes it
        except OSError:
            used = 0.0
        return self.limits["cpu_s"] - used

    def ended(self) -> bool:
        return bool(select.select([self.pidfd], [], [], 0)[0])

    def end(self) -> None:
        """Kills it where it still runs, and waits."""
        if not self.ended():
            self.killed = True
            os.kill(self.pid, signal.SIGKILL)  # not reaped yet, so the number is still its own
        _, self.status, self.usage = os.wait4(self.pid, 0)
        os.close(self.pidfd)

    def report(self) -> dict[str, Any]:
        began = os.read(self.ready, 200)
        os.close(self.ready)
        memory = max(0, self.usage.ru_maxrss - self.inherited.baseline_kb) / 1024
        # A check may be over before the program began: then we killed it, and nothing failed.
        unneeded = self.killed and not began and not self.timed_out
        return {
            "began": began == b"+" or unneeded,
            "setup": began.decode("utf-8", "replace"),
            "timed_out": self.timed_out,
            "status": 0 if self.killed else self.status,
            "cpu_s": self.usage.ru_utime + self.usage.ru_stime,
            "wall_s": time.monotonic() - self.started,
            "memory_mb": memory,
            "written": [os.fstat(fd).st_size for fd in (self.streams.out[0], self.streams.out[2])],
        }

    def close(self) -> None:
        for fd in (self.streams.stdin, self.streams.out[0], self.streams.out[2]):
            os.close(fd)
        if self.box is not None:
            boxes.remove(self.box)
