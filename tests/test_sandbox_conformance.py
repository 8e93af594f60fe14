"""The conformance suite: our pool passes it, and an executor that isolates nothing does not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace

import pytest

from sandbox.base import Job, Outcome, Status, Tier
from sandbox.conformance import CASES, Case, check
from sandbox.pool import Pool
from sandbox.tiers import probe

AVAILABLE = {offer.tier: offer for offer in probe()}


class Told:
    """An executor that decides as it is told."""

    tier: Tier = "C"

    def __init__(self, outcomes: dict[str, list[Outcome]]) -> None:
        self.outcomes = outcomes

    def describe(self) -> dict[str, object]:
        return {}

    def run(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        for job in jobs:
            yield from self.outcomes.get(job.key, [])

    def close(self) -> None:
        return


class Naive(Told):
    """Python in a child process: a time limit, and no isolation."""

    def __init__(self) -> None:
        super().__init__({})

    def run(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        for job in jobs:
            yield right(job, self._status(job))

    def _status(self, job: Job) -> Status:
        run = subprocess.run(
            [sys.executable, "-c", job.source], input=job.tests[0].input, text=True,
            capture_output=True, timeout=20,
        )  # fmt: skip
        if run.returncode:
            return "runtime_error"
        same = run.stdout.strip() == job.tests[0].expected.strip()
        return "passed" if same else "wrong_answer"


def right(job: Job, status: Status) -> Outcome:
    passed = len(job.tests) if status == "passed" else 0
    failed = None if status == "passed" else 0
    return Outcome(job.key, status, tests_passed=passed, tests=len(job.tests), failed_test=failed)


def allowed(case: Case) -> Outcome:
    return right(case.job, min(case.allowed))


@pytest.mark.parametrize("tier", ["A", pytest.param("B", marks=pytest.mark.slow)])
def test_our_pool_conforms(tier: Tier) -> None:
    if not AVAILABLE[tier].available:
        pytest.skip(f"tier {tier}: {AVAILABLE[tier].reason}")
    with Pool(2, tier=tier) as pool:
        assert [(f.case.name, f.reason) for f in check(pool)] == []


def test_names_are_keys_and_each_kind_of_verdict_is_asked_for() -> None:
    assert len({case.job.key for case in CASES}) == len(CASES) > 40
    assert all(case.name == case.job.key for case in CASES)
    wanted = {status for case in CASES for status in case.allowed}
    assert wanted == {
        *("passed", "wrong_answer", "runtime_error", "compile_error"),
        *("time_limit", "memory_limit", "output_limit"),
    }


def test_an_executor_that_isolates_nothing_lets_every_attempt_through() -> None:
    # Being root is what opens another's memory and the library.
    needs_root = {"out: the evaluator's memory", "out: the library"}
    attempts = [c for c in CASES if c.name.startswith("out:") and c.name not in needs_root]
    others = [case for case in CASES if case.name in ("honest: input", "other output")]
    assert [f.case for f in check(Naive(), [*attempts, *others])] == attempts


def test_right_verdicts_are_no_failure() -> None:
    assert check(Told({case.name: [allowed(case)] for case in CASES})) == []


@pytest.mark.parametrize("status", ["passed", "wrong_answer", "infra_error"])
def test_one_verdict_for_all_fails_each_case_that_does_not_allow_it(status: Status) -> None:
    failures = check(Told({case.name: [right(case.job, status)] for case in CASES}))
    assert [f.case for f in failures] == [case for case in CASES if status not in case.allowed]
    assert all(f.outcome and f.case.why in f.reason for f in failures)


@pytest.mark.parametrize("times", [0, 2])
def test_a_job_has_exactly_one_outcome(times: int) -> None:
    outcomes = {case.name: [allowed(case)] for case in CASES}
    outcomes[CASES[3].name] *= times
    [failure] = check(Told(outcomes))
    assert failure.case == CASES[3]
    assert failure.reason == f"{times} outcomes for one job"


@pytest.mark.parametrize(
    "change", [{"tests": 7}, {"tests_passed": 0}, {"failed_test": 0}, {"tests_passed": 2}]
)
def test_counts_agree_with_the_verdict(change: dict[str, int]) -> None:
    case = CASES[0]
    assert case.allowed == {"passed"}
    [failure] = check(Told({case.name: [replace(allowed(case), **change)]}), [case])
    assert failure.case == case
