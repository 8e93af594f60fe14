"""One job of `assertion` tests in a zygote: sends the checks, judges what they tell.

The evaluator's side of `assertion`. Standard library only.
"""

from __future__ import annotations

import json
import os
from typing import Any, ClassVar

from sandbox import protocol
from sandbox.base import Status, Test
from sandbox.trial import GRACE_SECONDS, Lost, Trial

_STATUS: dict[str, Status] = {
    "passed": "passed",
    "failed": "wrong_answer",
    "malformed": "wrong_answer",
    "raised": "runtime_error",
    "ended": "runtime_error",
    "too_large": "output_limit",
    "broken": "infra_error",
}


class AssertionTrial(Trial):
    """`run` once."""

    extra: ClassVar[dict[str, object]] = {"assertion": True}

    def _one(self, test: Test) -> tuple[Status, str]:
        self._send({"op": "test"})
        source = os.memfd_create("check")
        try:
            with open(source, "wb", closefd=False) as file:
                file.write(test.input.encode("utf-8", "surrogatepass"))
            os.lseek(source, 0, os.SEEK_SET)
            protocol.send_descriptor(self._sock, source)
        finally:
            os.close(source)
        report, blobs = self._receive(self._job.limits.wall_s + GRACE_SECONDS)
        if report["op"] == "lost":
            raise Lost(f"the process that starts tests ended with status {report['status']}")
        checked = report["check"]
        self._cpu_s += report["cpu_s"] + checked["cpu_s"]
        self._wall_s += report["wall_s"]
        self._memory_mb = max(self._memory_mb, report["memory_mb"])
        return self._judged(report, checked, *blobs)

    def _judged(
        self,
        report: dict[str, Any],
        checked: dict[str, Any],
        errors: bytes,
        said: bytes,
        check_errors: bytes,
    ) -> tuple[Status, str]:
        verdict = _read(said)
        if verdict["status"] in _STATUS and verdict["status"] != "ended":
            report = {**report, "status": 0}  # how it ends once the check has is its own affair
        if (stopped := self._stopped(report, errors)) is not None:
            return stopped
        if (stopped := self._stopped(checked, check_errors)) is not None:
            status, detail = stopped
            blamed = "" if status == "infra_error" else "the check, on what the program returned: "
            return status, blamed + detail
        status = _STATUS.get(verdict["status"], "infra_error")
        detail = verdict["detail"]
        if verdict["status"] == "broken":
            detail = f"the benchmark's check is at fault: {detail}"
        if verdict["status"] == "ended":
            detail = "the program ended before it had answered the check"
        return status, _printable(detail)


def _read(said: bytes) -> dict[str, str]:
    try:
        verdict = json.loads(said)
        return {"status": str(verdict["status"]), "detail": str(verdict["detail"])}
    except (ValueError, KeyError, TypeError):
        return {"status": "none", "detail": "the check told no verdict"}


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
