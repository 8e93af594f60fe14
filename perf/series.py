"""Tests in series beside a process for each test: verdicts, and every answer byte for byte.

    python perf/series.py [--rows FILE --outputs FILE] [--share N] [--tests N] [--only TEXT]
        [--all] [--tier A|B] [--seconds N]

The corpora are those of `agreement.py` (HumanEval and `micro` with references and mutants, the
honest and tampering suites, outputs of real models where FILEs are given), the hostile attempts and
the conformance suite. Only programs that are proven to keep nothing are run, since all others have
a process for each test in both pools (--all runs them too, which takes hours). --share N takes
every N-th of each corpus; --tests N at most so many tests of a program, the shortest. All of them
run, but for programs that are stopped at a limit. Exit code 1 where anything differs but what such
a program took.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[0] = str(HERE.parent)  # `sandbox` is the package, not the script beside this one
sys.path += [str(HERE), str(HERE.parent / "tests")]

import agreement_pairs  # noqa: E402
from agreement import _test  # noqa: E402
from hostile_attempts import ATTEMPTS  # noqa: E402

from sandbox import child  # noqa: E402
from sandbox.base import Job, Limits, Outcome, Status, Test  # noqa: E402
from sandbox.conformance import CASES  # noqa: E402
from sandbox.memoryless import is_memoryless  # noqa: E402
from sandbox.pool import Pool  # noqa: E402
from sandbox.surroundings import Surroundings  # noqa: E402
from sandbox.trial import Trial  # noqa: E402
from sandbox.worker import Zygote  # noqa: E402


class _Noted(Trial):
    """Keeps what each test answered, of a series or alone."""

    def _in_a_series(self, number: int) -> tuple[Status, str] | None:
        self._at = number
        found = super()._in_a_series(number)
        _Noting.alone.pop(number, None)
        if number in self._answers:
            _Noting.in_series[number] = self._answers[number]
        return found

    def _difference(self, test: Test, answer: bytes) -> str | None:
        _Noting.alone[self._at] = answer
        return super()._difference(test, answer)


class _Noting(Pool):
    """One job at a time."""

    in_series: dict[int, bytes] = {}  # noqa: RUF012
    alone: dict[int, bytes] = {}  # noqa: RUF012

    def _trial(self, zygote: Zygote, job: Job) -> Any:
        _Noting.in_series, _Noting.alone = {}, {}
        return _Noted(zygote.sock, job, self._inputs, in_series=self._series)


@dataclass
class Counts:
    programs: int = 0
    memoryless: int = 0
    tests: int = 0
    in_series: int = 0  # tests that a series answered
    verdicts: int = 0  # that differ
    answers: int = 0  # that differ


def jobs(options: argparse.Namespace) -> Iterator[tuple[str, Job]]:
    """(corpus, job), each with two tests at least."""
    given = agreement_pairs.pairs(options.rows, options.outputs)
    limits = Limits(cpu_s=options.seconds, memory_mb=512, output_mb=8, box_mb=4)
    for pair in given:
        tests = tuple(sorted(map(_test, pair.row.tests), key=lambda test: len(test.input)))
        chosen = tests[: options.tests] if len(tests) > 1 else tests * 2
        source = pair.source or ""
        yield _corpus(pair.id), Job(pair.id, source, chosen, pair.row.entry, limits)
    for name, attempt in ATTEMPTS.items():
        tests = (Test("stdin", "1\n", "1\n"),) * 3
        yield "hostile", Job(name, attempt.source, tests, limits=limits)
    for case in CASES:
        tests = case.job.tests if len(case.job.tests) > 1 else case.job.tests * 2
        yield "conformance", replace(case.job, tests=tests)


def _corpus(name: str) -> str:
    if " by " in name:
        return "model outputs"
    first = name.split("/")[0].split(" ")[0]
    return first if first in ("HumanEval", "honest", "table", "tampering") else "micro"


def main() -> int:
    options = _options()
    surroundings = Surroundings(child.prepared()["stdin"].__dict__)
    counts: dict[str, Counts] = {}
    seen: Counter[str] = Counter()
    began = time.monotonic()
    with (
        _Noting(1, tier=options.tier) as series,
        _Noting(1, tier=options.tier, series=False) as each,
    ):
        for corpus, job in jobs(options):
            if not seen[corpus]:
                print(f"{time.monotonic() - began:.0f} s: {corpus}", file=sys.stderr)
            seen[corpus] += 1
            if options.only not in job.key or seen[corpus] % options.share:
                continue
            found = counts.setdefault(corpus, Counts())
            found.programs += 1
            memoryless = is_memoryless(job.source, surroundings)
            found.memoryless += memoryless
            if memoryless or options.all:
                _compare(job, found, series, each)
    _print(counts)
    return any(each.verdicts or each.answers for each in counts.values())


def _compare(job: Job, found: Counts, series: _Noting, each: _Noting) -> None:
    one = next(series.run([job]))
    if one.status in ("wrong_answer", "runtime_error"):  # the tests after the first failure too
        job = replace(job, all_tests=True)
        one = next(series.run([job]))
    of_series, alone = _Noting.in_series, _Noting.alone
    other = next(each.run([job]))
    answers = _Noting.alone
    found.tests += len(job.tests)
    found.in_series += len(of_series)
    if _verdict(one) != _verdict(other):
        found.verdicts += 1
        print(f"VERDICT {job.key}: in series {_verdict(one)}, alone {_verdict(other)}", flush=True)
    for number, answer in {**alone, **of_series}.items():
        if number in answers and answer != answers[number]:
            found.answers += 1
            how = "in series" if number in of_series else "alone, twice"
            print(
                f"ANSWER {job.key}, test {number}, {how}: {answer[:80]!r} {answers[number][:80]!r}"
            )


def _verdict(outcome: Outcome) -> tuple[object, ...]:
    detail = "" if outcome.status in ("time_limit", "memory_limit") else outcome.detail
    return outcome.status, outcome.failed_test, outcome.tests_passed, detail


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=Path)
    parser.add_argument("--outputs", type=Path)
    parser.add_argument("--share", type=int, default=1)
    parser.add_argument("--tests", type=int, default=20)
    parser.add_argument("--only", default="")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--tier", choices=("A", "B"))
    parser.add_argument("--seconds", type=float, default=1.0)
    return parser.parse_args()


def _print(counts: dict[str, Counts]) -> None:
    head = ("corpus", "programs", "memoryless", "tests", "in series", "verdicts", "answers differ")
    rows = [(name, *map(str, vars(each).values())) for name, each in counts.items()]
    total = [
        sum(column)
        for column in zip(*(vars(each).values() for each in counts.values()), strict=True)
    ]
    for row in (head, *rows, ("all", *map(str, total))):
        print("".join(f"{cell:>15}" for cell in row))


if __name__ == "__main__":
    sys.exit(main())
