"""One job in a zygote: sends it, judges each test, makes the Outcome.

Standard library only. Holds the expected outputs, so it never runs in the zygote.
"""

from __future__ import annotations

import hashlib
import os
import signal
import socket
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any, ClassVar

from sandbox import protocol
from sandbox.base import Job, Outcome, Status, Test
from sandbox.child import MEMORY_EXIT
from sandbox.compare import compare_stdout, compare_value
from sandbox.inputs import Inputs, is_large
from sandbox.series import recorded

COMPILE_SECONDS = 20.0
MOST_SERIES = 1 << 20  # characters of input
MOST_SHARED = 64  # large inputs of one job that come as descriptors
GRACE_SECONDS = 10.0  # beyond a test's own wall limit, for the zygote to answer
BUSY = 1.2  # wall seconds for each CPU second: above it something else had the core


class Lost(Exception):
    """The zygote died or does not answer."""


class Trial:
    """`run` once. `was_busy`: some test that timed out had less of a core than it wanted, or was
    killed by the kernel below its own limits."""

    extra: ClassVar[dict[str, object]] = {}  # of the job's header: who serves it in the zygote

    def __init__(
        self,
        sock: socket.socket,
        job: Job,
        inputs: Inputs | None = None,
        in_series: bool = False,
    ) -> None:
        self._sock, self._job = sock, job
        self._inputs = inputs or Inputs()
        self._in_series = in_series and len(job.tests) > 1
        self._answers: dict[int, bytes] = {}  # by test, from series
        self._shared: dict[int, int] = {}
        self.was_busy = False
        self._passed = 0
        self._outputs: list[str] = []
        self._cpu_s = self._wall_s = self._memory_mb = 0.0

    def run(self) -> Outcome:
        """Raises Lost."""
        job = self._job
        if not job.tests:
            return self._outcome(
                "infra_error", "a job without tests, which nothing could fail", None
            )
        try:
            source = job.source.encode("utf-8", "surrogatepass")
            asked = {"op": "job", "entry": job.entry_point, "series": self._in_series}
            header = {**asked, **self.extra}
            limits = {**asdict(job.limits), "wall_s": job.limits.wall_s}
            self._begin({**header, "limits": limits}, source)
            answer, _ = self._receive(COMPILE_SECONDS)
            if answer["op"] == "lost":
                return self._outcome("compile_error", _compiler_end(answer["status"]), None)
            if not answer["ok"]:
                return self._outcome("compile_error", answer["detail"], None)
            self._in_series &= answer.get("series", False)
            outcome = self._tests()
            self._send({"op": "end"})
            return outcome
        except (protocol.Closed, TimeoutError) as error:
            raise Lost(str(error) or "no answer in time") from error

    def _begin(self, header: dict[str, Any], source: bytes) -> None:
        """The job, and a descriptor of each large input of it."""
        with ExitStack() as stack:
            files = [stack.enter_context(self._inputs.opened(each)) for each in self._large()]
            sizes = {"shared": [os.fstat(file).st_size for file in files]} if files else {}
            self._send({**header, **sizes}, source)
            for file in files:
                protocol.send_descriptor(self._sock, file)

    def _large(self) -> list[Test]:
        """Sets `_shared`: the place of each, by identity."""
        found = [test for test in self._job.tests if is_large(test)][:MOST_SHARED]
        self._shared = {id(test): place for place, test in enumerate(found)}
        return found

    def _send(self, header: dict[str, Any], *blobs: bytes) -> None:
        self._sock.settimeout(GRACE_SECONDS + 60)
        protocol.send(self._sock, header, *blobs)

    def _receive(self, seconds: float) -> tuple[dict[str, Any], list[bytes]]:
        self._sock.settimeout(seconds)
        return protocol.receive(self._sock)

    def _tests(self) -> Outcome:
        first: tuple[Status, str, int] | None = None
        for number, test in enumerate(self._job.tests):
            status, detail = self._in_a_series(number) or self._one(test)
            if status == "passed":
                self._passed += 1
            elif first is None:
                first = status, detail, number
                if not self._job.all_tests or status == "infra_error":
                    break
        if first is None:
            return self._outcome("passed", "", None)
        return self._outcome(*first)

    def _in_a_series(self, number: int) -> tuple[Status, str] | None:
        """Passed, or nothing: whatever is not right is seen again in a process of its own."""
        if self._in_series and number not in self._answers:
            self._run_series(number)
        answer = self._answers.get(number)
        if answer is None or self._difference(self._job.tests[number], answer) is not None:
            return None
        if self._job.keep_outputs:
            self._outputs.append(_digest(answer))
        return "passed", ""

    def _run_series(self, first: int) -> None:
        """Answers of tests from `first` on, as many as end normally and soon."""
        data, room = [], MOST_SERIES
        for test in self._job.tests[first:]:
            room -= len(test.input)
            if id(test) in self._shared or room < 0:
                break
            data.append(test.input.encode("utf-8", "surrogatepass"))
        answers = []
        if len(data) > 1:
            kinds = [test.kind for test in self._job.tests[first : first + len(data)]]
            self._send({"op": "series", "kinds": kinds}, *data)
            answers = self._received_series(len(data))
        self._answers.update(enumerate(answers, first))
        self._in_series = len(answers) > 1  # else it costs what single tests cost

    def _received_series(self, tests: int) -> list[bytes]:
        report, blobs = self._report()
        limits = self._job.limits
        if report["cpu_s"] > limits.cpu_s or report["memory_mb"] > limits.memory_mb:
            return []  # of which test, its own process will tell
        self._memory_mb = max(self._memory_mb, report["memory_mb"])
        return recorded(blobs[1], tests)

    def _outcome(self, status: Status, detail: str, failed: int | None) -> Outcome:
        return Outcome(
            key=self._job.key,
            status=status,
            detail=detail,
            cpu_s=round(self._cpu_s, 4),
            wall_s=round(self._wall_s, 4),
            memory_mb=round(self._memory_mb, 1),
            tests_passed=self._passed,
            tests=len(self._job.tests),
            failed_test=failed,
            outputs=tuple(self._outputs),
        )

    def _one(self, test: Test) -> tuple[Status, str]:
        header = {"op": "test", "kind": test.kind}
        if id(test) in self._shared:
            self._send({**header, "shared": self._shared[id(test)]})
        else:
            self._send(header, test.input.encode("utf-8", "surrogatepass"))
        report, (stdout, result, stderr) = self._report()
        self._memory_mb = max(self._memory_mb, report["memory_mb"])
        stopped = self._stopped(report, stderr)
        if self._job.keep_outputs:
            self._outputs.append("" if stopped else _digest(result or stdout))
        if stopped is not None:
            return stopped
        if test.kind == "functional" and not result:
            return "runtime_error", "the program ended without returning a value"
        difference = self._difference(test, stdout if test.kind == "stdin" else result)
        return ("passed", "") if difference is None else ("wrong_answer", difference)

    def _report(self) -> tuple[dict[str, Any], list[bytes]]:
        """Of a test or a series that has ended. Raises Lost."""
        report, blobs = self._receive(self._job.limits.wall_s + GRACE_SECONDS)
        if report["op"] == "lost":
            raise Lost(f"the process that starts tests ended with status {report['status']}")
        _require_beginning(report)
        self._cpu_s += report["cpu_s"]
        self._wall_s += report["wall_s"]
        return report, blobs

    def _difference(self, test: Test, answer: bytes) -> str | None:
        """Of what it printed or returned from what is right."""
        if test.kind == "stdin":
            return compare_stdout(answer, test.expected)
        if answer.startswith(b"!"):
            return _one_line(answer[1:])
        return compare_value(answer, test.expected, self._job.float_tolerance)

    def _stopped(self, report: dict[str, Any], stderr: bytes) -> tuple[Status, str] | None:
        """The status of a program that did not end normally; None for one that did. Raises Lost
        where it never began."""
        limits, status = self._job.limits, report["status"]
        _require_beginning(report)
        if max(report["written"]) >= limits.output_mb << 20:
            return "output_limit", f"more than {limits.output_mb} MiB of output"
        killed = status & 0x7F
        if report["timed_out"] or report["cpu_s"] > limits.cpu_s:
            self.was_busy |= report["wall_s"] > BUSY * report["cpu_s"] and not _sleeps(report)
            return "time_limit", f"{report['cpu_s']:.1f} s CPU, {report['wall_s']:.1f} s wall"
        if report["memory_mb"] > limits.memory_mb:
            return "memory_limit", f"{report['memory_mb']:.0f} MiB, limit {limits.memory_mb}"
        if status >> 8 == MEMORY_EXIT and not killed:
            return "memory_limit", "MemoryError"
        if killed == signal.SIGKILL:
            # Out of memory, for whose sake we can't tell; or its own doing, where it can: a second
            # try tells them apart.
            self.was_busy = True
            return "memory_limit", "killed by the kernel, which was out of memory"
        if killed:
            return "runtime_error", f"killed by {_name(killed)}"
        if status:
            return "runtime_error", _last_line(stderr) or f"exit code {status >> 8}"
        return None


