"""A benchmark of which only some tests count, or without the problems that are known to be bad."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmarks.base import Benchmark, BenchmarkError, Chosen, Problem, StoredTests, TestCase

TESTS = {"both": "public+private tests", "public": "public tests", "private": "private tests"}


@dataclass(frozen=True)
class Selection:
    """`whole`, with `chosen` tests, and without LiveCodeBench's errata if so asked."""

    whole: Benchmark
    chosen: Chosen = "both"
    exclude_errata: bool = False

    @property
    def name(self) -> str:
        return self.whole.name

    @property
    def description(self) -> str:
        return self.whole.description

    @property
    def window(self) -> str:
        """Names the slice, which tests count, and how many problems were left out."""
        parts = [self.whole.window, TESTS[self.chosen]]
        if self.exclude_errata:
            left_out = sum(map(_is_bad, self.whole.problems()))
            parts.append(f"without {left_out} errata")
        return ", ".join(parts)

    def problems(self) -> tuple[Problem, ...]:
        """Raises BenchmarkError for a problem without tests of the chosen kind."""
        kept = [
            each for each in self.whole.problems() if not (self.exclude_errata and _is_bad(each))
        ]
        return tuple(_with_tests(each, self.chosen) for each in kept)

    def prompts(self) -> tuple[Problem, ...]:
        return self.whole.prompts()


def _is_bad(problem: Problem) -> bool:
    from benchmarks.lcb_windows import ERRATA

    return problem.id in ERRATA or problem.title in ERRATA


def _with_tests(problem: Problem, chosen: Chosen) -> Problem:
    if chosen == "both":
        return problem
    if isinstance(problem.tests, StoredTests):
        return replace(problem, tests=problem.tests.only(chosen))
    public = chosen == "public"
    tests: tuple[TestCase, ...] = tuple(each for each in problem.tests if each.public == public)
    if not tests:
        raise BenchmarkError(
            f"{problem.id}: it has no {chosen} tests, so that nothing could fail; "
            "score with --tests both"
        )
    return replace(problem, tests=tests)
