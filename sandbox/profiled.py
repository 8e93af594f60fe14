"""One job under another project's rules: sends it, judges what comes back, makes the Outcome.

The evaluator's side of `session`. Holds the expected outputs and compares as the other checker
does; verdicts that the sandbox refuses say so in `detail`. Standard library only.
"""

from __future__ import annotations

import json
import re
import signal
import socket
from dataclasses import asdict
from typing import Any

from sandbox import equality, mlssd, protocol, tiers
from sandbox.base import Job, Outcome, Status, Test
from sandbox.compare import compare_text
from sandbox.trial import BUSY, GRACE_SECONDS, Lost

_FAILURES = ("time_limit", "memory_limit", "runtime_error", "compile_error")
_BLANK = re.compile(r"[ \t\r\n]*,?[ \t\r\n]*")


class ProfiledTrial:
    """`run` once. `was_busy`: it timed out and had less of a core than it wanted, or was killed by
    the kernel below its own limits."""

    def __init__(self, sock: socket.socket, job: Job) -> None:
        self._sock, self._job = sock, job
        self._passed = 0
        self._failure: tuple[Status, str] | None = None
        self._finished = False
        self.was_busy = False

    def run(self) -> Outcome:
        """Raises Lost."""
        job = self._job
        missing = _missing_module(job)
        if not job.tests:
            missing = "a job without tests, which nothing could fail"
        if missing:
            return self._outcome("infra_error", missing, {})
        try:
            self._start()
            report, stderr = self._conversation()
        except (protocol.Closed, TimeoutError) as error:
            raise Lost(str(error) or "no answer in time") from error
        status, detail = self._verdict(report, stderr)
        return self._outcome(status, detail, report)

    def _start(self) -> None:
        job, seconds = self._job, whole_seconds(self._job)
        called = job.entry_point is not None
        if job.profile == "ml-ssd":
            called = job.tests[0].kind == "functional"
        header = {
            "op": "job",
            "entry": job.entry_point if called else None,
            "profile": job.profile,
            "seconds": job.limits.cpu_s,
            "limits": {**asdict(job.limits), "cpu_s": seconds, "wall_s": seconds},
        }
        inputs = [_encoded(raw_input(test)) for test in job.tests]
        self._sock.settimeout(GRACE_SECONDS + 60)
        protocol.send(self._sock, header, _encoded(job.source))
        protocol.send(self._sock, {"op": "inputs"}, *inputs)

    def _conversation(self) -> tuple[dict[str, Any], bytes]:
        self._sock.settimeout(whole_seconds(self._job) + GRACE_SECONDS)
        while True:
            message, blobs = protocol.receive(self._sock)
            if message["op"] == "lost":
                raise Lost(f"the process that starts it ended with status {message['status']}")
            if message["op"] == "done":
                return message, blobs[0]
            go = self._judged(message["kind"].encode("latin-1"), blobs[0])
            protocol.send(self._sock, {"op": "go" if go else "stop"})

    def _judged(self, kind: bytes, content: bytes) -> bool:
        """Whether the program may go on."""
        tests = self._job.tests
        if kind == b"D" and self._passed == len(tests):
            self._finished = True
        elif kind == b"X":
            self._failure = _told(content)
        elif kind not in (b"O", b"V", b"S") or self._passed == len(tests):
            self._failure = "runtime_error", "the program's process told what it had no reason to"
        else:
            difference = _difference(self._job, kind, content, tests[self._passed])
            if difference is None:
                self._passed += 1
                return True
            self._failure = "wrong_answer", difference
        return False

    def _verdict(self, report: dict[str, Any], stderr: bytes) -> tuple[Status, str]:
        limits, status = self._job.limits, report["status"]
        killed = status & 0x7F
        if not report["began"]:
            reason = report["setup"] or "it was killed"
            raise Lost(f"the program's process could not be set up: {reason}")
        if self._failure is not None:
            self.was_busy = self._failure[0] == "time_limit" and _lacked_cpu(report)
            return self._failure
        if report["over"]:
            return "output_limit", f"more than {limits.output_mb} MiB of output"
        if report["timed_out"]:
            self.was_busy = _lacked_cpu(report)
            return "time_limit", f"{report['wall_s']:.1f} s for all tests"
        if report["memory_mb"] > limits.memory_mb:
            return "memory_limit", f"{report['memory_mb']:.0f} MiB, limit {limits.memory_mb}"
        if self._finished:
            return "passed", ""
        if killed == signal.SIGKILL and not report["closed"]:
            self.was_busy = True
            return "memory_limit", "killed by the kernel, which was out of memory"
        if killed == signal.SIGXCPU:
            return "time_limit", f"{report['cpu_s']:.1f} s CPU for all tests"
        if killed:
            return "runtime_error", f"killed by {signal.Signals(killed).name}"
        return "runtime_error", _last_line(stderr) or f"its process ended with status {status}"

    def _outcome(self, status: Status, detail: str, report: dict[str, Any]) -> Outcome:
        none_failed = status in ("passed", "infra_error", "compile_error")
        return Outcome(
            key=self._job.key,
            status=status,
            detail=detail,
            cpu_s=round(report.get("cpu_s", 0.0), 4),
            wall_s=round(report.get("wall_s", 0.0), 4),
            memory_mb=round(report.get("memory_mb", 0.0), 1),
            tests_passed=self._passed,
            tests=len(self._job.tests),
            failed_test=None if none_failed else min(self._passed, len(self._job.tests) - 1),
        )