def _require_beginning(report: dict[str, Any]) -> None:
    if not report["began"]:
        raise Lost(f"a test could not be set up: {report['setup'] or 'its process was killed'}")


def _digest(answer: bytes) -> str:
    """Of the lines without white space at their ends, which no comparison here looks at."""
    lines = b"\n".join(line.strip() for line in answer.strip().splitlines())
    return hashlib.sha256(lines).hexdigest()[:16]


def _compiler_end(status: int) -> str:
    """Why the compiler took its process with it. Raises Lost where the source is not to blame."""
    killed = status & 0x7F
    if killed == signal.SIGXCPU:
        return "the source takes too long to compile"
    if killed in (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT):
        return f"the compiler crashed on the source ({_name(killed)})"
    raise Lost(f"the process that compiles ended with status {status}")


def _sleeps(report: dict[str, Any]) -> bool:
    """Hardly any CPU at all: it waited of its own accord."""
    return bool(report["cpu_s"] < 0.1 * report["wall_s"])


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _last_line(stderr: bytes) -> str:
    lines = stderr.strip().splitlines()
    return _one_line(lines[-1]) if lines else ""


def _one_line(text: bytes) -> str:
    """What a program wrote, fit for a terminal."""
    shown = text[:4000].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "?" for c in shown)[:300]
