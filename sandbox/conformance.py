"""What any Executor must decide: programs with the verdicts they may get. Runs nothing by itself.

`check(executor)` runs all of them, ours (`sandbox.pool.Pool`) or another's. The programs do no harm
where nothing holds them back, but for costing what their limits allow: CPU seconds, 256 MiB, 4 MiB
of disk and a few processes. Passing is necessary, not enough: `tests/test_sandbox_hostile.py` has
the programs that look at our own isolation from inside.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sandbox.base import Executor, Job, Limits, Outcome, Status, Test
from sandbox.conformance_programs import FUNCTIONS, PROGRAMS

LIMITS = Limits(cpu_s=1.0, memory_mb=256, stack_mb=256, output_mb=4, box_mb=4)


@dataclass(frozen=True)
class Case:
    """One program. `allowed`: every verdict that is right; `why`: what another would mean."""

    name: str
    job: Job
    allowed: frozenset[Status]
    why: str


@dataclass(frozen=True)
class Failure:
    """A case that was not decided as it must be. `outcome` None: none came, or more than one."""

    case: Case
    outcome: Outcome | None
    reason: str


def check(executor: Executor, cases: Iterable[Case] | None = None) -> list[Failure]:
    """The cases that `executor` decides wrongly, in their order; all of CASES unless given."""
    wanted = list(CASES if cases is None else cases)
    outcomes = list(executor.run(case.job for case in wanted))
    counts = Counter(outcome.key for outcome in outcomes)
    by_key = {outcome.key: outcome for outcome in outcomes}
    failures = []
    for case in wanted:
        outcome = by_key.get(case.name) if counts[case.name] == 1 else None
        reason = _wrong(case, outcome, counts[case.name])
        if reason is not None:
            failures.append(Failure(case, outcome, reason))
    return failures


def _wrong(case: Case, outcome: Outcome | None, count: int) -> str | None:
    if outcome is None:
        return f"{count} outcomes for one job"
    if outcome.status not in case.allowed:
        return f"{outcome.status} ({outcome.detail}): {case.why}"
    if outcome.tests != len(case.job.tests):
        return f"says it had {outcome.tests} tests, not {len(case.job.tests)}"
    passed = outcome.tests_passed == outcome.tests and outcome.failed_test is None
    if passed != (outcome.status == "passed"):
        return f"{outcome.status} with {outcome.tests_passed} of {outcome.tests} tests passed"
    return None


def _cases() -> Iterator[Case]:
    for name, allowed, why, source, pairs in PROGRAMS:
        tests = tuple(Test("stdin", given, expected) for given, expected in pairs)
        yield Case(name, Job(name, source, tests, limits=LIMITS), frozenset(allowed), why)
    for name, allowed, why, source, pairs in FUNCTIONS:
        tests = tuple(Test("functional", given, expected) for given, expected in pairs)
        job = Job(name, source, tests, entry_point="solve", limits=LIMITS)
        yield Case(name, job, frozenset(allowed), why)


CASES: tuple[Case, ...] = tuple(_cases())