def whole_seconds(job: Job) -> float:
    """What both checkers give a program's process for all of its tests."""
    return (job.limits.cpu_s + 1) * len(job.tests) + 5


def raw_input(test: Test) -> str:
    """As LiveCodeBench's rows have it: of a functional test, one JSON value a line."""
    if test.kind == "stdin":
        return test.input
    text, at = test.input.strip(), 1
    lines: list[str] = []
    decoder = json.JSONDecoder(parse_int=len)  # the number itself plays no part
    while True:
        at = _BLANK.match(text, at).end()  # type: ignore[union-attr]
        if text[at] == "]":
            return "\n".join(lines)
        _, end = decoder.raw_decode(text, at)
        lines.append(text[at:end].replace("\n", " "))
        at = end


def _difference(job: Job, kind: bytes, content: bytes, test: Test) -> str | None:
    """None where the checker would find the test passed."""
    if kind == b"V":
        return _value_difference(content, test.expected)
    text = content.decode("utf-8", "surrogatepass")
    if job.profile == "official" or test.kind == "stdin":
        return compare_text(text, test.expected)
    try:
        expected = equality.expected_value(test.expected.strip())
    except equality.Unreadable:
        expected = test.expected.strip()
    try:
        return compare_text(text, expected if isinstance(expected, str) else str(expected))
    except ValueError as error:  # an integer of more digits than the scorer reads
        return str(error)


def _value_difference(content: bytes, expected: str) -> str | None:
    try:
        right = equality.expected_value(expected)
        tree = json.loads(content)
    except (ValueError, RecursionError) as error:
        return str(error)[:200]
    if equality.equal(tree, right):
        return None
    if name := equality.refused(tree):
        return f"refused: an object of its class {name}, which says itself what it equals"
    return f"the value differs from {expected[:100]}"


def _told(content: bytes) -> tuple[Status, str]:
    """Its failure, in the program's own words."""
    try:
        status, detail = json.loads(content)
    except (ValueError, TypeError, RecursionError):
        status = detail = None
    if status not in _FAILURES or not isinstance(detail, str):
        return "runtime_error", "its process told no failure that can be read"
    return status, "".join(c if c.isprintable() else "?" for c in detail)[:300]


def _missing_module(job: Job) -> str:
    """The scorer imports pandas for every program, so that its verdicts need it."""
    if job.profile != "ml-ssd":
        return ""
    for name, mentions in (("numpy", mlssd.NUMPY), ("pandas", mlssd.PANDAS)):
        if mentions.search(job.source) and name not in tiers.third_party():
            return f"the ml-ssd profile imports {name}, which is not installed: pip install {name}"
    return ""


def _lacked_cpu(report: dict[str, Any]) -> bool:
    cpu, wall = report["cpu_s"], report["wall_s"]
    return bool(BUSY * cpu < wall and cpu > 0.1 * wall)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _last_line(stderr: bytes) -> str:
    lines = stderr.strip().splitlines()
    shown = lines[-1][:4000].decode("utf-8", "replace") if lines else ""
    return "".join(c if c.isprintable() else "?" for c in shown)[:300]
